#!/bin/sh
# A first minute with etcdnaming. Run by `make demo`, in a temporary etcd.
set -eu

cd "$(dirname "$0")/.."
work=$(mktemp -d)
ports=$(python -c 'import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(each.getsockname()[1] for each in sockets))')
port=${ports% *} bridge=${ports#* }
started=

finish() {
    for each in $started; do kill "$each" 2>/dev/null || :; done
    wait
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

explain() {
    printf '\n# %s\n' "$1"
}

show() {
    printf '$ %s\n' "$1"
    eval "$1"
}

# Show a command that goes on; what it prints goes to the file $2.
background() {
    printf '$ %s &\n' "$1"
    eval "exec $1" >"$2" 2>&1 &
    started="$started $!"
}

# Wait until the file $1 contains the text $2.
until_printed() {
    for _ in $(seq 300); do
        grep -q "$2" "$1" && return
        sleep 0.1
    done
    cat "$1" >&2
    return 1
}

explain 'Two instances of a service are added, one with metadata.'
show 'etcdnaming add foo/bar/svc/e1 --addr 1.2.3.4:50051'
show "etcdnaming add foo/bar/svc/e2 --addr 1.2.3.5:50051 --metadata-json '{\"zone\":\"a\"}'"

explain 'A client that dials etcd:///foo/bar/svc sees these endpoints.'
show 'etcdnaming list foo/bar/svc'

explain 'watch prints what there is, and then every change.'
background 'etcdnaming watch foo/bar/svc' "$work/watch"
until_printed "$work/watch" e2

explain 'e1 moves: its old address goes and its new one comes in a single transaction.'
show "printf '%s\\n' 'del foo/bar/svc/e1' 'add foo/bar/svc/e1 5.6.7.8:50051' | etcdnaming txn-update -"
show 'etcdnaming del foo/bar/svc/e1 foo/bar/svc/e2'

explain 'What watch printed meanwhile:'
until_printed "$work/watch" 'DELETE.*e2'
cat "$work/watch"

explain 'A real server, in etcd for as long as it runs and its health check passes.'
background "etcdnaming lease-register local/greeter/e1 --addr 127.0.0.1:$port \\
    --check grpc://127.0.0.1:$port --drain 1s -- python examples/container/server.py --port $port" "$work/server"
registered=$!
show 'etcdnaming wait local/greeter --timeout 30s'
show 'etcdnaming check local/greeter'

explain 'The bridge: gRPC clients of every language find it by xds:///, without an etcd client.'
background "etcdnaming xds-bridge local --listen 127.0.0.1:$bridge" "$work/bridge"
until_printed "$work/bridge" serving
cat "$work/bridge"
show "etcdnaming xds-bootstrap 127.0.0.1:$bridge >$work/xds.json"
show "GRPC_XDS_BOOTSTRAP=$work/xds.json python examples/xds/python/client.py xds:///local/greeter 0 -calls 2"

explain 'At SIGTERM it leaves etcd first, and ends a second later.'
show "kill $registered"
show "etcdnaming wait local/greeter --gone 127.0.0.1:$port --timeout 30s"
until_printed "$work/server" deregistered
cat "$work/server"
