"""`etcdnaming lease-register … -- CMD`: what CMD inherits, and what happens when either exits."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import AT_ONCE, TIMEOUT, Etcd, Shell, Spawn, wait_until
from harness.environment import pointing_at
from harness.pids import parent_of
from harness.process import command
from harness.registering import KEY, REGISTER, VALUE, is_empty
from harness.timeline import Timeline

from etcdnaming.cli.output import FORMATS

DIE = "import os, signal, time; time.sleep(0.3); os.write(1, b'%f' % time.time()); "


def test_command_inherits_stdin_stdout_and_stderr(etcd: Etcd) -> None:
    """All bytes are preserved; stderr also has the messages of lease-register."""
    script = r"cat; printf '\0\377out'; printf '\0\377err\n' >&2; ls /proc/self/fd | wc -l"
    cmd = ["sh", "-c", script]
    wrapped = command(*REGISTER, "--endpoints", etcd.endpoint, "--", *cmd)

    wrapped_run, plain = (
        subprocess.run(args, input=b"in\0\xfe", capture_output=True, check=True, timeout=20)
        for args in (wrapped, cmd)
    )

    assert wrapped_run.stdout == plain.stdout
    rest = [line for line in wrapped_run.stderr.splitlines(keepends=True) if not _is_message(line)]
    assert b"".join(rest) == plain.stderr == b"\0\xfferr\n"


def _is_message(line: bytes) -> bool:
    return line == b"OK\n" or line.startswith((b"lease ", b"registered ", b"deregistered "))


def test_command_inherits_the_environment(spawn: Spawn, etcd: Etcd) -> None:
    """The variables for the notifications of systemd are removed."""
    process = spawn(
        *(*REGISTER, "--", sys.executable, "-c", "import os; print(sorted(os.environ.items()))"),
        env={"NOTIFY_SOCKET": "/nonexistent", "VARIABLE": "\udcff"},
    )

    expected = pointing_at(etcd.endpoint, {"VARIABLE": "\udcff"})
    expected.pop("LC_CTYPE", None)  # Python sets it in a C locale
    expected.pop("GRPC_XDS_BOOTSTRAP_CONFIG", None)  # of a channel of another test
    seen = dict(eval(process.finish().out))  # noqa: S307 - printed by the line above
    seen.pop("LC_CTYPE", None)
    assert seen == expected


@pytest.mark.parametrize(
    ("start", "script", "status"),
    [
        ("now", "exit 0", 0),
        ("now", "exit 126", 126),
        ("now", "kill -9 $$", 137),
        ("now", "ulimit -c 0; kill -11 $$", 139),
        ("registered", "exit 3", 3),
        ("registered", "exit 127", 127),
        ("registered", "kill -15 $$", 143),
    ],
)
def test_lease_register_returns_the_exit_code_of_the_command(
    spawn: Spawn, etcd: Etcd, start: str, script: str, status: int
) -> None:
    """Nothing is left in etcd, whether CMD exits before or after it is registered."""
    result = spawn(*REGISTER, "--start", start, "--", "sh", "-c", script).finish()

    assert (result.status, result.out) == (status, "")
    assert "Error" not in result.err
    assert is_empty(etcd)


@pytest.mark.parametrize(
    "end", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGKILL)", "os.abort()"]
)
def test_endpoint_is_deleted_at_once_when_the_command_crashes(
    spawn: Spawn, etcd: Etcd, end: str
) -> None:
    """The lease is revoked too."""
    with Timeline(etcd) as timeline:
        limit = "import resource; resource.setrlimit(resource.RLIMIT_CORE, (0, 0)); "
        cmd = [sys.executable, "-c", limit + DIE + end]
        process = spawn(*REGISTER, "--start", "registered", "--", *cmd)
        result = process.finish()

        assert timeline.when("DELETE") - float(result.out) < AT_ONCE
        assert is_empty(etcd)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x7fELF", "Exec format error"),
        (b"#!/bin/sh\r\nexit 0\r\n", "interpreter not found (check the #! line)"),
    ],
)
def test_lease_register_cleans_up_when_the_command_can_not_be_executed(
    spawn: Spawn, etcd: Etcd, tmp_path: Path, content: bytes, words: str
) -> None:
    """The file is executable, but is no program, or has the line ends of Windows."""
    file = tmp_path / "program"
    file.write_bytes(content)
    file.chmod(0o755)

    result = spawn(*REGISTER, "--start", "registered", "--", file).finish()

    assert (result.status, result.out) == (126, "")
    assert result.err.endswith(f"Error: {file}: {words}\n")
    assert is_empty(etcd)


def test_command_is_killed_when_lease_register_is_killed(spawn: Spawn, etcd: Etcd) -> None:
    """The key expires with its lease."""
    process = spawn(*REGISTER, "--ttl", "2", "--", "sh", "-c", "echo $$; exec sleep 60")
    process.wait_for_err("OK\n")
    process.wait_for_out("\n")
    begin = time.monotonic()
    process.signal(signal.SIGKILL)

    wait_until(lambda: parent_of(int(process.out)) == 0)
    wait_until(lambda: not etcd.get(KEY))
    assert time.monotonic() - begin < 2 + 2 + AT_ONCE
    assert etcd.leases() == []


@pytest.mark.parametrize("stop", [True, False], ids=["signalled", "exits by itself"])
def test_process_group_is_killed_when_the_command_ends(
    spawn: Spawn, etcd: Etcd, stop: bool
) -> None:
    """Processes that ignore SIGTERM are killed, too."""
    left = "trap '' TERM; sleep 60 & echo $! $$; echo; "
    last = "while :; do sleep 1; done" if stop else "exit 3"
    process = spawn(*REGISTER, "--stop-timeout", "500ms", "--", "bash", "-c", left + last)
    process.wait_for_out("\n\n")
    process.wait_for_err("OK\n" if stop else "")
    if stop:
        process.signal(signal.SIGTERM)

    result = process.finish()
    assert result.status == (137 if stop else 3)
    assert [parent_of(int(pid)) for pid in result.out.split()] == [0, 0]
    assert is_empty(etcd)


def test_lease_register_does_not_wait_for_processes_that_left_the_group(
    spawn: Spawn, etcd: Etcd
) -> None:
    """A daemon is independent, unless lease-register is PID 1."""
    script = "setsid sh -c 'echo $$; exec sleep 60 >/dev/null 2>&1' & sleep 0.3; exit 4"
    process = spawn(*REGISTER, "--start", "registered", "--", "sh", "-c", script)
    process.wait_for_out("\n")
    process.stdin.close()
    process.wait_for_err("revoked")

    os.kill(int(process.out), signal.SIGKILL)
    assert process.finish().status == 4


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full", ">&-", "<&- >&- 2>&-"])
def test_command_runs_when_its_streams_are_closed_or_full(
    shell: Shell, etcd: Etcd, tmp_path: Path, streams: str
) -> None:
    """They belong to CMD; the messages of lease-register do not matter."""
    file = tmp_path / "ran"
    cmd = f"sh -c 'sleep 0.3; etcdctl get --print-value-only {KEY} > {file}; exit 5'"
    script = f"etcdnaming {' '.join(REGISTER)} --start registered -- {cmd} {streams}"

    result = shell(script)

    assert (result.status, result.out) == (5, "")
    assert file.read_bytes().strip() == VALUE
    assert is_empty(etcd)


@pytest.mark.parametrize("name", FORMATS)
def test_lease_register_goes_on_when_stderr_is_a_broken_pipe(
    etcd: Etcd, tmp_path: Path, name: str
) -> None:
    """The endpoint is still restored, and the shutdown is in order."""
    process, reader = _run_with_full_stderr(etcd, "-w", name)
    os.close(reader)
    wait_until(lambda: KEY.encode() in etcd.get(KEY))
    etcd.delete(KEY)
    wait_until(lambda: KEY.encode() in etcd.get(KEY))

    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT) == 143
    assert is_empty(etcd)


def test_lease_register_handles_signals_when_stderr_is_blocked(etcd: Etcd) -> None:
    """A log driver of the container can block it."""
    process, reader = _run_with_full_stderr(etcd)
    wait_until(lambda: KEY.encode() in etcd.get(KEY))
    etcd.delete(KEY)
    wait_until(lambda: KEY.encode() in etcd.get(KEY))
    begin = time.monotonic()

    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT) == 143
    assert time.monotonic() - begin < 2 + AT_ONCE
    assert is_empty(etcd)
    os.close(reader)


def _run_with_full_stderr(etcd: Etcd, *options: str) -> tuple[subprocess.Popen[bytes], int]:
    """Return a process whose stderr is a full pipe, and the read end of the pipe."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 512)
    except BlockingIOError:
        os.set_blocking(writer, True)
    args = command(*REGISTER, *options, "--endpoints", etcd.endpoint, "--", "sleep", "60")
    process = subprocess.Popen(args, stderr=writer)
    os.close(writer)
    return process, reader


def test_lease_register_reports_each_reason_while_it_needs_its_own_address(
    spawn: Spawn, own_etcd: Callable[..., Etcd]
) -> None:
    """First etcd does not answer, then there is none; each reason is one line."""
    etcd = own_etcd()
    etcd.freeze()
    where = (f"--endpoints={etcd.endpoint}", "--dial-timeout=300ms")
    process = spawn("lease-register", "svc/", "--addr", ":80", *where)
    process.wait_for_err(": no answer\n")
    etcd.kill()
    process.wait_for_err(": connection refused\n")

    assert len(process.err.splitlines()) == 2


def test_lease_register_with_a_command_refuses_a_port_when_etcd_is_reached_by_loopback(
    spawn: Spawn, etcd: Etcd
) -> None:
    """It is a usage error, so CMD does not run without a registration."""
    process = spawn("lease-register", "svc/", "--addr", ":80", "--", "sleep", "60")

    result = process.finish()
    assert (result.status, result.out) == (128, "")
    assert "use HOST:80, or 127.0.0.1:80" in result.err
    assert is_empty(etcd)
