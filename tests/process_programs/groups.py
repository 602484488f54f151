"""A command in the background, whose processes are killed when it has taken too long."""

from __future__ import annotations

import os

from etcdnaming.process import Exited, Supervisor

FAMILY = "sleep 60 & sleep 60 & readlink /proc/self/fd/0; echo said >&2; wait"

supervisor = Supervisor()
reader, writer = os.pipe()
command = supervisor.launcher(output=writer).run(["sh", "-c", FAMILY], os.environ)
os.close(writer)
with open(reader) as output:
    assert [output.readline() for _ in range(2)] == ["/dev/null\n", "said\n"]
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
