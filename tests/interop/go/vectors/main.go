// Command vectors answers what Go's naming client writes and reads, one JSON line for each on
// stdin:
//
//	{"addr":"a","metadata":"{\"zone\":1}"}  ->  {"value":"<base64>"}
//	{"value":"<base64>"}                    ->  {"addr":"a","metadata":"{\"zone\":1}"} or {"skipped":true}
//
// Metadata travels as JSON text in a string, so that it may be nested as deep as it likes. The
// client's own manager does the work; only the etcd below it is ours, and holds one value.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"math/big"
	"os"
	"strconv"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
)

const (
	target = "svc"
	key    = "svc/e1"
)

type request struct {
	Addr     string
	Metadata string
	Value    []byte // nil: write
}

type written struct {
	Value []byte `json:"value"`
}

type read struct {
	Addr     string `json:"addr"`
	Metadata string `json:"metadata"`
	Skipped  bool   `json:"skipped,omitempty"`
}

// etcd holds one value. Whatever else the manager might ask of it is nil and panics.
type etcd struct {
	clientv3.KV
	value []byte
}

func (e *etcd) Get(context.Context, string, ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	return &clientv3.GetResponse{Kvs: []*mvccpb.KeyValue{{Key: []byte(key), Value: e.value}}}, nil
}

func (e *etcd) Txn(context.Context) clientv3.Txn { return txn{etcd: e} }

type txn struct {
	clientv3.Txn
	etcd *etcd
}

func (t txn) Then(ops ...clientv3.Op) clientv3.Txn {
	t.etcd.value = ops[0].ValueBytes()
	return t
}

func (t txn) Commit() (*clientv3.TxnResponse, error) { return &clientv3.TxnResponse{}, nil }

func main() {
	store := &etcd{}
	client := clientv3.NewCtxClient(context.Background())
	client.KV = store
	manager, err := endpoints.NewManager(client, target)
	if err != nil {
		log.Fatal(err)
	}
	lines, answers := bufio.NewReader(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		if err := answers.Encode(answer(store, manager, line)); err != nil {
			log.Fatal(err)
		}
	}
}

func answer(store *etcd, manager endpoints.Manager, line []byte) any {
	var asked request
	if err := json.Unmarshal(line, &asked); err != nil {
		log.Fatalf("%v in %.200s", err, line)
	}
	if asked.Value == nil {
		return write(store, manager, asked.Addr, asked.Metadata)
	}
	store.value = asked.Value
	return list(manager)
}

func write(store *etcd, manager endpoints.Manager, addr, metadata string) written {
	endpoint := endpoints.Endpoint{Addr: addr, Metadata: parse(metadata)}
	if err := manager.AddEndpoint(context.Background(), key, endpoint); err != nil {
		log.Fatal(err)
	}
	return written{Value: store.value}
}

func list(manager endpoints.Manager) read {
	found, err := manager.List(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	endpoint, ok := found[key]
	if !ok {
		return read{Skipped: true}
	}
	metadata, err := json.Marshal(endpoint.Metadata)
	if err != nil {
		log.Fatal(err)
	}
	return read{Addr: endpoint.Addr, Metadata: string(metadata)}
}

// parse reads metadata with the numbers a Go program would have: integers of any size as
// big.Int, all others as float64.
func parse(metadata string) any {
	decoder := json.NewDecoder(strings.NewReader(metadata))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		log.Fatalf("%v in %.200s", err, metadata)
	}
	return withNumbers(value)
}

func withNumbers(value any) any {
	switch value := value.(type) {
	case []any:
		for i := range value {
			value[i] = withNumbers(value[i])
		}
	case map[string]any:
		for name := range value {
			value[name] = withNumbers(value[name])
		}
	case json.Number:
		return number(value.String())
	}
	return value
}

func number(literal string) any {
	if integer, ok := new(big.Int).SetString(literal, 10); ok && literal != "-0" {
		return integer
	}
	float, err := strconv.ParseFloat(literal, 64)
	if err != nil {
		log.Fatal(err)
	}
	return float
}
