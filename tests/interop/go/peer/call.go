package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/naming/resolver"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
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

// call makes calls as a Go service would, one after another by each of the callers. A line is what
// was answered, or "failed: " and why.
func call(etcd *clientv3.Client, target string, args []string) error {
	builder, err := resolver.NewBuilder(etcd)
	if err != nil {
		return err
	}
	conn, err := grpc.NewClient(
		"etcd:///"+target,
		grpc.WithResolvers(builder),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(roundRobin),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(raw{})),
	)
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
				fmt.Println(answer(conn, args[0], []byte(args[1])))
			}
		}()
	}
	running.Wait()
	return nil
}

func answer(conn *grpc.ClientConn, method string, request []byte) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var response []byte
	if err := conn.Invoke(ctx, method, &request, &response); err != nil {
		return "failed: " + err.Error()
	}
	return string(response)
}
