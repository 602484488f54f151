#!/bin/sh
# A first minute with etcdnaming. Run by `make demo`, in a throwaway etcd.
set -eu

explain() {
    printf '\n# %s\n' "$1"
}

show() {
    printf '$ %s\n' "$1"
    eval "$1"
}

explain 'Two instances of a service register their addresses, one with metadata.'
show 'etcdnaming add foo/bar/svc/e1 --addr 1.2.3.4:50051'
show "etcdnaming add foo/bar/svc/e2 --addr 1.2.3.5:50051 --metadata-json '{\"zone\":\"a\"}'"

explain 'A client that dials etcd:///foo/bar/svc sees these endpoints.'
show 'etcdnaming list foo/bar/svc'

explain 'e1 moves: its old address goes and its new one comes in a single transaction.'
show "printf '%s\\n' 'del foo/bar/svc/e1' 'add foo/bar/svc/e1 5.6.7.8:50051' | etcdnaming txn-update -"
show 'etcdnaming list foo/bar/svc'

explain 'One is taken out of service.'
show 'etcdnaming del foo/bar/svc/e2'
show 'etcdnaming list foo/bar/svc'
