// Command naming is Go's naming client at work, for our benchmarks to be held against:
//
//	naming add   ENDPOINT COUNT PAUSE   adds endpoints one after another, PAUSE between them
//	naming flood ENDPOINT COUNT SIZE    adds them as fast as etcd takes them, SIZE in a transaction
//	naming watch ENDPOINT COUNT         says "ready", then when each change was made and seen
//
// All under the target "svc". The address of an endpoint is the time it was added at, in
// nanoseconds of a clock that all processes share.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"os"
	"strconv"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
)

const (
	target = "svc"
	keys   = 1000 // that are written, in turns
	atOnce = 64   // transactions under way in a flood
)

func main() {
	command, endpoint, count := os.Args[1], os.Args[2], number(os.Args[3])
	client, err := clientv3.NewFromURL(endpoint)
	check(err)
	manager, err := endpoints.NewManager(client, target)
	check(err)
	switch command {
	case "add":
		pause, err := time.ParseDuration(os.Args[4])
		check(err)
		add(manager, count, pause)
	case "flood":
		flood(manager, count, number(os.Args[4]))
	case "watch":
		watch(manager, count)
	default:
		log.Fatalf("no such command: %s", command)
	}
}

func add(manager endpoints.Manager, count int, pause time.Duration) {
	for n := range count {
		check(manager.AddEndpoint(context.Background(), key(n), endpoint()))
		time.Sleep(pause)
	}
}

// flood prints when the last transaction was acknowledged.
func flood(manager endpoints.Manager, count, size int) {
	firsts := make(chan int)
	var writers sync.WaitGroup
	for range atOnce {
		writers.Go(func() {
			for first := range firsts {
				check(manager.Update(context.Background(), updates(first, size)))
			}
		})
	}
	for first := 0; first < count; first += size {
		firsts <- first
	}
	close(firsts)
	writers.Wait()
	fmt.Println(now())
}

func updates(first, size int) []*endpoints.UpdateWithOpts {
	updates := make([]*endpoints.UpdateWithOpts, size)
	for n := range updates {
		updates[n] = endpoints.NewAddUpdateOpts(key(first+n), endpoint())
	}
	return updates
}

// watch leaves out what was there before, and prints after the last change only, so that printing
// costs no change any time.
func watch(manager endpoints.Manager, count int) {
	begun := now()
	channel, err := manager.NewWatchChannel(context.Background())
	check(err)
	fmt.Println("ready")
	added, seen := make([]int, 0, count), make([]int64, 0, count)
	for len(seen) < count {
		updates, ok := <-channel
		if !ok {
			log.Fatal("the watch has ended")
		}
		at := now()
		for _, update := range updates {
			if made := number(update.Endpoint.Addr); int64(made) > begun {
				added, seen = append(added, made), append(seen, at)
			}
		}
	}
	out := bufio.NewWriter(os.Stdout)
	for n := range added {
		fmt.Fprintln(out, added[n], seen[n])
	}
	check(out.Flush())
}

func key(n int) string { return fmt.Sprintf("%s/%d", target, n%keys) }

func endpoint() endpoints.Endpoint {
	return endpoints.Endpoint{Addr: strconv.FormatInt(now(), 10)}
}

func number(text string) int {
	number, err := strconv.Atoi(text)
	check(err)
	return number
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
