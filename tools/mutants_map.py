"""
A plugin of pytest that notes which test runs which line, and how long each takes.

Lines that a background thread runs belong to the test that runs meanwhile; those of other processes
are not seen. Each worker writes a file to the directory ``$MUTANTS_MAP``; the tests that are noted
there already are not run again.
"""

from __future__ import annotations

import json
import os
from collections.abc import Generator
from pathlib import Path

import coverage
import pytest

_into = Path(os.environ["MUTANTS_MAP"])
_coverage = coverage.Coverage(
    data_file=str(_into / "coverage"),
    data_suffix=True,
    source_pkgs=["etcdnaming"],
    config_file=False,
)
_times = _into / "seconds.jsonl"


def pytest_sessionstart() -> None:
    """Begin to trace."""
    _coverage.start()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what was noted by an earlier run."""
    lines = _times.read_text("utf-8").splitlines() if _times.exists() else []
    known = {json.loads(line)[0] for line in lines}
    items[:] = [item for item in items if item.nodeid not in known]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Note the lines of one test under its name."""
    _coverage.switch_context(item.nodeid)
    try:
        return (yield)
    finally:
        _coverage.switch_context("")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what each part of a test took; a test that fails takes forever, and is not used."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        with _times.open("a", encoding="utf-8") as file:
            seconds = float("inf") if report.failed else report.duration
            file.write(json.dumps([report.nodeid, seconds]) + "\n")


def pytest_sessionfinish() -> None:
    """Write the lines, in the process that has run them."""
    _coverage.stop()
    _coverage.save()
