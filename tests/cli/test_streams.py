"""What becomes of us when a stream is full, closed or broken, and when the user stops it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from harness import Etcd, Shell, Spawn, wait_until

FULL = "Error: stdout: No space left on device\n"
CLOSED = "Error: stdout: closed\n"

# An unused address.
FOR_LONG = ("list", "svc", "--endpoints=192.0.2.1:2379", "--dial-timeout=9s")


def put_many(etcd: Etcd) -> None:
    """Store more than a pipe holds."""
    value = b'{"Op":0,"Addr":"1:1","Metadata":null}'
    etcd.put_all({f"svc/e{each:05}".encode(): value for each in range(5_000)})


@pytest.mark.parametrize(
    "command",
    [
        "list svc",
        "list svc -w json",
        "list svc -w table",
        "list svc --count-only",
        "add svc/e1 --addr 1:1",
        "version",
        "completion bash",
        "--help",
        "--version",
        "list --help",
        "del svc/e1",
        "txn-update --del svc/e1 --if-exists svc/none",
    ],
)
def test_a_full_disk_is_no_success(shell: Shell, etcd: Etcd, command: str) -> None:
    """Found when it is written, or only at the very end."""
    etcd.put("svc/e1", "{}")

    assert shell(f"etcdnaming {command} > /dev/full") == (6, "", FULL)


def test_a_full_disk_is_found_in_the_middle(shell: Shell, etcd: Etcd) -> None:
    """Of a long list."""
    put_many(etcd)

    assert shell("etcdnaming list svc > /dev/full") == (6, "", FULL)


@pytest.mark.parametrize("format", ["fields", "json", "simple", "table"])
def test_a_closed_pipe_is_quiet(shell: Shell, etcd: Etcd, format: str) -> None:
    """As for any program: `head` has seen enough."""
    put_many(etcd)

    script = f"etcdnaming list svc -w {format} | head -c 1 > /dev/null; echo ${{PIPESTATUS[0]}}"
    assert shell(script) == (0, "141\n", "")


def test_nothing_is_changed_without_a_stdout(shell: Shell, etcd: Etcd) -> None:
    """What was done could not be said."""
    assert shell("etcdnaming add svc/e1 --addr 1:1 >&-") == (6, "", CLOSED)
    assert etcd.get("") == {}


@pytest.mark.parametrize(
    "command", ["", "--help", "--version", "list --help", "completion bash", "version"]
)
def test_help_fails_when_stdout_is_closed_or_full(shell: Shell, command: str) -> None:
    """click would print it nowhere, silently."""
    assert shell(f"etcdnaming {command} >&-") == (6, "", CLOSED)


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_other_streams_may_be_closed(shell: Shell, etcd: Etcd, closed: str) -> None:
    """No connection takes their numbers."""
    assert shell(f"etcdnaming add svc/e1 --addr 1:1 {closed}") == (0, "OK\n", "")
    assert list(etcd.get("")) == [b"svc/e1"]


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full"])
def test_error_keeps_its_exit_code_when_stderr_is_closed_or_full(shell: Shell, stderr: str) -> None:
    """And does not go to stdout instead."""
    assert shell(f"etcdnaming list / {stderr}") == (128, "", "")


def test_a_closed_stdin_holds_no_updates(shell: Shell) -> None:
    """It is named."""
    message = "Error: stdin is closed (see etcdnaming txn-update --help)\n"

    assert shell("etcdnaming txn-update - <&-") == (128, "", message)


def test_a_ctrl_c_is_quiet(spawn: Spawn, etcd: Etcd) -> None:
    """While etcd does not answer, for one."""
    own = spawn("txn-update", "-")
    frozen = spawn("--debug", *FOR_LONG)
    frozen.wait_for_err("--keepalive-timeout")
    wait_until(lambda: "pipe" in Path(f"/proc/{own.pid}/wchan").read_text())  # it reads its stdin

    own.signal(signal.SIGINT)
    frozen.signal(signal.SIGINT)

    ended = frozen.finish()
    assert (ended.status, ended.out) == (-signal.SIGINT, "")
    assert "Traceback" not in ended.err
    assert own.finish() == (-signal.SIGINT, "", "")


@pytest.mark.parametrize("module", ["click._compat", "etcdnaming.cli", "grpc._cython"])
def test_a_ctrl_c_is_quiet_from_the_start(spawn: Spawn, module: str) -> None:
    """Also while Python is still importing."""
    process = spawn(*FOR_LONG, env={"PYTHONPROFILEIMPORTTIME": "1"})
    process.wait_for_err(f" {module}\n")

    process.signal(signal.SIGINT)

    ended = process.finish()
    assert (ended.status, ended.out) == (-signal.SIGINT, "")
    assert "Traceback" not in ended.err


def test_an_ignored_ctrl_c_stays_ignored(shell: Shell) -> None:
    """A script in the background is not stopped by one at the terminal."""
    script = (
        "trap '' INT; etcdnaming txn-update - < <(sleep 0.5) & sleep 0.3; kill -INT $!; wait $!"
    )

    assert shell(script) == (0, "SUCCESS\n", "")
