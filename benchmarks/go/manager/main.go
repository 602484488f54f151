// Command manager is Go's endpoints.Manager for the target "svc", told on stdin what to do:
//
//	list        list the endpoints
//	add COUNT   add as many, one after another
//
// It answers each line with the number of endpoints, and the nanoseconds of time and of CPU that
// they took. The process lives on between two lines: starting it is not measured.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
)

const target = "svc"

func main() {
	client, err := clientv3.NewFromURL(os.Args[1])
	check(err)
	manager, err := endpoints.NewManager(client, target)
	check(err)
	told := bufio.NewScanner(os.Stdin)
	for told.Scan() {
		var what string
		var count int
		fmt.Sscan(told.Text(), &what, &count)
		begun, busy := time.Now(), cpu()
		if what == "list" {
			count = list(manager)
		} else {
			add(manager, count)
		}
		fmt.Println(count, time.Since(begun).Nanoseconds(), cpu()-busy)
	}
}

func list(manager endpoints.Manager) int {
	found, err := manager.List(context.Background())
	check(err)
	return len(found)
}

func add(manager endpoints.Manager, count int) {
	for n := range count {
		key := target + "/" + strconv.Itoa(n)
		check(manager.AddEndpoint(context.Background(), key, endpoints.Endpoint{Addr: "10.0.0.1:8080"}))
	}
}

func cpu() int64 {
	var used syscall.Rusage
	check(syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return used.Utime.Nano() + used.Stime.Nano()
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
