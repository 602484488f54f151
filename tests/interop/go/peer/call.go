package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/naming/resolver"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
)

const (
	callers    = 4 // at the same time, so that there are always calls on their way
	patience   = 10 * time.Second
	roundRobin = `{"loadBalancingConfig":[{"round_robin":{}}]}`
)

// raw passes messages on as they are: the servers of the tests take and give bytes.
type raw struct{}

func (raw) Name() string { return "raw" }

func (raw) Marshal(message any) ([]byte, error) { return *message.(*[]byte), nil }

func (raw) Unmarshal(data []byte, message any) error {
	*message.(*[]byte) = append([]byte(nil), data...)
	return nil
}

// dial returns a connection to etcd:///TARGET, as a Go service would have it.
func dial(etcd *clientv3.Client, target string) (*grpc.ClientConn, error) {
	builder, err := resolver.NewBuilder(etcd)
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(
		"etcd:///"+target,
		grpc.WithResolvers(builder),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(roundRobin),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})),
	)
}

// call makes calls all the time, one after another by each of the callers. A line is what was
// answered, or "failed: " and why.
func call(etcd *clientv3.Client, target string, args []string) error {
	conn, err := dial(etcd, target)
	if err != nil {
		return err
	}
	defer conn.Close()
	ended := untilStdinEnds(context.Background())
	var running sync.WaitGroup
	for range callers {
		running.Add(1)
		go func() {
			defer running.Done()
			for ended.Err() == nil {
				response, err := invoke(conn, args[0], args[1], patience)
				if err != nil {
					response = "failed: " + err.Error()
				}
				fmt.Println(response)
			}
		}()
	}
	running.Wait()
	return nil
}

// ask makes the calls that the lines of stdin ask for, all of them side by side. A line of stdin is
// ID METHOD REQUEST SECONDS WAIT; one of stdout is the ID, the status code and what was answered.
func ask(etcd *clientv3.Client, target string) error {
	conn, err := dial(etcd, target)
	if err != nil {
		return err
	}
	defer conn.Close()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var id, method, request string
		var seconds float64
		var wait bool
		if _, err := fmt.Sscan(lines.Text(), &id, &method, &request, &seconds, &wait); err != nil {
			return err
		}
		go func() {
			timeout := time.Duration(seconds * float64(time.Second))
			response, err := invoke(conn, method, request, timeout, grpc.WaitForReady(wait))
			if err != nil {
				response = err.Error()
			}
			fmt.Printf("%s %d %q\n", id, status.Code(err), response)
		}()
	}
	return nil
}

func invoke(
	conn *grpc.ClientConn, method, request string, timeout time.Duration, options ...grpc.CallOption,
) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	message := []byte(request)
	var response []byte
	err := conn.Invoke(ctx, method, &message, &response, options...)
	return string(response), err
}
