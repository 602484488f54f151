"""
A plugin of pytest that notes which test runs which line, and how long each takes.

Lines that a background thread runs belong to the test that runs meanwhile; those of other processes
are not seen. One file for each worker is written to the directory ``$MUTANTS_MAP``.
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
_seconds: dict[str, float] = {}


def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin to trace."""
    _coverage.start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Note the lines of one test under its name."""
    _coverage.switch_context(item.nodeid)
    try:
        return (yield)
    finally:
        _coverage.switch_context("")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what a test takes; one that fails has no time, and is not used."""
    if report.failed:
        _seconds[report.nodeid] = float("inf")
    _seconds[report.nodeid] = _seconds.get(report.nodeid, 0.0) + report.duration


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write both, in the process that has run the tests."""
    _coverage.stop()
    _coverage.save()
    if not hasattr(session.config, "workerinput"):
        (_into / "seconds.json").write_text(json.dumps(_seconds), "utf-8")
