"""The progress bar of a long transaction."""

from __future__ import annotations

import re
import subprocess
import sys

from cli.output.samples import TESTS, on_terminal

SHOWN_CURSOR = b"\x1b[?25h"
ERASED_LINE = b"\x1b[1A\x1b[2K"

WORK = """
import sys, time
from etcdnaming.cli.output.progress import progress
with progress(10) as done:
    done(3)
    time.sleep(1)  # it draws ten times a second
    done(10)
print("rich" in sys.modules)
"""


def test_progress_bar_is_erased_when_the_work_is_done() -> None:
    """The results are printed in its place."""
    seen = on_terminal(WORK)

    assert b"3/10" in seen
    assert seen.endswith(ERASED_LINE + b"True\n")


def test_progress_bar_has_a_colour_and_its_numbers_have_none() -> None:
    """They are readable on a light and on a dark background; the bar is green, as what is done."""
    seen = on_terminal(WORK)

    assert {*re.findall(rb"\x1b\[([0-9;]+)m", seen)} <= {b"0", b"2", b"32"}
    assert re.search(rb"\x1b\[32m[^\x1b ]+\x1b\[0m", seen)
    assert re.search(rb"\x1b\[0m +3/10 ", seen)


def test_progress_bar_is_drawn_when_the_terminal_size_is_unknown() -> None:
    """The terminals of docker, expect and serial lines report 0."""
    seen = on_terminal(WORK, lines=0, columns=0)

    assert b"3/10" in seen
    assert seen.endswith(ERASED_LINE + b"True\n")


def test_progress_bar_is_erased_when_the_work_fails() -> None:
    """The error message is printed in its place, and the cursor is visible again."""
    seen = on_terminal(WORK.replace("done(10)", "sys.exit('no more')"))

    assert SHOWN_CURSOR in seen
    assert seen.endswith(ERASED_LINE + b"no more\n")


def test_progress_bar_is_not_drawn_on_a_dumb_terminal() -> None:
    """Such a terminal would show each step on a line of its own."""
    assert on_terminal(WORK, term="dumb") == b"False\n"


def test_progress_bar_is_not_drawn_when_stderr_is_no_terminal() -> None:
    """The library that draws it is not imported either."""
    done = subprocess.run(
        [sys.executable, "-c", WORK],
        env={"PYTHONPATH": str(TESTS), "FORCE_COLOR": "1"},
        check=True,
        capture_output=True,
        text=True,
    )

    assert (done.stdout, done.stderr) == ("False\n", "")
