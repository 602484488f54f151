"""Check commands that can't be executed, and launchers that run nothing."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Sequence

from etcdnaming.process import Command, Supervisor


def start_error(run: Callable[..., Command], argv: Sequence[str]) -> OSError | ValueError:
    """Return the error of starting *argv*."""
    try:
        run(argv, os.environ)
    except (OSError, ValueError) as exc:
        return exc
    raise AssertionError(argv)


def nothing_is_left() -> bool:
    """Wait for the exit of the only child; return whether `Supervisor.wait` reaps it."""
    os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
    assert supervisor.wait(0) is None
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


supervisor = Supervisor()

missing = start_error(supervisor.launcher().run, ["no-such-program", "x"])
assert isinstance(missing, FileNotFoundError)
assert str(missing) == "[Errno 2] No such file or directory: 'no-such-program'"
assert nothing_is_left()

directory = start_error(supervisor.launcher().run, ["/"])
assert isinstance(directory, PermissionError)
assert nothing_is_left()

long = start_error(supervisor.launcher().run, ["echo", *["x" * 1000] * 10_000])
assert isinstance(long, OSError)
assert long.errno == errno.E2BIG
assert nothing_is_left()

assert isinstance(start_error(supervisor.launcher().run, ["echo", "\0"]), ValueError)
assert nothing_is_left()

nameless = start_error(lambda argv, _: supervisor.launcher().run(argv, {"": "x"}), ["echo"])
assert isinstance(nameless, OSError)
assert nameless.errno == errno.EINVAL
assert nothing_is_left()

supervisor.launcher().close()
assert nothing_is_left()

for reaped in (False, True):
    launcher = supervisor.launcher()
    os.kill(launcher.pid, signal.SIGKILL)
    if reaped:
        assert nothing_is_left()
    killed = start_error(launcher.run, ["echo", "x" * 100_000])
    assert isinstance(killed, OSError)
    assert killed.strerror == "killed before it started"
    assert reaped or nothing_is_left()
