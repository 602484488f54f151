"""Check that signals reach a command before, while and right after it starts."""

from __future__ import annotations

import os
import signal

from etcdnaming.process import Exited, Signalled, Supervisor

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)


def status(*, to_us: int = 0, to_launcher: int = 0, to_command: int = 0) -> int:
    """Return the status of a command after these signals (0: none)."""
    launcher = supervisor.launcher()
    os.kill(launcher.pid, to_launcher)
    os.kill(os.getpid(), to_us)
    command = launcher.run(["sleep", "60"], os.environ)
    command.signal(to_command)
    while not isinstance(event := supervisor.wait(), Exited):
        if isinstance(event, Signalled):
            command.signal(event.number)
    assert event.command is command
    return event.status


supervisor = Supervisor()
for each in SIGNALS:
    assert status(to_us=each) == -each
    assert status(to_launcher=each) == -each  # such as a Ctrl-C while it is in this group
    assert status(to_command=each) == -each

# Stop signals are discarded: a stopped launcher could not report that the command has started.
for each in (signal.SIGTSTP, signal.SIGTTIN):
    assert status(to_launcher=each, to_command=signal.SIGTERM) == -signal.SIGTERM
