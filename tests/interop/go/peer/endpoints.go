package main

import (
	"context"
	"encoding/json"
	"os"
	"strconv"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/naming/endpoints"
)

// change is an update as the tests write and read it.
type change struct {
	Op       string `json:"op"` // add or delete
	Key      string `json:"key"`
	Addr     string `json:"addr"`
	Metadata any    `json:"metadata"`
}

func list(ctx context.Context, manager endpoints.Manager, _ []string) error {
	found, err := manager.List(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

func add(ctx context.Context, manager endpoints.Manager, args []string) error {
	endpoint := endpoints.Endpoint{Addr: args[1]}
	if err := json.Unmarshal([]byte(args[2]), &endpoint.Metadata); err != nil {
		return err
	}
	options, err := lease(args[3:])
	if err != nil {
		return err
	}
	return manager.AddEndpoint(ctx, args[0], endpoint, options...)
}

func lease(args []string) ([]clientv3.OpOption, error) {
	if len(args) == 0 {
		return nil, nil
	}
	id, err := strconv.ParseInt(args[0], 16, 64)
	return []clientv3.OpOption{clientv3.WithLease(clientv3.LeaseID(id))}, err
}

func del(ctx context.Context, manager endpoints.Manager, args []string) error {
	return manager.DeleteEndpoint(ctx, args[0])
}

func update(ctx context.Context, manager endpoints.Manager, _ []string) error {
	var changes []change
	if err := json.NewDecoder(os.Stdin).Decode(&changes); err != nil {
		return err
	}
	updates := make([]*endpoints.UpdateWithOpts, len(changes))
	for i, change := range changes {
		if change.Op == "delete" {
			updates[i] = endpoints.NewDeleteUpdateOpts(change.Key)
		} else {
			endpoint := endpoints.Endpoint{Addr: change.Addr, Metadata: change.Metadata}
			updates[i] = endpoints.NewAddUpdateOpts(change.Key, endpoint)
		}
	}
	return manager.Update(ctx, updates)
}

func watch(ctx context.Context, manager endpoints.Manager, _ []string) error {
	batches, err := manager.NewWatchChannel(untilStdinEnds(ctx))
	if err != nil {
		return err
	}
	lines := json.NewEncoder(os.Stdout)
	for batch := range batches {
		for _, update := range batch {
			if err := lines.Encode(reported(update)); err != nil {
				return err
			}
		}
	}
	return nil
}

func reported(update *endpoints.Update) change {
	if update.Op == endpoints.Delete {
		return change{Op: "delete", Key: update.Key}
	}
	return change{"add", update.Key, update.Endpoint.Addr, update.Endpoint.Metadata}
}
