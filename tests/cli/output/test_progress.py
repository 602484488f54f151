"""How far a long transaction has come, for who looks at it."""

from __future__ import annotations

import subprocess
import sys

import pytest
from cli.output.samples import TESTS, on_terminal

from etcdnaming.cli.output import FORMATS

SHOWN_CURSOR = b"\x1b[?25h"
ERASED_LINE = b"\x1b[1A\x1b[2K"

WORK = """
import sys, time
from etcdnaming.cli.output.printers import printer
with printer({name!r}).progress(10) as done:
    done(3)
    time.sleep(1)  # it draws ten times a second
    done(10)
print("rich" in sys.modules)
"""


@pytest.mark.parametrize("name", FORMATS)
def test_a_terminal_sees_a_bar_that_goes_away(name: str) -> None:
    """The results follow where it was."""
    seen = on_terminal(WORK.format(name=name))

    assert b"3/10" in seen
    assert seen.endswith(ERASED_LINE + b"True\n")


def test_bar_is_drawn_where_the_size_is_unknown() -> None:
    """Terminals of docker, expect and serial lines say 0."""
    seen = on_terminal(WORK.format(name="json"), lines=0, columns=0)

    assert b"3/10" in seen
    assert seen.endswith(ERASED_LINE + b"True\n")


def test_a_bar_goes_away_when_the_work_fails() -> None:
    """The message stands where it was, and the cursor is back."""
    seen = on_terminal(WORK.format(name="json").replace("done(10)", "sys.exit('no more')"))

    assert SHOWN_CURSOR in seen
    assert seen.endswith(ERASED_LINE + b"no more\n")


def test_a_terminal_that_cannot_draw_sees_nothing() -> None:
    """It would see every step below the last."""
    assert on_terminal(WORK.format(name="json"), term="dumb") == b"False\n"


def test_a_log_sees_nothing() -> None:
    """And pays nothing."""
    done = subprocess.run(
        [sys.executable, "-c", WORK.format(name="json")],
        env={"PYTHONPATH": str(TESTS), "FORCE_COLOR": "1"},
        check=True,
        capture_output=True,
        text=True,
    )

    assert (done.stdout, done.stderr) == ("False\n", "")
