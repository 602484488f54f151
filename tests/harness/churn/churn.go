// Dial, call and close channels in several goroutines: churn TIMES TARGET=ANSWER ...
package main

import (
	"context"
	"encoding/json"
	"math/rand"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/xds"
)

const workers = 8

type raw struct{}

func (raw) Marshal(v any) ([]byte, error)      { return *v.(*[]byte), nil }
func (raw) Unmarshal(data []byte, v any) error { *v.(*[]byte) = append([]byte(nil), data...); return nil }
func (raw) Name() string                       { return "raw" }

// call returns the answer of target, or the error.
func call(target string) string {
	conn, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	in, out := []byte{}, []byte{}
	if err := conn.Invoke(ctx, "/test.Service/Who", &in, &out, grpc.ForceCodec(raw{})); err != nil {
		return err.Error()
	}
	return string(out)
}

func main() {
	times, _ := strconv.Atoi(os.Args[1])
	wanted := os.Args[2:]
	found := map[string]int{}
	var mutex sync.Mutex
	var group sync.WaitGroup
	for seed := range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			chosen := rand.New(rand.NewSource(int64(seed)))
			for range times / workers {
				target, expected, _ := strings.Cut(wanted[chosen.Intn(len(wanted))], "=")
				answer := call(target)
				if answer == expected {
					answer = "good"
				}
				mutex.Lock()
				found[answer]++
				mutex.Unlock()
				if chosen.Float64() < 0.15 {
					time.Sleep(time.Duration(chosen.Float64() * float64(100*time.Millisecond)))
				}
			}
		}()
	}
	group.Wait()
	json.NewEncoder(os.Stdout).Encode(map[string]any{"found": found})
}
