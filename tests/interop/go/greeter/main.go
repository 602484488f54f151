// Command greeter is a gRPC server that says who it is, until its stdin ends.
//
//	greeter -addr 127.0.0.1:5001                                  another program registers it
//	greeter -addr 127.0.0.1:5001 -etcd 127.0.0.1:2379 -target T   it does so itself, as Go does
//
// /test.Service/Who answers any StringValue with the address.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func main() {
	addr := flag.String("addr", "", "where to listen")
	etcd := flag.String("etcd", "", "where to register")
	target := flag.String("target", "", "as what")
	flag.Parse()

	listener, err := net.Listen("tcp", *addr)
	check(err)
	server := grpc.NewServer()
	server.RegisterService(service(*addr), nil)
	go func() { check(server.Serve(listener)) }()
	if *etcd != "" {
		client, err := clientv3.New(clientv3.Config{Endpoints: []string{*etcd}})
		check(err)
		check(register(client, *target, *addr))
	}
	fmt.Println("ready")
	io.Copy(io.Discard, os.Stdin)
}

func register(client *clientv3.Client, target, addr string) error {
	ctx := context.Background()
	lease, err := client.Grant(ctx, 10)
	if err != nil {
		return err
	}
	if _, err = client.KeepAlive(ctx, lease.ID); err != nil {
		return err
	}
	manager, err := endpoints.NewManager(client, target)
	if err != nil {
		return err
	}
	endpoint := endpoints.Endpoint{Addr: addr, Metadata: map[string]string{"by": "Go"}}
	return manager.AddEndpoint(ctx, target+"/"+addr, endpoint, clientv3.WithLease(lease.ID))
}

func service(addr string) *grpc.ServiceDesc {
	who := func(_ any, _ context.Context, read func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
		return wrapperspb.String(addr), read(&wrapperspb.StringValue{})
	}
	return &grpc.ServiceDesc{
		ServiceName: "test.Service",
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Who", Handler: who}},
	}
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
