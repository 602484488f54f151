// A gRPC client in Go that finds its service by xds:///. GRPC_XDS_BOOTSTRAP names the file that
// `etcdnaming xds-bootstrap` has written.
//
//	go build -o client . && ./client xds:///foo/bar/svc 1000
//
// It calls every so many milliseconds, and prints a line of JSON for each call.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	_ "google.golang.org/grpc/xds" // makes xds:/// known
)

type raw struct{}

func (raw) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error { *v.(*[]byte) = append([]byte(nil), data...); return nil }
func (raw) Name() string                       { return "raw" }

func say(v map[string]any) { b, _ := json.Marshal(v); fmt.Println(string(b)) }
func ms() int64            { return time.Now().UnixMilli() }

func main() {
	wfr := flag.Bool("wfr", false, "wait for ready")
	ca := flag.String("ca", "", "CA of the endpoints")
	deadline := flag.Float64("deadline", 20, "seconds")
	calls := flag.Int("calls", 0, "calls")
	body := flag.String("body", "world", "what the requests say")
	method := flag.String("method", "/example.Greeter/Hello", "the method")
	flag.Parse()
	target := flag.Arg(0)
	interval, _ := strconv.Atoi(flag.Arg(1))
	creds := insecure.NewCredentials()
	if *ca != "" {
		c, err := credentials.NewClientTLSFromFile(*ca, "svc.test")
		if err != nil {
			panic(err)
		}
		creds = c
	}
	say(map[string]any{"ev": "start", "t": ms()})
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(creds))
	if err != nil {
		say(map[string]any{"t": ms(), "d": 0, "e": "DIAL " + err.Error()})
		os.Exit(1)
	}
	say(map[string]any{"ev": "dialled", "t": ms()})
	for n := 0; *calls == 0 || n < *calls; n++ {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(*deadline*float64(time.Second)))
		in, out := []byte(*body), []byte{}
		t := time.Now()
		err := conn.Invoke(ctx, *method, &in, &out, grpc.ForceCodec(raw{}), grpc.WaitForReady(*wfr))
		cancel()
		line := map[string]any{"t": t.UnixMilli(), "d": float64(time.Since(t).Microseconds()) / 1000}
		if err != nil {
			line["e"] = status.Code(err).String() + ": " + status.Convert(err).Message()
		} else {
			line["p"] = string(out)
		}
		say(line)
		time.Sleep(time.Duration(interval) * time.Millisecond)
	}
}
