"""The lines of the live table."""

from __future__ import annotations

import sys
import warnings

import pexpect
import pytest
from harness import TIMEOUT

from etcdnaming.cli.output.grid import Row
from etcdnaming.cli.output.live_picture import Columns

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


LONG_KEY = f"svc/{'k' * 90}-1"
LONG_ADDR = f"{'a' * 80}.example.com:80"
ROWS = [
    Row(["", LONG_KEY, "10.0.0.1:80", "-", "", "", ""]),
    Row(["", "svc/e2", LONG_ADDR, "7ffaa20539177e6e", "10s", "", '{"zone":"a"}']),
]


@pytest.mark.parametrize(
    ("room", "header"),
    [
        (199, ["KEY", "ADDR", "LEASE", "TTL", "CHANGED", "METADATA"]),
        (159, ["KEY", "ADDR", "LEASE", "METADATA"]),
        (79, ["KEY", "ADDR"]),
        (39, ["KEY", "ADDR"]),
    ],
)
def test_long_key_and_address_leave_room_for_the_other_columns(
    room: int, header: list[str]
) -> None:
    """A key keeps its end, where keys differ; an address its begin. No other cell is cut."""
    names, first, second = (line.text for line in Columns().lines(ROWS, room))

    assert names.split() == header
    assert max(map(len, (names, first, second))) <= room
    key, addr, *_ = first.split()
    assert (key[0], key[-4:], addr) == ("…", "kk-1", "10.0.0.1:80")
    key, addr, *others = second.split()
    assert (key, addr[:9], addr[-1]) == ("svc/e2", "a" * 9, "…")
    cells = {"LEASE": "7ffaa20539177e6e", "TTL": "10s", "METADATA": '{"zone":"a"}'}
    assert others == [cells[name] for name in header if name in cells]


@pytest.mark.parametrize("room", [250, 300])
def test_long_key_and_address_are_not_cut_where_all_fits(room: int) -> None:
    """However long they are."""
    _, first, second = (line.text for line in Columns().lines(ROWS, room))

    assert first.split()[0] == LONG_KEY
    assert second.split()[1] == LONG_ADDR
