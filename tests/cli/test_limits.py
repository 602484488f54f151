"""Scarce system resources: each is reported in one line that names it."""

from __future__ import annotations

import os
import subprocess
from shlex import join

import pytest
from harness import Etcd, Result, Shell
from harness.environment import pointing_at
from harness.permitted import skip_unless_permitted
from harness.process import command
from harness.registering import ADDR, KEY, REGISTER

FILES = "Error: too many open files: raise the limit (ulimit -n)\n"
PROCESSES = "Error: too many processes: raise the limit (ulimit -u, or the container's)\n"
NOT_STARTED = "Error: echo: it can't be started: too many open files: raise the limit (ulimit -n)\n"

COMMANDS = {
    "list": ("list", "svc"),
    "add": ("add", "svc/e2", "--addr", "1:1"),
    "watch": ("watch", "svc", "--timeout", "1s", "--", "echo", "ran"),
    "wait": ("wait", "svc", "--timeout", "1s"),
    "lease-register": (*REGISTER, "--", "echo", "ran"),
}

commands = pytest.mark.parametrize("args", COMMANDS.values(), ids=COMMANDS)


def run(etcd: Etcd, *args: str, stdin: int = subprocess.DEVNULL) -> Result:
    """Run a command line that uses *etcd*, and return its result."""
    done = subprocess.run(
        args,
        env=pointing_at(etcd.endpoint, {}),
        stdin=stdin,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


@commands
@pytest.mark.parametrize("limit", [5, 6, 8, 10])
def test_too_few_descriptors_are_reported_when_grpc_would_abort(
    etcd: Etcd, args: tuple[str, ...], limit: int
) -> None:
    """With fewer descriptors than this, Python itself does not start."""
    result = run(etcd, "bash", "-c", f"ulimit -n {limit}; exec {join(command(*args))}")

    assert result.err in (FILES, NOT_STARTED)
    assert (result.status, result.out) == (126 if result.err == NOT_STARTED else 1, "")
    assert not etcd.entries("svc/")


def test_help_is_shown_when_there_are_few_descriptors(etcd: Etcd) -> None:
    """It needs no more than Python itself."""
    result = run(etcd, "bash", "-c", f"ulimit -n 5; exec {join(command('--help'))}")

    assert (result.status, result.err) == (0, "")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user without processes")
@commands
@pytest.mark.parametrize("limit", [1, 3, 5])
def test_too_few_processes_are_reported_when_grpc_would_hang(
    etcd: Etcd, args: tuple[str, ...], limit: int
) -> None:
    """The user has no other process, and may read the files that root may read."""
    may_read = ["--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"]
    user = ["setpriv", "--reuid", "64321", "--clear-groups", *may_read]

    result = run(etcd, *user, "bash", "-c", f"ulimit -u {limit}; exec {join(command(*args))}")

    assert result == (1, "", PROCESSES)
    assert not etcd.entries("svc/")


@pytest.fixture
def without_null(namespace: list[str]) -> list[str]:
    """Return a command prefix that hides ``/dev/null`` from the command."""
    script = 'mount -t tmpfs none /dev && mknod /dev/urandom c 1 9 && exec "$@"'
    prefix = ["unshare", "--mount", "sh", "-c", script, "sh"]
    skip_unless_permitted("mounts", [*prefix, "true"])
    return prefix


@pytest.mark.parametrize("closed", ["", "<&-", "<&- >&-", "<&- >&- 2>&-"])
def test_command_line_works_when_there_is_no_dev_null(
    etcd: Etcd, without_null: list[str], closed: str
) -> None:
    """Any of the standard streams may be closed, too."""
    args = command(*REGISTER, "--start", "registered", "--", "sh", "-c", "exit 5")
    script = f"exec {join([*without_null, *args])} {closed}"

    result = run(etcd, "bash", "-c", script, stdin=subprocess.PIPE)

    assert result.status == 5
    said = [each for each in result.err.splitlines() if not each.startswith("lease ")]
    states = [f"{state} {KEY} {ADDR}" for state in ("registered", "deregistered")]
    assert said == ([] if "2>" in closed else [states[0], "OK", states[1]])


def test_check_reports_dev_null_when_it_is_missing(etcd: Etcd, without_null: list[str]) -> None:
    """The check's stdin would be /dev/null."""
    check = ("--check", "exec:true", "--check-timeout", "1s")

    result = run(etcd, *without_null, *command(*REGISTER, *check))

    words = "true: it can't be started: /dev/null: No such file or directory"
    assert result == (124, "", f"Error: the check did not pass in 1s: {words}\n")


def test_help_reports_stdout_when_it_can_not_be_written(shell: Shell) -> None:
    """The exit code is 6."""
    full = "Error: stdout: No space left on device\n"
    for args in ("--help", "--version", "", "list --help", "completion bash", "version"):
        assert shell(f"etcdnaming {args} >/dev/full") == (6, "", full), args
