"""
Draw the results: ``results.svg`` from ``results.md``, ``growth.svg`` from ``growth.csv``.

    python benchmarks/plot.py
"""

from __future__ import annotations

import csv
import re
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib import pyplot as plt
from measuring import rows

HERE = Path(__file__).parent


class Bar(NamedTuple):
    """A row, and its value relative to its target: up to 1 the target is met."""

    label: str
    used: float


class Point(NamedTuple):
    """The cost of some work with this number of endpoints."""

    endpoints: int
    seconds: float
    cpu: float
    memory: float


def main() -> None:
    mpl.rcParams["svg.hashsalt"] = "etcdnaming"  # equal numbers lead to equal files
    mpl.rcParams["font.size"] = 8
    draw_targets(HERE / "results.svg", bars())
    if (HERE / "growth.csv").exists():
        draw_growth(HERE / "growth.svg", growth())


def bars() -> list[Bar]:
    """Return a bar for each row that has a target."""
    found = []
    for work, _, theirs, measured, target, _ in rows():
        peer = theirs.partition(":")[0]
        value = number(measured)
        if target.startswith("at most"):
            found.append(Bar(f"{work}\nagainst {peer}", value / number(target)))
        elif target.startswith("at least"):
            found.append(Bar(f"{work}\nagainst {peer}", number(target) / value))
    return found


def number(cell: str) -> float:
    """Return the first number in *cell*."""
    [found] = re.findall(r"[0-9.]+", cell)[:1]
    return float(found)


def draw_targets(file: Path, bars: list[Bar]) -> None:
    figure, axes = plt.subplots(figsize=(9, 0.5 * len(bars) + 1), layout="constrained")
    labels = [each.label.replace("`", "") for each in bars]
    colours = ["tab:green" if each.used <= 1 else "tab:red" for each in bars]
    drawn = axes.barh(labels, [each.used for each in bars], color=colours)
    axes.bar_label(drawn, fmt="%.2f", padding=3)
    axes.axvline(1, color="black", linewidth=1)
    axes.invert_yaxis()
    axes.set_xlabel("the value relative to its target: up to 1 the target is met")
    figure.savefig(file, metadata={"Date": None})


def growth() -> dict[str, list[Point]]:
    """Return the points of each kind of work."""
    found: dict[str, list[Point]] = defaultdict(list)
    with (HERE / "growth.csv").open() as file:
        for row in csv.DictReader(file):
            numbers = (row["seconds"], row["CPU seconds"], row["peak MiB"])
            found[row["work"]].append(
                Point(int(row["endpoints"]), *(float(each or "nan") for each in numbers))
            )
    return found


def draw_growth(file: Path, works: dict[str, list[Point]]) -> None:
    figure, (time, cpu, memory) = plt.subplots(1, 3, figsize=(12, 4), layout="constrained")
    for work, points in works.items():
        counts = [each.endpoints for each in points]
        time.plot(counts, [each.seconds for each in points], marker="o", label=work)
        cpu.plot(counts, [each.cpu for each in points], marker="o", label=work)
        memory.plot(counts, [each.memory for each in points], marker="o", label=work)
    units = {time: "seconds, the start among them", cpu: "seconds of CPU", memory: "MiB at most"}
    for axes, unit in units.items():
        axes.set(xscale="log", yscale="log", xlabel="endpoints", ylabel=unit)
        axes.grid(visible=True, which="major", alpha=0.3)
    low, high = time.get_xlim()
    time.plot([low, high], [low / 1e4, high / 1e4], "k:", linewidth=1, label="as linear looks")
    time.legend()
    figure.savefig(file, metadata={"Date": None})


if __name__ == "__main__":
    main()
