"""`etcdnaming lease-register` as PID 1 of a container."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import AT_ONCE, Etcd, Process, wait_until
from harness.environment import Changes, pointing_at
from harness.process import command
from harness.registering import KEY, REGISTER, children_of, is_empty, print_signals, signal_times

ORPHANS = Path(__file__).parent.parent / "process_programs" / "orphans.py"
Contain = Callable[..., Process]


@pytest.fixture
def contain(etcd: Etcd, namespace: list[str]) -> Iterator[Contain]:
    """``contain(*args)``: run ``etcdnaming ARGS`` as PID 1 of a PID namespace."""
    started: list[Process] = []

    def contain(*args: str, env: Changes | None = None) -> Process:
        environment = pointing_at(etcd.endpoint, env)
        started.append(Process([*namespace, *command(*args)], environment))
        return started[-1]

    yield contain
    for each in started:
        each.close()


def send(process: Process, number: int) -> None:
    """Send a signal to PID 1 of the namespace."""
    (first,) = children_of(process.pid)
    os.kill(first, number)


def test_pid_1_reaps_orphans_and_returns_the_exit_code(contain: Contain, etcd: Etcd) -> None:
    """Also while it runs a registration and the commands of a check."""
    check = ("--check", "exec:true", "--check-interval", "100ms")
    process = contain(*REGISTER, *check, "--", sys.executable, str(ORPHANS), "200")

    result = process.finish()
    assert (result.status, result.out) == (7, "200 adopted, 0 left\n")
    assert is_empty(etcd)


def test_pid_1_forwards_all_signals(contain: Contain, etcd: Etcd) -> None:
    """The kernel drops signals for which PID 1 has no handler."""
    process = contain(*REGISTER, "--drain", "300ms", "--", *print_signals("SIGTERM"))
    process.wait_for_out("begun")
    process.wait_for_err("OK\n")
    for name in ("HUP", "QUIT", "USR1", "USR2", "WINCH"):
        send(process, signal.Signals[f"SIG{name}"])
        process.wait_for_out(f"SIG{name} ")
    assert etcd.get(KEY)
    begin = time.time()
    send(process, signal.SIGTERM)

    assert process.finish().status == 0
    assert 0.3 < signal_times(process)["SIGTERM"] - begin < 0.3 + AT_ONCE
    assert is_empty(etcd)


@pytest.mark.parametrize("last", ["TERM", "INT"])
def test_pid_1_forwards_all_signals_without_etcd(contain: Contain, last: str) -> None:
    """And it ends without a drain."""
    nowhere = ("--endpoints", "127.0.0.1:1", "--dial-timeout", "500ms", "--drain", "1m")
    process = contain(*REGISTER, *nowhere, "--", *print_signals(f"SIG{last}"))
    process.wait_for_out("begun")
    process.wait_for_err("no etcd endpoint reached")
    for name in ("HUP", "QUIT", "USR1", "USR2", "WINCH", last):
        send(process, signal.Signals[f"SIG{name}"])
        process.wait_for_out(f"SIG{name} ")

    assert process.finish().status == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_pid_1_can_be_stopped_before_its_command_starts(
    contain: Contain, etcd: Etcd, number: int, status: int
) -> None:
    """It must exit by itself: the kernel ignores fatal signals to PID 1."""
    etcd.put(KEY, "{}", etcd.grant(60))
    wait = ("--start", "registered", "--on-conflict", "wait")
    process = contain(*REGISTER, *wait, "--", "echo", "ran")
    process.wait_for_err("waiting until it is released")
    send(process, number)

    result = process.finish()
    assert (result.status, result.out) == (status, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_pid_1_can_be_stopped_while_it_starts(contain: Contain, etcd: Etcd, number: int) -> None:
    """A container that is stopped at once ends at once."""
    process = contain(*REGISTER, "--", "sleep", "60", env={"PYTHONPROFILEIMPORTTIME": "1"})
    process.wait_for_err(" click.core\n")
    send(process, number)

    assert process.finish().status == 128 + number
    assert is_empty(etcd)


def test_pid_1_without_a_command_exits_with_0(contain: Contain, etcd: Etcd) -> None:
    """Nothing is left in etcd."""
    process = contain(*REGISTER)
    process.wait_for_out("OK\n")
    send(process, signal.SIGTERM)

    assert process.finish().status == 0
    assert is_empty(etcd)


def test_pid_1_exit_kills_processes_that_left_the_group(contain: Contain, etcd: Etcd) -> None:
    """After the command has exited."""
    process = contain(*REGISTER, "--", "sh", "-c", "setsid sleep 60 & sleep 0.5; exit 6")

    assert process.finish().status == 6  # waits until the pipes of stdout and stderr are closed
    wait_until(lambda: is_empty(etcd))
