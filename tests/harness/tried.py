"""Record what was tested with which etcd; ``tools/tried.py`` makes a table of it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Generator
from pathlib import Path
from types import SimpleNamespace

import pytest

from .programs import Programs

__all__ = ["Tried"]

OURS = "etcdnaming"

NO_PARAMETERS = SimpleNamespace(params={})


class Tried:
    """
    A pytest plugin that appends a line to *file* for each peer whose tests have passed.

    The marker ``against`` names the peer. Tests marked ``server`` have this project as their peer.
    Tests with a parameter *language* record how its xDS clients behave; such lines begin with
    ``xds``.
    """

    def __init__(self, file: Path, programs: Programs) -> None:
        self._file, self._programs = file, programs
        self._peers: set[str] = set()
        self._behaviour: set[tuple[str, str]] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Record the peers of a test that has passed."""
        report = yield
        if report.when == "call" and report.passed:
            self._peers |= {mark.args[0] for mark in item.iter_markers("against")}
            if item.get_closest_marker("server"):
                self._peers.add(OURS)
            if language := getattr(item, "callspec", NO_PARAMETERS).params.get("language"):
                promise = item.name.partition("[")[0].removeprefix("test_").replace("_", " ")
                self._behaviour.add((language.shown, promise))
        return report

    def pytest_sessionfinish(self) -> None:
        """Append the records to the file."""
        version = _version(self._programs.etcd)
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.writelines(f"{version}\t{peer}\n" for peer in sorted(self._peers))
            file.writelines(f"xds\t{who}\t{what}\n" for who, what in sorted(self._behaviour))


def _version(etcd: Path) -> str:
    """Return the version that ``etcd --version`` prints."""
    said = subprocess.run([etcd, "--version"], capture_output=True, check=True, text=True).stdout
    [version] = re.findall(r"^etcd Version: (\S+)$", said, re.MULTILINE)
    return str(version)
