#!/usr/bin/env bash
# Replaces one instance of a service by another, without a failed call.
#
#   deploy.sh TARGET OLD NEW COMMAND...
#   deploy.sh foo/bar/svc 10.0.0.1:50051 10.0.0.1:50052 python server.py --port 50052
#
# OLD and NEW are addresses, COMMAND is the new server. OLD was started in the same way: its key is
# TARGET/OLD, and --on-delete leave lets us delete it. If this script started it, OLD.pid is beside
# the log, and OLD is ended. Where etcd is, say ETCDNAMING_ENDPOINTS and the other variables of
# etcdnaming. Exit code 1: not done, and stderr says how things stand.
set -euo pipefail

timeout=${DEPLOY_TIMEOUT:-60s} # for each thing that is waited for
drain=${DEPLOY_DRAIN:-10s}     # from the last word that OLD gets no new calls to its end
log=${DEPLOY_LOG:-server.log}  # of the new server
run=$(dirname "$log")

fail() {
    printf 'deploy: %s\n' "$*" >&2
    exit 1
}

start_new() {
    # A session of its own, so that it outlives the terminal of the deployment.
    setsid etcdnaming lease-register "$target/" --addr "$new" --check "tcp://$new" \
        --check-timeout 0 --on-delete leave --drain "$drain" -- "$@" \
        </dev/null >>"$log" 2>&1 &
    instance=$!
    echo "$instance" >"$run/$new.pid"
}

wait_for_new() {
    etcdnaming wait "$target" --min $((before + 1)) --addr "$new" --timeout "$timeout" >/dev/null &
    # What ends first is this, or the instance.
    if wait -n && kill -0 "$instance" 2>/dev/null; then
        return
    fi
    kill "$instance" $! 2>/dev/null || true
    wait
    rm -f "$run/$new.pid"
    fail "$new did not come, see $log; $old serves on"
}

drain_old() {
    # Calls under way are finished, new ones go elsewhere.
    etcdnaming drain "$target/$old" >/dev/null ||
        fail "$old can't be drained; $new serves beside it"
    sleep "$drain"
}

remove_old() {
    etcdnaming del --must-exist "$target/$old" >/dev/null ||
        fail "$old can't be deleted, but is drained; $new serves beside it"
    if etcdnaming wait "$target" --addr "$old" --timeout 2s >/dev/null 2>&1; then
        fail "$old is back: its holder restores it (--on-delete); end that process"
    fi
    etcdnaming wait "$target" --min "$before" --addr "$new" --gone "$old" --timeout "$timeout" ||
        fail "$target is not as it should be: $new without $old, and $before in all"
}

end_old() {
    pid=$(cat "$run/$old.pid" 2>/dev/null) || pid=
    if [[ -z $pid || $(ps -o args= -p "$pid") != *"--addr $old "* ]]; then
        echo "deploy: $old gets no more calls; end that process" >&2
        return
    fi
    # It is drained, and the second signal skips its own --drain.
    kill "$pid"
    sleep 1
    kill "$pid" 2>/dev/null || true
    tail --pid="$pid" -f /dev/null # --stop-timeout later at the latest
    rm -f "$run/$old.pid"
}

(($# >= 4)) || {
    echo "usage: deploy.sh TARGET OLD NEW COMMAND..." >&2
    exit 2
}
target=$1 old=$2 new=$3
shift 3

etcdnaming wait "$target" --addr "$old" --timeout 0 >/dev/null ||
    fail "$old is not there to be replaced; nothing was done"
before=$(etcdnaming list "$target" --count-only)
start_new "$@"
wait_for_new
drain_old
remove_old
end_old
