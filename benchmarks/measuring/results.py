"""Results as rows of ``benchmarks/results.md``."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from etcdnaming.sandbox import find_etcd

__all__ = ["Bound", "Row", "circumstances", "record", "rows"]

RESULTS = Path(__file__).parent.parent / "results.md"

MISSED = 3
"""Exit code of a benchmark that has missed a target; Python's own are 1 and 2."""


class Bound(NamedTuple):
    """
    A target: *least* to *most*, in *unit*; "nothing" for a mere comparison.

    >>> str(Bound(most=1.5)), Bound(most=1.5).holds(1.2), str(Bound())
    ('at most 1.5 x', True, 'nothing')
    """

    most: float = float("inf")
    least: float = 0.0
    unit: str = "x"

    def holds(self, value: float) -> bool:
        """Return whether *value* meets the target."""
        return self.least <= value <= self.most

    def __str__(self) -> str:
        most = f"at most {self.most:g} {self.unit}" if self.most < float("inf") else ""
        least = f"at least {self.least:g} {self.unit}" if self.least else ""
        return ", ".join(filter(None, (least, most))) or "nothing"


class Row(NamedTuple):
    """The results of etcdnaming and of a peer for some *work*; *bound* is the range for *value*."""

    work: str
    ours: str
    theirs: str
    value: float
    bound: Bound


def record(row: Row) -> int:
    """Print *row*, replace the previous row of the same work, and return the exit code."""
    met = row.bound.holds(row.value)
    value = f"{row.value:.{2 if row.value >= 0.1 else 4}f} {row.bound.unit}"
    cells = (row.work, row.ours, row.theirs, value if met else f"**{value}**", str(row.bound))
    line = f"| {' | '.join(cells)} | {circumstances()} |"
    print(line)
    lines = RESULTS.read_text().splitlines()
    before = [n for n, each in enumerate(lines) if _is_about(each, row)]
    if before:
        lines[before[0]] = line
    else:
        lines.append(line)
    RESULTS.write_text("\n".join([*lines, ""]))
    return 0 if met else MISSED


def rows() -> list[list[str]]:
    """Return the cells of all rows."""
    lines = [each for each in RESULTS.read_text().splitlines() if each.startswith("|")]
    return [[cell.strip() for cell in each.strip("|").split("|")] for each in lines[2:]]


def circumstances() -> str:
    """Return the date, the versions and the load of the machine, for a row."""
    said = subprocess.run([find_etcd(), "--version"], capture_output=True, check=True, text=True)
    etcd = said.stdout.splitlines()[0].rpartition(" ")[2]
    today = dt.datetime.now(tz=dt.timezone.utc).date()
    cores, load = os.cpu_count(), os.getloadavg()[0]
    python, grpcio = platform.python_version(), version("grpcio")
    return f"{today}, etcd {etcd}, Python {python}, grpcio {grpcio}, {cores} cores, load {load:.1f}"


def _is_about(line: str, row: Row) -> bool:
    """Return whether *line* has the same work and the same peer as *row*."""
    return line.startswith(f"| {row.work} |") and f"| {_peer(row.theirs)}" in line


def _peer(theirs: str) -> str:
    return theirs.partition(":")[0]
