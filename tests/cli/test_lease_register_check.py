"""`etcdnaming lease-register --check`: endpoints are registered only while the check passes."""

from __future__ import annotations

import re
import signal
import socket
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from harness import AT_ONCE, Etcd, Process, Run, Spawn, wait_until
from harness.environment import pointing_at
from harness.health import NOT_SERVING, SERVING, HealthServer
from harness.pids import parent_of
from harness.ports import free_port
from harness.registering import ADDR, KEY, REGISTER, changes, is_empty, kinds
from harness.timeline import Timeline

OFTEN = ("--check-interval", "200ms", "--check-failures", "3")


def reason(process: Process, kind: str = "unhealthy") -> str:
    """Return the reason of the last change of this *kind*."""
    words: str = [each for each in changes(process.out) if each["type"] == kind][-1]["reason"]
    return words


def wait_for(process: Process, kind: str, times: int = 1) -> None:
    """Wait until a change of this *kind* was printed so many *times*."""
    wait_until(lambda: kinds(process.out).count(kind) >= times)


def test_tcp_check_registers_only_while_the_port_is_open(spawn: Spawn, etcd: Etcd) -> None:
    """The endpoint returns when the port opens again, and the lease stays."""
    port = free_port()
    process = spawn(*REGISTER, "--check", f"tcp://127.0.0.1:{port}", *OFTEN, "-w", "json")
    time.sleep(1.5)
    assert is_empty(etcd)
    assert process.out == ""

    for times in (1, 2):
        with socket.create_server(("127.0.0.1", port)):
            begin = time.monotonic()
            wait_until(lambda: etcd.get(KEY))
        gone = time.monotonic()
        wait_for(process, "withdrawn", times)
        assert not etcd.get(KEY)
        assert time.monotonic() - gone < 3 * 0.2 + AT_ONCE
        assert gone - begin < AT_ONCE
        assert len(etcd.leases()) == 1
    assert reason(process) == "connection refused"
    again = ["healthy", "registered", "unhealthy", "withdrawn"]
    assert kinds(process.out) == ["healthy", "granted", *again[1:], *again]


def test_grpc_check_follows_the_health_of_the_server(spawn: Spawn, etcd: Etcd) -> None:
    """The reason of a failure is printed."""
    port = free_port()
    check = ("--check", f"grpc://127.0.0.1:{port}", *OFTEN)
    process = spawn(*REGISTER, *check, "-w", "json")
    with HealthServer({"": NOT_SERVING}, port) as server:
        time.sleep(1)
        assert is_empty(etcd)
        server.statuses[""] = SERVING
        wait_until(lambda: etcd.get(KEY))
        server.statuses[""] = NOT_SERVING
        wait_for(process, "withdrawn")
        assert reason(process) == "NOT_SERVING"
        server.statuses[""] = SERVING
        wait_for(process, "registered", 2)
        server.statuses.clear()
        wait_for(process, "withdrawn", 2)
        assert reason(process) == "NOT_FOUND: unknown service"


def test_grpc_check_follows_the_health_of_one_service(spawn: Spawn, etcd: Etcd) -> None:
    """Its name may be long; other services do not matter."""
    name = "foo.Bar" * 30
    with HealthServer({"": NOT_SERVING, name: SERVING}) as server:
        process = spawn(*REGISTER, "--check", f"grpc://{server.address}/{name}", *OFTEN)
        process.wait_for_out("OK\n")
        server.statuses[name] = NOT_SERVING
        process.wait_for_err(f"unhealthy {KEY} {ADDR}: NOT_SERVING\n")
        wait_until(lambda: not etcd.get(KEY))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("grpc", "the server has no grpc.health.v1.Health service"),
        ("exec:sh -c 'echo one; echo two >&2; echo; exit 4'", "exit code 4: two"),
        ("exec:sh -c 'kill -9 $$'", "exit code 137"),
        (f"tcp://{'a' * 70}:80", "invalid host name"),
    ],
    ids=["no health service", "exit code", "killed", "no name"],
)
def test_lease_register_exits_with_124_when_the_check_never_passes(
    spawn: Spawn, etcd: Etcd, spec: str, words: str
) -> None:
    """CMD is ended; the error has the reason of the last failure."""
    with HealthServer(None) as server:
        check = f"grpc://{server.address}" if spec == "grpc" else spec
        cmd = ["--", "sh", "-c", "echo $$; exec sleep 60"]
        result = spawn(*REGISTER, "--check", check, "--check-timeout", "3s", *cmd).finish()

    assert result.status == 124
    assert result.err.startswith("Error: the check did not pass in 3s: ")
    assert words in result.err
    assert result.err.count("\n") == 1
    assert parent_of(int(result.out)) == 0
    assert is_empty(etcd)


@pytest.mark.parametrize("kind", ["exec", "tcp", "grpc"])
def test_check_fails_when_it_does_not_answer(spawn: Spawn, etcd: Etcd, kind: str) -> None:
    """All kinds have the same time limit."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as stack:
        for _ in range(3):  # they fill the backlog; later connections get no answer
            pending = stack.enter_context(socket.socket())
            pending.setblocking(False)
            pending.connect_ex(server.getsockname())
        spec = "exec:sleep 60" if kind == "exec" else f"{kind}://127.0.0.1:{port_of(server)}"
        limits = ("--check-interval", "200ms", "--check-timeout", "3s")
        result = spawn(*REGISTER, "--check", spec, *limits).finish()

    assert result.status == 124
    assert any(each in result.err for each in ("no answer in", "timed out", "DEADLINE"))
    assert is_empty(etcd)


def port_of(server: socket.socket) -> int:
    """Return the port that *server* listens on."""
    port: int = server.getsockname()[1]
    return port


def test_exec_check_is_killed_when_it_does_not_exit(
    spawn: Spawn, etcd: Etcd, tmp_path: Path
) -> None:
    """No process of it is left, and the next run may pass."""
    hang, pids = tmp_path / "hang", tmp_path / "pids"
    script = f"if [ -e {hang} ]; then echo $$ >> {pids}; sleep 60; sleep 60; fi"
    often = ("--check-interval", "200ms", "--check-failures", "2")
    process = spawn(*REGISTER, "--check", f"exec:sh -c '{script}'", *often, "-w", "json")
    wait_for(process, "registered")
    hang.touch()
    wait_for(process, "withdrawn")
    assert reason(process) == "no answer in 1s"
    wait_until(lambda: len(pids.read_text().split()) >= 3)
    *ended, _ = map(int, pids.read_text().split())
    assert [parent_of(pid) for pid in ended] == [0] * len(ended)
    hang.unlink()
    wait_for(process, "registered", 2)


def test_exec_check_output_is_discarded_when_it_passes(
    spawn: Spawn, etcd: Etcd, tmp_path: Path
) -> None:
    """It goes neither to the streams of lease-register or CMD nor to a disk."""
    out = tmp_path / "out"
    listed = f"ls /proc/self/fd > {out}.new; mv {out}.new {out}"  # checks go on meanwhile
    check = f"exec:sh -c 'yes | head -c 1000000; yes | head -c 9 >&2; {listed}'"
    process = spawn(
        *(*REGISTER, "--check", check, "--", "sh", "-c", "echo begun; exec sleep 60"),
        env={"TMPDIR": "/nonexistent", "NOTIFY_SOCKET": "/nonexistent"},
    )
    process.wait_for_err("NOTIFY_SOCKET")
    assert process.out == "begun\n"
    assert "\ny\n" not in process.err
    assert out.read_text().split() == ["0", "1", "2", "3"]


def test_lease_register_logs_each_event_in_one_line_with_key_and_address(
    spawn: Spawn, run: Run, etcd: Etcd
) -> None:
    """Nothing is said twice, not even when etcd loses the lease."""
    with HealthServer({"": SERVING}) as server:
        check = ("--check", f"grpc://{server.address}", *OFTEN)
        process = spawn(*REGISTER, *check, "--drain", "10ms", "--", "sleep", "60")
        process.wait_for_err(f"registered {KEY} {ADDR}\nOK\n")
        lease = f"{etcd.lease_of(KEY):016x}"
        assert run("drain", KEY).status == 0
        process.wait_for_err("\ndraining ")
        etcd.ctl("lease", "revoke", lease)
        process.wait_for_err("\nregained ")
        another = f"{etcd.lease_of(KEY):016x}"
        etcd.delete(KEY)
        process.wait_for_err("it was deleted\n")
        server.statuses[""] = NOT_SERVING
        process.wait_for_err("\nderegistered ")
        server.statuses[""] = SERVING
        process.wait_for_err("\nhealthy ")
        wait_until(lambda: etcd.get(KEY))
        process.signal(signal.SIGTERM)
        process.finish()

    change = f'changed by another client to {ADDR} {{"draining":true}}; keeping it'
    # Who finds out first is chance: the keep-alive, or the write of the deleted key.
    said = re.sub(f"(?m)(?<={lease}: ).+", "gone", process.err)
    assert re.sub("after .*s", "after 1s", said) == (
        f"healthy {KEY} {ADDR}\n"
        f"lease {lease} granted with TTL(10s)\n"
        f"registered {KEY} {ADDR}\n"
        "OK\n"
        f"draining {KEY} {ADDR}: {change}\n"
        f"lost {KEY} {ADDR}: lease {lease}: gone\n"
        f"lease {another} granted with TTL(10s)\n"
        f"regained {KEY} {ADDR} after 1s\n"
        f"draining {KEY} {ADDR} again: it was deleted\n"
        f"unhealthy {KEY} {ADDR}: NOT_SERVING\n"
        f"deregistered {KEY} {ADDR}\n"
        f"healthy {KEY} {ADDR}\n"
        f"draining {KEY} {ADDR}\n"
        f"draining {KEY} {ADDR} for 0.01s\n"
        f"deregistered {KEY} {ADDR}\n"
        f"lease {another} revoked\n"
    )


def test_exec_check_processes_are_killed_when_it_exits(
    spawn: Spawn, etcd: Etcd, tmp_path: Path
) -> None:
    """Otherwise each run would leave one more."""
    pids = tmp_path / "pids"
    check = f"exec:sh -c 'sleep 60 & echo $! >> {pids}'"
    process = spawn(*REGISTER, "--check", check, *OFTEN)
    process.wait_for_out("OK\n")
    wait_until(lambda: len(pids.read_text().split()) >= 3)

    started = [int(pid) for pid in pids.read_text().split()]
    wait_until(lambda: all(parent_of(pid) == 0 for pid in started[:2]))


def test_command_runs_on_when_its_check_fails(spawn: Spawn, etcd: Etcd) -> None:
    """Only the endpoint is deleted."""
    with Timeline(etcd) as timeline, socket.create_server(("127.0.0.1", 0)) as server:
        check = ("--check", f"tcp://127.0.0.1:{server.getsockname()[1]}", *OFTEN)
        process = spawn(*REGISTER, *check, "--", "sh", "-c", "echo $$; exec sleep 60")
        process.wait_for_err("OK\n")
        server.close()
        process.wait_for_err(f"unhealthy {KEY} {ADDR}: connection refused\n")
        timeline.when("DELETE")
        assert parent_of(int(process.out)) == process.pid
        process.signal(signal.SIGTERM)
        assert process.finish().status == 143
        assert is_empty(etcd)


def test_command_is_never_registered_when_it_exits_before_its_check_passes(
    spawn: Spawn, etcd: Etcd
) -> None:
    """Its exit code is returned."""
    with Timeline(etcd) as timeline:
        check = ("--check", f"tcp://127.0.0.1:{free_port()}")
        process = spawn(*REGISTER, *check, "--", "sh", "-c", "sleep 0.3; exit 9")

        assert process.finish() == (9, "", "")
        assert timeline.moments == []


FULL_TABLE = """
import sys, threading
from etcdnaming.cli import main

start, failures = threading.Thread.start, dict.fromkeys(sys.argv[1].split(), 2)

def fail(thread):
    if failures.get(thread.name):
        failures[thread.name] -= 1
        raise RuntimeError("can't start new thread")
    start(thread)

threading.Thread.start = fail
sys.exit(main(sys.argv[2:]))
"""
"""The program, on a system where threads of these names can't be started twice."""


@pytest.mark.parametrize("check", ["tcp", "exec"])
def test_lease_register_goes_on_when_no_thread_can_be_started(etcd: Etcd, check: str) -> None:
    """A check that can not run has failed; a registration that can not start is retried."""
    names = "etcdnaming-check etcdnaming-check-output etcdnaming-registration etcdnaming-leases"
    spec = f"tcp://{etcd.endpoint}" if check == "tcp" else "exec:true"
    arguments = [*REGISTER, "--check", spec, *OFTEN, "-w", "json", "--", "sleep", "60"]
    program = [sys.executable, "-c", FULL_TABLE, names, *arguments]
    with closing(Process(program, pointing_at(etcd.endpoint, {}))) as process:
        process.wait_for_err('"registered"', timeout=30)
        assert etcd.get(KEY)
        assert "can't start new thread" in process.err
        process.signal(signal.SIGTERM)
        wait_until(lambda: is_empty(etcd), timeout=30)
        assert process.finish(30).status == 128 + signal.SIGTERM
