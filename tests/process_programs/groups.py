"""A command in the background, whose processes are killed when it has taken too long."""

from __future__ import annotations

import os

from etcdnaming.process import Exited, Supervisor

FAMILY = "sleep 60 & sleep 60 & readlink /proc/self/fd/0; echo $LISTEN_PID >&2; wait"

supervisor = Supervisor()
reader, writer = os.pipe()
given, _ = os.pipe()
os.set_inheritable(given, True)
ours = {**os.environ, "LISTEN_PID": str(os.getpid())}
command = supervisor.launcher(output=writer).run(["sh", "-c", "ls /proc/self/fd"], ours)
event = supervisor.wait(10)
assert isinstance(event, Exited)
assert os.read(reader, 100) == b"0\n1\n2\n3\n"  # the last is that of ls itself

command = supervisor.launcher(output=writer).run(["sh", "-c", FAMILY], ours)
os.close(writer)
with open(reader) as output:
    # It has no descriptor of a socket, and so nothing tells it that it has.
    assert [output.readline() for _ in range(2)] == ["/dev/null\n", f"{os.getpid()}\n"]
    assert supervisor.wait(0.1) is None
    command.kill()
    assert output.read() == ""  # nobody holds it any more
event = supervisor.wait(10)
assert isinstance(event, Exited)
assert (event.command, event.status, event.exit_code) == (command, -9, 137)

# Who ends by itself may leave something behind, too.
command = supervisor.launcher().run(["sh", "-c", "sleep 60 & exit 3"], os.environ)
event = supervisor.wait(10)
assert isinstance(event, Exited)
assert (event.command, event.status, event.exit_code) == (command, 3, 3)
command.kill()
assert supervisor.wait(0.2) is None
command.kill()  # nobody is left
