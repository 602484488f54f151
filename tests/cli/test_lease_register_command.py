"""`etcdnaming lease-register … -- CMD`: what CMD gets, what becomes of its end, and of ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from harness import AT_ONCE, TIMEOUT, Etcd, Shell, Spawn, wait_until
from harness.environment import pointing_at
from harness.pids import parent_of
from harness.process import command
from harness.registering import KEY, REGISTER, VALUE, is_empty
from harness.timeline import Timeline

DIE = "import os, signal, time; time.sleep(0.3); os.write(1, b'%f' % time.time()); "


def test_nothing_comes_between_a_command_and_its_streams(etcd: Etcd) -> None:
    """Byte for byte: stdin, stdout, and stderr but for what we say."""
    script = r"cat; printf '\0\377out'; printf '\0\377err\n' >&2; ls /proc/self/fd | wc -l"
    cmd = ["sh", "-c", script]
    wrapped = command(*REGISTER, "--endpoints", etcd.endpoint, "--", *cmd)

    ours, plain = (
        subprocess.run(args, input=b"in\0\xfe", capture_output=True, check=True, timeout=20)
        for args in (wrapped, cmd)
    )

    assert ours.stdout == plain.stdout
    said = [line for line in ours.stderr.splitlines(keepends=True) if not _is_ours(line)]
    assert b"".join(said) == plain.stderr == b"\0\xfferr\n"


def _is_ours(line: bytes) -> bool:
    return line == b"OK\n" or line.startswith(b"lease ")


def test_a_command_has_our_environment(spawn: Spawn, etcd: Etcd) -> None:
    """But for who speaks to systemd, and what gRPC was told."""
    process = spawn(
        *(*REGISTER, "--", sys.executable, "-c", "import os; print(sorted(os.environ.items()))"),
        env={"NOTIFY_SOCKET": "/nonexistent", "OURS": "\udcff"},
    )

    expected = pointing_at(etcd.endpoint, {"OURS": "\udcff"})
    expected.pop("LC_CTYPE", None)  # which Python sets in a C locale
    seen = dict(eval(process.finish().out))  # noqa: S307 - we have printed it
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
def test_its_exit_code_is_ours(
    spawn: Spawn, etcd: Etcd, start: str, script: str, status: int
) -> None:
    """And it leaves nothing behind, whether it ends before it is registered or after."""
    result = spawn(*REGISTER, "--start", start, "--", "sh", "-c", script).finish()

    assert (result.status, result.out) == (status, "")
    assert "Error" not in result.err
    assert is_empty(etcd)


@pytest.mark.parametrize(
    "end", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGKILL)", "os.abort()"]
)
def test_a_crash_is_known_at_once(spawn: Spawn, etcd: Etcd, end: str) -> None:
    """The key goes, and the lease with it."""
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
        (b"#!/bin/sh\r\nexit 0\r\n", "what is to run it is not there"),
    ],
)
def test_a_command_that_can_not_begin_after_all_leaves_nothing(
    spawn: Spawn, etcd: Etcd, tmp_path: Path, content: bytes, words: str
) -> None:
    """It was there, and is no program, or was written on Windows."""
    file = tmp_path / "program"
    file.write_bytes(content)
    file.chmod(0o755)

    result = spawn(*REGISTER, "--start", "registered", "--", file).finish()

    assert (result.status, result.out) == (126, "")
    assert result.err.endswith(f"Error: {file}: {words}\n")
    assert is_empty(etcd)


def test_a_killed_wrapper_takes_its_command_along(spawn: Spawn, etcd: Etcd) -> None:
    """And the key lapses with its lease."""
    process = spawn(*REGISTER, "--ttl", "2", "--", "sh", "-c", "echo $$; exec sleep 60")
    process.wait_for_err("OK\n")
    process.wait_for_out("\n")
    begin = time.monotonic()
    process.signal(signal.SIGKILL)

    wait_until(lambda: parent_of(int(process.out)) == 0)
    wait_until(lambda: not etcd.get(KEY))
    assert time.monotonic() - begin < 2 + 2 + AT_ONCE
    assert etcd.leases() == []


@pytest.mark.parametrize("stop", [True, False], ids=["told to end", "ends by itself"])
def test_nothing_of_its_group_outlives_it(spawn: Spawn, etcd: Etcd, stop: bool) -> None:
    """Not even what does not want to hear of it."""
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


def test_what_leaves_its_group_is_not_waited_for(spawn: Spawn, etcd: Etcd) -> None:
    """A daemon has its own life, where we are not PID 1."""
    script = "setsid sh -c 'echo $$; exec sleep 60 >/dev/null 2>&1' & sleep 0.3; exit 4"
    process = spawn(*REGISTER, "--start", "registered", "--", "sh", "-c", script)
    process.wait_for_out("\n")
    process.stdin.close()
    process.wait_for_err("revoked")

    os.kill(int(process.out), signal.SIGKILL)
    assert process.finish().status == 4


@pytest.mark.parametrize("streams", ["2>&-", "2>/dev/full", ">&-", "<&- >&- 2>&-"])
def test_streams_may_be_closed_or_full(
    shell: Shell, etcd: Etcd, tmp_path: Path, streams: str
) -> None:
    """They are the command's, and what we have to say is not why it runs."""
    file = tmp_path / "ran"
    cmd = f"sh -c 'sleep 0.3; etcdctl get --print-value-only {KEY} > {file}; exit 5'"
    script = f"etcdnaming {' '.join(REGISTER)} --start registered -- {cmd} {streams}"

    result = shell(script)

    assert (result.status, result.out) == (5, "")
    assert file.read_bytes().strip() == VALUE
    assert is_empty(etcd)


@pytest.mark.parametrize("name", ["simple", "json", "fields", "table"])
def test_a_reader_of_stderr_who_has_gone_is_not_missed(
    etcd: Etcd, tmp_path: Path, name: str
) -> None:
    """By the registration, by the command, by its end."""
    process, reader = _with_stderr(etcd, "-w", name)
    os.close(reader)
    wait_until(lambda: KEY.encode() in etcd.get(KEY))
    etcd.delete(KEY)
    wait_until(lambda: KEY.encode() in etcd.get(KEY))

    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT) == 143
    assert is_empty(etcd)


def test_a_reader_of_stderr_who_is_stuck_does_not_make_us_deaf(etcd: Etcd) -> None:
    """Such as the driver of a container's log."""
    process, reader = _with_stderr(etcd)
    wait_until(lambda: KEY.encode() in etcd.get(KEY))
    etcd.delete(KEY)
    wait_until(lambda: KEY.encode() in etcd.get(KEY))
    begin = time.monotonic()

    process.send_signal(signal.SIGTERM)
    assert process.wait(TIMEOUT) == 143
    assert time.monotonic() - begin < 2 + AT_ONCE
    assert is_empty(etcd)
    os.close(reader)


def _with_stderr(etcd: Etcd, *options: str) -> tuple[subprocess.Popen[bytes], int]:
    """Return a run whose stderr is a pipe that is full, and the end that nobody reads."""
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


def test_an_address_that_is_of_no_use_is_told_before_long(spawn: Spawn, etcd: Etcd) -> None:
    """That is no fault of etcd's, and the command would never be found."""
    process = spawn("lease-register", "svc/", "--addr", ":80", "--", "sleep", "60")

    result = process.finish()
    assert (result.status, result.out) == (128, "")
    assert "use HOST:80, or 127.0.0.1:80" in result.err
    assert is_empty(etcd)
