"""The lines of the live table."""

from __future__ import annotations

import sys
import warnings

import pexpect
from harness import TIMEOUT

SCRIPT = """
import sys
from etcdnaming.cli.output.grid import Row
from etcdnaming.cli.output.live_picture import Columns, draw_lines, prepare

prepare()
before = set(sys.modules)
draw_lines(Columns().lines([Row(["+", "svc/é字", *"abcde"], "green")], 80))
sys.stdout.write(f"imported: {set(sys.modules) - before}")
"""


def test_drawing_imports_nothing_after_prepare() -> None:
    """A signal can stop a thread while it holds an import lock, so a later import could block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # as in `Terminal`
        terminal = pexpect.spawn(sys.executable, ["-c", SCRIPT], encoding="utf-8", timeout=TIMEOUT)
    assert terminal.read() == "imported: set()"
    terminal.close()
