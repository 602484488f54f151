// Command peer does what a Go service does with etcd's naming client, for tests that look at it
// from the other side:
//
//	peer ETCD list TARGET                              all endpoints, a JSON object by key
//	peer ETCD add TARGET KEY ADDR METADATA [LEASE]     metadata is JSON, a lease is hexadecimal
//	peer ETCD del TARGET KEY
//	peer ETCD update TARGET < UPDATES                  a JSON array, one transaction
//	peer ETCD watch TARGET                             a JSON line for each update; ends with stdin
//	peer ETCD call TARGET METHOD REQUEST               gRPC calls to etcd:///TARGET, until stdin
//	                                                   ends; a line for each answer
//	peer ETCD ask TARGET < CALLS                       likewise, the calls that stdin asks for
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
)

type command func(context.Context, endpoints.Manager, []string) error

var commands = map[string]command{"list": list, "add": add, "del": del, "update": update, "watch": watch}

func main() {
	if len(os.Args) < 4 {
		log.Fatal("peer ETCD COMMAND TARGET …: see the top of main.go")
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4:]); err != nil {
		log.Fatal(err)
	}
}

func run(etcd, name, target string, args []string) error {
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{etcd}, DialTimeout: 10 * time.Second})
	if err != nil {
		return err
	}
	defer client.Close()
	switch name {
	case "call":
		return call(client, target, args)
	case "ask":
		return ask(client, target)
	}
	manager, err := endpoints.NewManager(client, target)
	if err != nil {
		return err
	}
	command, ok := commands[name]
	if !ok {
		return fmt.Errorf("no such command: %s", name)
	}
	return command(context.Background(), manager, args)
}

// untilStdinEnds returns a context that ends when the parent closes our stdin.
func untilStdinEnds(parent context.Context) context.Context {
	ctx, cancel := context.WithCancel(parent)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	return ctx
}
