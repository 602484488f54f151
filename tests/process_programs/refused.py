"""What can't be run, and launchers that run nothing."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Sequence

from etcdnaming.process import Command, Supervisor


def refusal(run: Callable[..., Command], argv: Sequence[str]) -> OSError | ValueError:
    """Return why *argv* did not begin."""
    try:
        run(argv, os.environ)
    except (OSError, ValueError) as exc:
        return exc
    raise AssertionError(argv)


def children() -> int:
    """Return how many there are once those that are to end have ended, reaping none."""
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    supervisor.wait(0)
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return 0
    return 1


supervisor = Supervisor()

missing = refusal(supervisor.launcher().run, ["no-such-program", "x"])
assert isinstance(missing, FileNotFoundError)
assert str(missing) == "[Errno 2] No such file or directory: 'no-such-program'"
assert not children()

directory = refusal(supervisor.launcher().run, ["/"])
assert isinstance(directory, PermissionError)
assert not children()

long = refusal(supervisor.launcher().run, ["echo", *["x" * 1000] * 10_000])
assert isinstance(long, OSError)
assert long.errno == errno.E2BIG
assert not children()

launcher = supervisor.launcher()
assert isinstance(refusal(launcher.run, ["echo", "\0"]), ValueError)
launcher.close()
assert not children()

for reaped in (False, True):
    launcher = supervisor.launcher()
    os.kill(launcher.pid, signal.SIGKILL)
    if reaped:
        assert not children()
    killed = refusal(launcher.run, ["echo", "x" * 100_000])
    assert isinstance(killed, OSError)
    assert killed.strerror == "it was killed before it began"
    assert reaped or not children()
