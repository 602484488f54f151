"""
Run commands as PID 1 should: their signals, their terminal, their status, and everybody's orphans.

    supervisor = Supervisor()  # first of all: from here on no signal is lost
    launcher = supervisor.launcher()
    command = launcher.run(["server", "--port", "80"], os.environ)
    while not isinstance(event := supervisor.wait(), Exited):
        if isinstance(event, Signalled):
            command.signal(event.number)
    sys.exit(event.exit_code)

How a command starts. A process in which gRPC is at work must not fork: gRPC's fork handlers hang or
break its calls, and what else the child does before its exec may wait for a lock whose thread is
not there. But a command needs things done between fork and exec. So they are done after an exec,
in a bare Python of its own, the launcher (`become.py`): it waits for its order, and becomes the
command by a second exec. It keeps its process id, so the command is our own child with nobody in
between. It is used once; a later command has its own, also beside threads, for `subprocess` makes
it by vfork, which runs nobody's handlers.

Who reaps. The kernel gives orphans to PID 1, or to us as a subreaper, and nothing says whose they
were. So there is one `waitpid` for any child, in `Supervisor.wait`, which also has the status of
each command. Two would steal from each other: nothing else in this process may wait for a child.

Who hears signals. Their handlers run in the main thread, whichever thread the kernel interrupts;
they only note the number and wake `Supervisor.wait`, which hands it to the caller's loop. What a
signal means is for the caller to say.

Who has the terminal. The command's process group, if it was ours to give: so a Ctrl-C is the
command's and not ours. A command "on demand" gets it when it first uses it: until then Ctrl-C is
ours. When a Ctrl-Z stops the command we stop too, for the shell whose job we are.

Which descriptors. A command in the foreground has all that we were started with. Those that this
process opens are close-on-exec.

What Linux alone has: orphans for one who is not PID 1; commands that are killed when we are (not
those that have become another user, as by a setuid program); a vfork of `subprocess`, without which
a launcher should be made before gRPC is imported. macOS has the rest.
"""

from __future__ import annotations

from .command import Command
from .launcher import Launcher, given_descriptors
from .supervisor import Event, Exited, Signalled, Supervisor
from .terminal import stop_with_our_job

__all__ = [
    "Command",
    "Event",
    "Exited",
    "Launcher",
    "Signalled",
    "Supervisor",
    "given_descriptors",
    "stop_with_our_job",
]
