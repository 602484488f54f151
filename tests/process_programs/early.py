"""Each signal that comes before the command has begun, and right after, reaches it."""

from __future__ import annotations

import os
import signal

from etcdnaming.process import Exited, Signalled, Supervisor

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def status(*, ours: int = 0, launchers: int = 0, commands: int = 0) -> int:
    """Return how a command ends when these signals come to us, its launcher, it. 0 is none."""
    launcher = supervisor.launcher()
    os.kill(launcher.pid, launchers)
    os.kill(os.getpid(), ours)
    command = launcher.run(["sleep", "60"], os.environ)
    command.signal(commands)
    while not isinstance(event := supervisor.wait(), Exited):
        if isinstance(event, Signalled):
            command.signal(event.number)
    assert event.command is command
    return event.status


supervisor = Supervisor()
for each in SIGNALS:
    assert status(ours=each) == -each
    assert status(launchers=each) == -each  # a Ctrl-C may find it in our group, for example
    assert status(commands=each) == -each

# A stop would not let anybody say that the command has begun.
for each in (signal.SIGTSTP, signal.SIGTTIN):
    assert status(launchers=each, commands=signal.SIGTERM) == -signal.SIGTERM
