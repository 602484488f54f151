"""Run the command lines in examples/, with addresses and paths replaced."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc

from etcdnaming.cli.commands.lease_register import command

from .etcdctl import Etcdctl
from .process import Process
from .waiting import wait_until

__all__ = [
    "EXAMPLES",
    "KEYS",
    "SERVER",
    "endpoints",
    "environment",
    "hello",
    "host_address",
    "leave_in_order",
    "passes",
    "replaced",
    "seconds_to_stop",
]

EXAMPLES = Path(__file__).parent.parent.parent / "examples"

SERVER = EXAMPLES / "container" / "server.py"

KEYS = "foo/bar/svc/"
"""The target of all examples."""


def replaced(words: Sequence[str], places: Mapping[str, str]) -> list[str]:
    """Return *words* with *places* replaced; fail the test if one of them does not occur."""
    for place, new in places.items():
        assert any(place in word for word in words), f"there is no {place} in {words}"
        words = [word.replace(place, new) for word in words]
    return list(words)


def seconds_to_stop(words: Sequence[str]) -> float:
    """Return the promised time limit for the shutdown of ``etcdnaming lease-register …``."""
    name, subcommand, *args = words
    assert (Path(name).name, subcommand) == ("etcdnaming", "lease-register")
    with command.make_context(subcommand, args) as context:
        return float(context.params["drain"] + context.params["stop_timeout"] + 2)


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return `os.environ` with *variables*, and the program's directory in ``PATH``."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, **variables}


def passes(probe: Sequence[str]) -> bool:
    """Return whether *probe* exits with 0; fail the test if with anything but 0 or 1."""
    done = subprocess.run(probe, capture_output=True, timeout=30, check=False)
    assert done.returncode in {0, 1}, done
    return done.returncode == 0


def hello(addr: str) -> str:
    """Return the answer of the example server at *addr*."""
    with grpc.insecure_channel(addr, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        call: Any = channel.unary_unary("/example.Greeter/Hello")
        return bytes(call(b"test", timeout=5)).decode()


def host_address() -> str:
    """Return an address of this machine that others can dial; ``""`` if there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent
        except OSError:
            return ""
        address = str(probe.getsockname()[0])
        return "" if address.startswith("127.") else address


def leave_in_order(
    process: Process, tell: Callable[[], None], etcd: Etcdctl, name: str, addr: str
) -> float:
    """
    Stop the server at *addr*, registered as *name*, and return the seconds that took.

    Its endpoint is deleted first, while the server still answers; then it exits with 0.
    """
    assert name in endpoints(etcd)
    start = time.monotonic()
    tell()
    wait_until(lambda: name not in endpoints(etcd))
    assert hello(addr).startswith("hello test from ")
    assert process.finish(timeout=30).status == 0
    return time.monotonic() - start


def endpoints(etcd: Etcdctl) -> dict[str, str]:
    """Return the registered addresses by name."""
    found = etcd.get(KEYS)
    return {key.decode().removeprefix(KEYS): json.loads(found[key])["Addr"] for key in found}
