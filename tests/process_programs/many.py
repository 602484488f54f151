"""Check that 200 short commands leave no descriptor, thread or child behind."""

from __future__ import annotations

import os
import threading

from etcdnaming.process import Exited, Supervisor

AT_A_TIME = 10


def run() -> None:
    """Run some commands in parallel."""
    launchers = [supervisor.launcher(output=1) for _ in range(AT_A_TIME)]
    for each in launchers:
        each.run(["true"], os.environ)
    for _ in launchers:
        event = supervisor.wait(10)
        assert isinstance(event, Exited)
        assert event.status == 0


def resources() -> tuple[int, int]:
    """Return the number of descriptors and of threads."""
    return len(os.listdir("/dev/fd")), threading.active_count()  # noqa: PTH208


supervisor = Supervisor()
run()
before = resources()
for _ in range(19):
    run()
assert resources() == before
try:
    raise AssertionError(os.waitpid(-1, os.WNOHANG))
except ChildProcessError:
    pass
