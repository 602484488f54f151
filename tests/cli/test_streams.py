"""Full, closed and broken streams, and Ctrl-C."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from harness import Etcd, Shell, Spawn, wait_until

FULL = "Error: stdout: No space left on device\n"
CLOSED = "Error: stdout: closed\n"

# The address is unused, so connecting to it never ends.
FOR_LONG = ("list", "svc", "--endpoints=192.0.2.1:2379", "--dial-timeout=9s")


def put_many(etcd: Etcd) -> None:
    """Store so many endpoints that their list does not fit into a pipe."""
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
def test_command_fails_when_the_disk_is_full(shell: Shell, etcd: Etcd, command: str) -> None:
    """Some writes fail only when stdout is flushed at the end."""
    etcd.put("svc/e1", "{}")

    assert shell(f"etcdnaming {command} > /dev/full") == (6, "", FULL)


def test_list_fails_when_the_disk_is_full_in_the_middle(shell: Shell, etcd: Etcd) -> None:
    """The list is longer than one write."""
    put_many(etcd)

    assert shell("etcdnaming list svc > /dev/full") == (6, "", FULL)


@pytest.mark.parametrize("format", ["fields", "json", "simple", "table"])
def test_list_ends_without_a_message_when_the_pipe_is_closed(
    shell: Shell, etcd: Etcd, format: str
) -> None:
    """Like other programs, it is ended by SIGPIPE."""
    put_many(etcd)

    script = f"etcdnaming list svc -w {format} | head -c 1 > /dev/null; echo ${{PIPESTATUS[0]}}"
    assert shell(script) == (0, "141\n", "")


def test_add_writes_nothing_when_stdout_is_closed(shell: Shell, etcd: Etcd) -> None:
    """The result could not be printed."""
    assert shell("etcdnaming add svc/e1 --addr 1:1 >&-") == (6, "", CLOSED)
    assert etcd.get("") == {}


@pytest.mark.parametrize(
    "command", ["", "--help", "--version", "list --help", "completion bash", "version"]
)
def test_help_fails_when_stdout_is_closed_or_full(shell: Shell, command: str) -> None:
    """click alone would succeed without output."""
    assert shell(f"etcdnaming {command} >&-") == (6, "", CLOSED)


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-"])
def test_add_succeeds_when_stdin_or_stderr_is_closed(shell: Shell, etcd: Etcd, closed: str) -> None:
    """No connection gets their file descriptors."""
    assert shell(f"etcdnaming add svc/e1 --addr 1:1 {closed}") == (0, "OK\n", "")
    assert list(etcd.get("")) == [b"svc/e1"]


@pytest.mark.parametrize("stderr", ["2>&-", "2>/dev/full"])
def test_error_keeps_its_exit_code_when_stderr_is_closed_or_full(shell: Shell, stderr: str) -> None:
    """The message is not written to stdout instead."""
    assert shell(f"etcdnaming list / {stderr}") == (128, "", "")


def test_txn_update_fails_when_stdin_is_closed(shell: Shell) -> None:
    """The error names stdin."""
    message = "Error: stdin is closed (see etcdnaming txn-update --help)\n"

    assert shell("etcdnaming txn-update - <&-") == (128, "", message)


def test_ctrl_c_ends_the_program_without_a_message(spawn: Spawn, etcd: Etcd) -> None:
    """It does so while stdin is read, and while etcd does not respond."""
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
def test_ctrl_c_ends_the_program_without_a_message_during_imports(
    spawn: Spawn, module: str
) -> None:
    """Python is still importing modules when the signal arrives."""
    process = spawn(*FOR_LONG, env={"PYTHONPROFILEIMPORTTIME": "1"})
    process.wait_for_err(f" {module}\n")

    process.signal(signal.SIGINT)

    ended = process.finish()
    assert (ended.status, ended.out) == (-signal.SIGINT, "")
    assert "Traceback" not in ended.err


def test_ctrl_c_stays_ignored_when_it_was_ignored_at_the_start(shell: Shell) -> None:
    """A script in the background must not be stopped by Ctrl-C at the terminal."""
    script = (
        "trap '' INT; etcdnaming txn-update - < <(sleep 0.5) & sleep 0.3; kill -INT $!; wait $!"
    )

    assert shell(script) == (0, "SUCCESS\n", "")
