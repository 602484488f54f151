"""
Run commands as PID 1 should: their signals, their terminal, their status, and everybody's orphans.

    supervisor = Supervisor()  # first thing: from here on no signal is lost
    launcher = supervisor.launcher()
    command = launcher.run(["server", "--port", "80"], os.environ)
    while not isinstance(event := supervisor.wait(), Exited):
        if isinstance(event, Signalled):
            command.signal(event.number)
    sys.exit(event.exit_code)

How a command starts. A process with gRPC's threads must not fork: gRPC's fork handlers write on the
child's stderr or hang, and what else the child would do before its exec can meet a lock that a
thread held. So a launcher is spawned (`os.posix_spawn` runs no fork handlers and no code of ours in
the new process), best before there is any thread: a bare Python that waits for its order
(`become.py`) and then becomes the command by exec. It keeps its process id, so the command is our
own child, with nobody in between. A launcher is used once; later commands have their own, which are
spawned in the same way, whatever runs here by then.

Who reaps. The kernel gives orphans to PID 1, or to us as a subreaper, and nothing says whose they
were. So there is one `waitpid` for any child, in `Supervisor.wait`, which also has the status of
each command. Two would steal from each other: no `subprocess` beside it.

Who hears signals. Handlers run in the main thread, whichever thread the kernel interrupts; they
only note the number and wake `Supervisor.wait`, which hands it to the caller's loop. What a signal
means is for the caller to say.

Who has the terminal. The command's group, if it was ours to give, so that Ctrl-C and Ctrl-Z reach
the command and not us. We stop when a Ctrl-Z has stopped it, for the sake of the shell we are a job
of.

What only Linux has: adopting orphans without being PID 1, and a command that is killed when we are
(but not once it has become another user, by a setuid program for one). macOS does the rest.
"""

from __future__ import annotations

from .command import Command
from .launcher import Launcher
from .supervisor import Event, Exited, Signalled, Supervisor

__all__ = ["Command", "Event", "Exited", "Launcher", "Signalled", "Supervisor"]
