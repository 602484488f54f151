// Command xds is a control plane made with go-control-plane, and the clients of any xDS server:
//
//	xds serve linear|snapshot SERVICES ENDPOINTS   serves "svc/0", "svc/1", ... and prints its address
//	xds load ADDRESS STREAMS SERVICES NAMES        opens streams, each on a connection of its own
//
// On stdin, serve takes "change", which moves one endpoint of "svc/0". A stream of load asks for
// NAMES services in a row, as gRPC does: listeners, routes, clusters, then endpoints; it accepts
// whatever comes. On stdin, load takes two lines:
//
//	connect          opens all streams at once, until each has the endpoints of all its services
//	expect COUNT     says "ready"; then waits for so many responses with endpoints
//
// and answers "NANOSECONDS RESPONSES BYTES": the time when the last of them came, on a clock that all
// processes share, and what came until a second passed without a response.
package main

import (
	"bufio"
	"fmt"
	"log"
	"os"
	"strconv"
)

func main() {
	switch args := os.Args[2:]; os.Args[1] {
	case "serve":
		serve(args[0], number(args[1]), number(args[2]))
	case "load":
		newLoad(args[0], number(args[1]), number(args[2]), number(args[3])).run()
	default:
		log.Fatalf("no such command: %s", os.Args[1])
	}
}

// lines calls do with each line of stdin.
func lines(do func(what string, count int)) {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		var what string
		var count int
		fmt.Sscan(in.Text(), &what, &count)
		do(what, count)
	}
}

func name(service int) string { return "svc/" + strconv.Itoa(service) }

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
