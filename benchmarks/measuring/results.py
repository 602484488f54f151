"""What was measured, as a row of ``benchmarks/results.md``."""

from __future__ import annotations

import datetime as dt
import os
import platform
import subprocess
from pathlib import Path
from typing import NamedTuple

from etcdnaming.sandbox import find_etcd

__all__ = ["Bound", "Row", "record"]

RESULTS = Path(__file__).parent.parent / "results.md"


class Bound(NamedTuple):
    """
    What was promised: *least* to *most*, in *unit*.

    >>> str(Bound(most=1.5)), Bound(most=1.5).holds(1.2)
    ('at most 1.5 x', True)
    """

    most: float = float("inf")
    least: float = 0.0
    unit: str = "x"

    def holds(self, value: float) -> bool:
        """Say whether *value* keeps the promise."""
        return self.least <= value <= self.most

    def __str__(self) -> str:
        most = f"at most {self.most:g} {self.unit}" if self.most < float("inf") else ""
        least = f"at least {self.least:g} {self.unit}" if self.least else ""
        return ", ".join(filter(None, (least, most)))


class Row(NamedTuple):
    """What we and others took for some *work*, and the *value* that a *bound* was promised for."""

    work: str
    ours: str
    theirs: str
    value: float
    bound: Bound


def record(row: Row) -> int:
    """Print *row*, put it in place of the one before, and return the exit code it is worth."""
    met = row.bound.holds(row.value)
    value = f"{row.value:.2f} {row.bound.unit}"
    cells = (row.work, row.ours, row.theirs, value if met else f"**{value}**", str(row.bound))
    line = f"| {' | '.join(cells)} | {_circumstances()} |"
    print(line)
    lines = [each for each in _lines() if not each.startswith(f"| {row.work} |")]
    RESULTS.write_text("\n".join([*lines, line, ""]))
    return 0 if met else 1


def _lines() -> list[str]:
    return RESULTS.read_text().splitlines()


def _circumstances() -> str:
    said = subprocess.run([find_etcd(), "--version"], capture_output=True, check=True, text=True)
    etcd = said.stdout.splitlines()[0].rpartition(" ")[2]
    today = dt.datetime.now(tz=dt.timezone.utc).date()
    cores = os.cpu_count()
    return f"{today}, etcd {etcd}, Python {platform.python_version()}, {cores} cores"
