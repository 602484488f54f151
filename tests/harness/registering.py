"""Start `etcdnaming lease-register`, and read its output."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from .etcdctl import Etcdctl
from .pids import parent_of, pids
from .process import Process

__all__ = [
    "ADDR",
    "KEY",
    "REGISTER",
    "VALUE",
    "changes",
    "children_of",
    "is_empty",
    "kinds",
    "print_signals",
    "signal_times",
]

KEY, ADDR = "svc/e1", "1.2.3.4:80"
REGISTER = ("lease-register", KEY, "--addr", ADDR)
VALUE = b'{"Op":0,"Addr":"1.2.3.4:80","Metadata":null}'

PRINT_SIGNALS = """
import os, signal, sys, time
def handle(number, _):
    os.write(1, b"%s %f\\n" % (signal.Signals(number).name.encode(), time.time()))
    if number in ENDS:
        os._exit(0)
ENDS = [getattr(signal, name) for name in sys.argv[1:]]
for name in "TERM INT HUP QUIT USR1 USR2 WINCH".split():
    signal.signal(getattr(signal, "SIG" + name), handle)
os.write(1, b"begun %d\\n" % os.getpid())
while True:
    time.sleep(60)
"""


def print_signals(*ends: str) -> list[str]:
    """Return a command that prints each signal it gets and the time; those in *ends* end it."""
    return [sys.executable, "-I", "-S", "-c", PRINT_SIGNALS, *ends]


def signal_times(process: Process) -> dict[str, float]:
    """Return the times at which the command of `print_signals` got its signals."""
    words = (line.split() for line in process.out.splitlines())
    return {name: float(at) for name, at in words}


def changes(text: str) -> list[Any]:
    """Return the objects that ``-w json`` printed."""
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def kinds(text: str) -> list[str]:
    """Return the types of these objects."""
    return [each["type"] for each in changes(text)]


def is_empty(etcd: Etcdctl) -> bool:
    """Return whether etcd has neither keys below svc/ nor leases."""
    return not etcd.entries("svc/") and not etcd.leases()


def children_of(pid: int) -> Sequence[int]:
    """Return the child processes of *pid*."""
    return [each for each in pids() if parent_of(each) == pid]
