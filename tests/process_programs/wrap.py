"""
Run a command, forward all signals to it, and return its exit code.

    python wrap.py [--on-demand] COMMAND ARGUMENTS...

With --on-demand, the command gets the terminal when it first uses it.
"""

from __future__ import annotations

import os
import sys

from etcdnaming.process import Exited, Signalled, Supervisor


def main(argv: list[str]) -> int:
    """Return the exit code of *argv*, as a shell does."""
    supervisor = Supervisor()
    on_demand = argv[:1] == ["--on-demand"]
    try:
        command = supervisor.launcher(on_demand=on_demand).run(argv[on_demand:], os.environ)
    except OSError as exc:
        sys.stderr.write(f"{exc}\n")
        return 127 if isinstance(exc, FileNotFoundError) else 126
    while not isinstance(event := supervisor.wait(), Exited):
        if isinstance(event, Signalled):
            command.signal(event.number)
    return event.exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
