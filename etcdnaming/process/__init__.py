"""
Run commands as PID 1 should: forward signals, share the terminal, reap all children.

    supervisor = Supervisor()  # first of all: from here on it receives all signals
    launcher = supervisor.launcher()
    command = launcher.run(["server", "--port", "80"], os.environ)
    while not isinstance(event := supervisor.wait(), Exited):
        if isinstance(event, Signalled):
            command.signal(event.number)
    sys.exit(event.exit_code)

Starting a command. A process that uses gRPC must not fork: gRPC's fork handlers block or break its
calls, and code between fork and exec can wait for a lock whose thread does not exist in the child.
But a command needs setup in the child: signal handlers, signal mask, process group, terminal. So
the setup is done after an exec, in a bare Python of its own, the launcher (`become.py`). It waits
for an order through a pipe, and becomes the command by a second exec. It keeps its process ID, so
the command is a direct child. A launcher is used once. `subprocess` starts it by vfork, which runs
no fork handlers, so a launcher can be started beside gRPC's threads.

Reaping. The kernel gives orphans to PID 1 or to a subreaper, and does not say where they came from.
So `Supervisor.wait` calls waitpid for any child, and gets the status of each command that way too.
A second waitpid elsewhere in the process would take statuses away from it; there must be none.

Signals. The kernel may interrupt any thread, but Python runs handlers in the main thread, and only
between two instructions. A handler here only notes the number. The C part of the handler writes a
byte to a pipe at once, which ends the poll in `Supervisor.wait` (the self-pipe trick): a signal
just before the poll is not missed. What a signal means is decided by the caller.

Terminal. The kernel sends Ctrl-C to the terminal's foreground process group. That is the command's
group, if this process had the terminal; so Ctrl-C reaches the command and not this process. With
"on demand" the command gets the terminal only when it uses it; until then Ctrl-C reaches this
process. When Ctrl-Z stops the command, this process stops too: the shell watches only this one.

Descriptors. A command in the foreground inherits the descriptors this process was started with.
Those that this process opens are close-on-exec.

Only Linux has: orphans for a process other than PID 1 (a subreaper); commands that are killed with
this process (unless they changed their user, as setuid programs do); vfork in `subprocess`, without
which a launcher should be started before gRPC is imported. macOS has the rest.
"""

from __future__ import annotations

from .command import Command, Launcher, inherited_descriptors, stop_job
from .supervisor import Event, Exited, Signalled, Supervisor

__all__ = [
    "Command",
    "Event",
    "Exited",
    "Launcher",
    "Signalled",
    "Supervisor",
    "inherited_descriptors",
    "stop_job",
]
