"""Check a command in the background: its descriptors, and the end of its process group."""

from __future__ import annotations

import os

from etcdnaming.process import Exited, Supervisor

FAMILY = "sleep 60 & sleep 60 & readlink /proc/self/fd/0; echo $LISTEN_PID >&2; wait"

supervisor = Supervisor()
reader, writer = os.pipe()
inherited, _ = os.pipe()
os.set_inheritable(inherited, True)
environment = {**os.environ, "LISTEN_PID": str(os.getpid())}
command = supervisor.launcher(output=writer).run(["sh", "-c", "ls /proc/self/fd"], environment)
event = supervisor.wait(10)
assert isinstance(event, Exited)
assert os.read(reader, 100) == b"0\n1\n2\n3\n"  # the last is the one of ls for the directory

command = supervisor.launcher(output=writer).run(["sh", "-c", FAMILY], environment)
os.close(writer)
with open(reader) as output:
    # It gets no descriptors of systemd, so LISTEN_PID must not name it.
    assert [output.readline() for _ in range(2)] == ["/dev/null\n", f"{os.getpid()}\n"]
    assert supervisor.wait(0.1) is None
    command.kill()
    assert output.read() == ""  # no process keeps it open
event = supervisor.wait(10)
assert isinstance(event, Exited)
assert (event.command, event.status, event.exit_code) == (command, -9, 137)

# A command that exits by itself may leave processes behind, too.
command = supervisor.launcher().run(["sh", "-c", "sleep 60 & exit 3"], os.environ)
event = supervisor.wait(10)
assert isinstance(event, Exited)
assert (event.command, event.status, event.exit_code) == (command, 3, 3)
command.kill()
assert supervisor.wait(0.2) is None
command.kill()  # no process is left
