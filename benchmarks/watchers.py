"""Watchers of the endpoints that Go's ``naming`` program adds: ours, Go's own, and grpcio alone."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

import grpc

from etcdnaming.endpoints.manager import EndpointManager
from etcdnaming.etcd import Client, rpc

__all__ = ["Observed", "Seen", "Watcher", "go_sees", "grpcio_sees", "we_see"]


SILENCE = 30.0
"""Seconds after which the writer of the changes is given up."""


class Seen(NamedTuple):
    """The times when a change was made and when it was seen, as in `time.monotonic_ns`."""

    added: int
    at: int


class Observed(NamedTuple):
    """All changes in order, and the output of the program that made them."""

    changes: Sequence[Seen]
    said: str


Watcher = Callable[[str, int, Sequence[str]], Observed]
"""Watches *endpoint* while *command* makes *count* changes."""


def we_see(endpoint: str, count: int, command: Sequence[str]) -> Observed:
    """Watch with `EndpointManager.watch`."""
    seen: list[Seen] = []
    with Client([endpoint]) as client, EndpointManager(client, "svc").watch() as watch:
        while watch.get(1):  # until the first set has arrived and the stream after it is open
            pass
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            while len(seen) < count:
                batch = watch.get(SILENCE)
                at = time.monotonic_ns()
                if batch is None:
                    raise TimeoutError(f"{len(seen)} of {count} changes were made")
                adds = (each.endpoint for each in batch.changes if each.endpoint)
                seen += [Seen(int(endpoint.addr), at) for endpoint in adds]
            said, _ = writer.communicate()
    return Observed(seen, said)


def grpcio_sees(endpoint: str, count: int, command: Sequence[str]) -> Observed:
    """Watch with a bare stream that keeps no state: the floor for Python."""
    seen: list[Seen] = []
    requests: SimpleQueue[rpc.WatchRequest | None] = SimpleQueue()
    create = rpc.WatchCreateRequest(key=b"svc/", range_end=b"svc0")
    requests.put(rpc.WatchRequest(create_request=create))
    with grpc.insecure_channel(endpoint) as channel:  # closing it ends the stream
        watch = channel.stream_stream(
            "/etcdserverpb.Watch/Watch",
            request_serializer=rpc.WatchRequest.SerializeToString,
            response_deserializer=rpc.WatchResponse.FromString,
        )
        answers = watch(iter(requests.get, None))
        next(answers)  # the watch is created
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            while len(seen) < count:
                values = [json.loads(event.kv.value) for event in next(answers).events]
                at = time.monotonic_ns()
                seen += [Seen(int(each["Addr"]), at) for each in values]
            said, _ = writer.communicate()
    return Observed(seen, said)


def go_sees(go: Path) -> Watcher:
    """Return a watcher that uses Go's watch channel."""

    def sees(endpoint: str, count: int, command: Sequence[str]) -> Observed:
        watch = [str(go), "watch", endpoint, str(count)]
        with subprocess.Popen(watch, stdout=subprocess.PIPE, text=True) as watcher:
            _ready = watcher.stdout and watcher.stdout.readline()  # wait until it is ready
            said = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
            lines, _ = watcher.communicate()
        return Observed([Seen(*map(int, line.split())) for line in lines.splitlines()], said)

    return sees
