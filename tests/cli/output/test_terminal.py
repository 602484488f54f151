"""The size of a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest
from cli.output.samples import TESTS

PROGRAM = """
import sys
from etcdnaming.cli.output.streams import terminal_size, terminal_width
print(terminal_width(sys.stderr), *terminal_size(2), terminal_width(sys.stdout) == sys.maxsize)
"""


@pytest.mark.parametrize(
    ("lines", "columns", "environment", "answer"),
    [
        (30, 100, {}, "100 100 30 True"),
        (0, 0, {}, "80 80 24 True"),
        (0, 100, {}, "100 100 24 True"),
        (30, 0, {}, "80 80 30 True"),
        (0, 0, {"COLUMNS": "0"}, "80 80 24 True"),
        (0, 0, {"COLUMNS": "60"}, "60 80 24 True"),
        (30, 100, {"COLUMNS": "many"}, "100 100 30 True"),
    ],
)
def test_terminal_size_is_that_of_its_own_stream(
    lines: int, columns: int, environment: dict[str, str], answer: str
) -> None:
    """A size of 0 is unknown and becomes 80 by 24; stdout is a pipe, whose width is unlimited."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", lines, columns, 0, 0))
    with open(master, "rb"), open(slave, "rb"):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(TESTS), **environment},
            stdout=subprocess.PIPE,
            stderr=slave,
            text=True,
            check=True,
        )
    assert done.stdout == f"{answer}\n"
