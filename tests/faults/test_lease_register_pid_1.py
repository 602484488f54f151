"""`etcdnaming lease-register` as what a container runs: it is PID 1."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import AT_ONCE, Etcd, Process, wait_until
from harness.environment import Changes, pointing_at
from harness.process import command
from harness.registering import KEY, REGISTER, children_of, hearing, is_empty, times

ORPHANS = Path(__file__).parent.parent / "process_programs" / "orphans.py"
NAMESPACE = ["unshare", "--pid", "--fork", "--mount-proc"]

Contain = Callable[..., Process]


@pytest.fixture
def contain(etcd: Etcd) -> Iterator[Contain]:
    """``contain(*args)``: ``etcdnaming ARGS`` as PID 1."""
    try:
        subprocess.run([*NAMESPACE, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        pytest.skip(f"no PID namespaces here: {exc}")
    started: list[Process] = []

    def contain(*args: str, env: Changes | None = None) -> Process:
        environment = pointing_at(etcd.endpoint, env)
        started.append(Process([*NAMESPACE, *command(*args)], environment))
        return started[-1]

    yield contain
    for each in started:
        each.close()


def send(process: Process, number: int) -> None:
    """Send a signal to PID 1 in there."""
    (first,) = children_of(process.pid)
    os.kill(first, number)


def test_orphans_are_reaped_and_the_exit_code_is_right(contain: Contain, etcd: Etcd) -> None:
    """Also while the endpoint is registered, and checked by commands."""
    check = ("--check", "exec:true", "--check-interval", "100ms")
    process = contain(*REGISTER, *check, "--", sys.executable, str(ORPHANS), "200")

    result = process.finish()
    assert (result.status, result.out) == (7, "200 adopted, 0 left\n")
    assert is_empty(etcd)


def test_all_signals_reach_the_command(contain: Contain, etcd: Etcd) -> None:
    """Although the kernel drops those for which PID 1 has no handler."""
    process = contain(*REGISTER, "--drain", "300ms", "--", *hearing("SIGTERM"))
    process.wait_for_out("begun")
    process.wait_for_err("OK\n")
    for name in ("HUP", "QUIT", "USR1", "USR2", "WINCH"):
        send(process, signal.Signals[f"SIG{name}"])
        process.wait_for_out(f"SIG{name} ")
    assert etcd.get(KEY)
    begin = time.time()
    send(process, signal.SIGTERM)

    assert process.finish().status == 0
    assert 0.3 < times(process)["SIGTERM"] - begin < 0.3 + AT_ONCE
    assert is_empty(etcd)


@pytest.mark.parametrize("last", ["TERM", "INT"])
def test_all_signals_reach_the_command_without_any_etcd(contain: Contain, last: str) -> None:
    """That is no reason to be deaf."""
    nowhere = ("--endpoints", "127.0.0.1:1", "--dial-timeout", "500ms", "--drain", "1m")
    process = contain(*REGISTER, *nowhere, "--", *hearing(f"SIG{last}"))
    process.wait_for_out("begun")
    process.wait_for_err("no etcd endpoint reached")
    for name in ("HUP", "QUIT", "USR1", "USR2", "WINCH", last):
        send(process, signal.Signals[f"SIG{name}"])
        process.wait_for_out(f"SIG{name} ")

    assert process.finish().status == 0


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_it_can_be_stopped_before_its_command_begins(
    contain: Contain, etcd: Etcd, number: int, status: int
) -> None:
    """The kernel would let no signal end it."""
    etcd.put(KEY, "{}", etcd.grant(60))
    wait = ("--start", "registered", "--on-conflict", "wait")
    process = contain(*REGISTER, *wait, "--", "echo", "ran")
    process.wait_for_err("waiting until it is released")
    send(process, number)

    result = process.finish()
    assert (result.status, result.out) == (status, "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_can_be_stopped_before_it_has_begun(contain: Contain, etcd: Etcd, number: int) -> None:
    """A container that is stopped as soon as it is started is not waited for."""
    process = contain(*REGISTER, "--", "sleep", "60", env={"PYTHONPROFILEIMPORTTIME": "1"})
    process.wait_for_err(" click.core\n")
    send(process, number)

    assert process.finish().status == 128 + number
    assert is_empty(etcd)


def test_without_a_command_it_ends_as_anywhere(contain: Contain, etcd: Etcd) -> None:
    """And leaves nothing behind."""
    process = contain(*REGISTER)
    process.wait_for_out("OK\n")
    send(process, signal.SIGTERM)

    assert process.finish().status == 0
    assert is_empty(etcd)


def test_everything_goes_with_it(contain: Contain, etcd: Etcd) -> None:
    """Also what has left the group of the command, when that ends."""
    process = contain(*REGISTER, "--", "sh", "-c", "setsid sleep 60 & sleep 0.5; exit 6")

    assert process.finish().status == 6  # it waits until nobody holds the output
    wait_until(lambda: is_empty(etcd))
