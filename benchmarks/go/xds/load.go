package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discovery "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"
)

const quiet = time.Second

type load struct {
	address                  string
	streams, services, names int
	responses, bytes, last   atomic.Int64
}

func newLoad(address string, streams, services, names int) *load {
	return &load{address: address, streams: streams, services: services, names: names}
}

func (l *load) run() {
	lines(func(what string, count int) {
		l.responses.Store(0)
		l.bytes.Store(0)
		if what == "connect" {
			for n := range l.streams {
				go l.stream(n)
			}
			count = l.streams
		}
		fmt.Println("ready")
		l.wait(int64(count))
		fmt.Println(l.last.Load(), l.responses.Load(), l.bytes.Load())
	})
}

// wait returns when count responses have come, and none for a while.
func (l *load) wait(count int64) {
	for l.responses.Load() < count || now()-l.last.Load() < int64(quiet) {
		time.Sleep(5 * time.Millisecond)
	}
}

// stream is one client, which opens its stream again whenever that ends.
func (l *load) stream(n int) {
	connection, err := grpc.NewClient(l.address,
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(err)
	asked := make([]string, l.names)
	for each := range asked {
		asked[each] = name((n*l.names + each) % l.services)
	}
	for {
		stream, err := discovery.NewAggregatedDiscoveryServiceClient(connection).
			StreamAggregatedResources(context.Background(), grpc.WaitForReady(true))
		if err == nil {
			l.follow(stream, asked)
		}
	}
}

// follow counts the responses with endpoints, until the stream ends.
func (l *load) follow(stream grpc.BidiStreamingClient[
	discovery.DiscoveryRequest, discovery.DiscoveryResponse], asked []string) {
	node := &core.Node{Id: asked[0], UserAgentName: "gRPC Go"}
	ask := func(kind, version, nonce string) {
		stream.Send(&discovery.DiscoveryRequest{ // an error comes with Recv, too
			Node: node, TypeUrl: kind, ResourceNames: asked,
			VersionInfo: version, ResponseNonce: nonce,
		})
		node = nil // once is enough
	}
	ask(kinds[0], "", "")
	begun, found := 1, 0 // types asked for; services whose endpoints came
	for {
		response, err := stream.Recv()
		if err != nil {
			return
		}
		kind := response.GetTypeUrl()
		ask(kind, response.GetVersionInfo(), response.GetNonce())
		if begun < len(kinds) && kind == kinds[begun-1] {
			ask(kinds[begun], "", "")
			begun++
		}
		if kind == resource.EndpointType {
			l.bytes.Add(int64(proto.Size(response)))
			before := found
			found += len(response.GetResources())
			// Until a client has all its services, what it gets counts as one response.
			if before >= len(asked) || found >= len(asked) {
				l.responses.Add(1)
			}
			l.last.Store(now())
		}
	}
}

// now is Python's time.monotonic_ns.
func now() int64 {
	var time unix.Timespec
	check(unix.ClockGettime(unix.CLOCK_MONOTONIC, &time))
	return time.Nano()
}
