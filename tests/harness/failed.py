"""Record which tests have failed, for ``.ci/twice``."""

from __future__ import annotations

from pathlib import Path

import pytest

__all__ = ["Failed"]


class Failed:
    """
    A pytest plugin that writes the names of the failed tests to *file*, one per line.

    If the run ended in another way, by an error of pytest for example, nothing is written, because
    it is unknown which other tests would have failed.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._names: dict[str, None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Record a failure of a test or of one of its fixtures."""
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Record a file that can't be imported."""
        self._note(report)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write the names to the file."""
        if exitstatus == pytest.ExitCode.TESTS_FAILED:
            self._file.write_text("".join(f"{name}\n" for name in self._names))

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed:
            self._names[report.nodeid] = None
