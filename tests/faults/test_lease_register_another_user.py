"""`etcdnaming lease-register` when it may not signal its command, which runs as another user."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import pytest
from harness import AT_ONCE, Etcd, Process, wait_until
from harness.environment import pointing_at
from harness.pids import NAMESPACE, child_of, has_ended
from harness.process import command
from harness.registering import REGISTER, is_empty

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

# The effect of `cap_drop: ALL` on signals.
WITHOUT_CAP_KILL = ["setpriv", "--bounding-set", "-kill", "--inh-caps", "-kill"]

OTHER_UID = 65534
ANOTHER_USER = ["setpriv", "--reuid", f"{OTHER_UID}", "--regid", f"{OTHER_UID}", "--clear-groups"]

SLEEP = [*ANOTHER_USER, "sleep", "1000"]

REFUSED = "the command can't be killed: it runs as another user; not waiting for its end\n"


class Wrapped(NamedTuple):
    """A lease-register process and its command, by process IDs outside of any namespace."""

    process: Process
    wrapper: int
    cmd: int

    def finish(self) -> tuple[int, int]:
        """Return the exit code, and how many warnings said that CMD can't be killed."""
        wait_until(lambda: has_ended(self.wrapper))
        with suppress(ProcessLookupError):
            os.kill(self.cmd, signal.SIGKILL)  # it keeps the pipes of stdout and stderr open
        result = self.process.finish()
        return result.status, result.err.count(REFUSED)


Begin = Callable[..., Wrapped]


@pytest.fixture(params=[False, True], ids=["any process", "PID 1"])
def is_pid_1(request: pytest.FixtureRequest) -> bool:
    """Whether lease-register is PID 1."""
    if request.param:
        request.getfixturevalue("namespace")
    return bool(request.param)


@pytest.fixture
def begin(etcd: Etcd, is_pid_1: bool) -> Iterator[Begin]:
    """``begin(*options, cmd=SLEEP)``: start a registered process that may not signal CMD."""
    started: list[Process] = []
    found: list[int] = []
    prefix = [*(NAMESPACE if is_pid_1 else ()), *WITHOUT_CAP_KILL]

    def begin(*options: str, cmd: Sequence[str] = SLEEP) -> Wrapped:
        args = [*prefix, *command(*REGISTER, *options, "--", *cmd)]
        process = Process(args, pointing_at(etcd.endpoint, {}))
        started.append(process)
        process.wait_for_err("OK\n")
        wrapper = child_of(process.pid) if is_pid_1 else process.pid
        pid = child_of(wrapper)
        found.append(pid)
        wait_until(lambda: Path(f"/proc/{pid}").stat().st_uid == OTHER_UID)
        return Wrapped(process, wrapper, pid)

    yield begin
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for process in started:
        process.close()


def test_lease_register_exits_in_time_when_its_command_can_not_be_killed(
    begin: Begin, etcd: Etcd, is_pid_1: bool
) -> None:
    """As PID 1 its exit kills the command; otherwise the command runs on."""
    wrapped = begin("--drain", "200ms", "--stop-timeout", "500ms")
    os.kill(wrapped.wrapper, signal.SIGTERM)
    sent = time.monotonic()
    wait_until(lambda: has_ended(wrapped.wrapper))
    assert time.monotonic() - sent < 0.2 + 0.5 + 2 + AT_ONCE
    if is_pid_1:
        wait_until(lambda: has_ended(wrapped.cmd))
    else:
        assert not has_ended(wrapped.cmd)

    assert "SIGTERM can't be sent: it runs as another user\n" in wrapped.process.err
    assert wrapped.finish() == (137, 1)
    assert is_empty(etcd)


def test_second_signal_skips_the_drain_when_the_command_can_not_be_signalled(
    begin: Begin, etcd: Etcd
) -> None:
    """The third one ends lease-register, whatever the stop timeout is."""
    wrapped = begin("--drain", "1h", "--stop-timeout", "1h")
    os.kill(wrapped.wrapper, signal.SIGTERM)
    wait_until(lambda: is_empty(etcd))
    os.kill(wrapped.wrapper, signal.SIGINT)
    wrapped.process.wait_for_err("SIGTERM can't be sent")
    assert not has_ended(wrapped.wrapper)
    os.kill(wrapped.wrapper, signal.SIGTERM)

    assert wrapped.finish() == (137, 1)


def test_lease_register_exits_when_only_other_processes_of_the_group_can_be_killed(
    begin: Begin,
) -> None:
    """killpg succeeds if one process of the group can be signalled."""
    script = 'sleep 1000 >/dev/null 2>&1 & exec "$@"'
    wrapped = begin("--stop-timeout", "300ms", cmd=["sh", "-c", script, "sh", *SLEEP])
    os.kill(wrapped.wrapper, signal.SIGTERM)

    assert wrapped.finish() == (137, 1)


def test_lease_register_returns_the_exit_code_when_a_command_that_can_not_be_signalled_exits(
    begin: Begin,
) -> None:
    """Within the stop timeout."""
    cmd = [*ANOTHER_USER, "sh", "-c", "read line; exit 7"]
    wrapped = begin("--stop-timeout", "1m", cmd=cmd)
    os.kill(wrapped.wrapper, signal.SIGTERM)
    wrapped.process.wait_for_err("SIGTERM can't be sent")
    wrapped.process.stdin.close()

    assert wrapped.finish() == (7, 0)


def test_check_fails_when_it_can_not_be_killed(etcd: Etcd) -> None:
    """lease-register goes on."""
    check = f"exec:{' '.join([*ANOTHER_USER, 'sleep', '5'])}"
    options = ("--check", check, "--check-interval", "1s", "--check-timeout", "3s")
    args = [*WITHOUT_CAP_KILL, *command(*REGISTER, *options)]
    process = Process(args, pointing_at(etcd.endpoint, {}))

    assert process.finish(30) == (
        124,
        "",
        "Error: the check did not pass in 3s: no answer in 1s\n",
    )
