"""Write down which tests have failed, for ``.ci/twice``."""

from __future__ import annotations

from pathlib import Path

import pytest

__all__ = ["Failed"]


class Failed:
    """
    A plugin that writes to *file* the names of the tests that have failed, one per line.

    Nothing is written if the run ended in another way, by an error of pytest's for example: then it
    is not known what else would have failed.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._names: dict[str, None] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a failure of a test, or of what it stands on."""
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file that can't be read."""
        self._note(report)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write them down."""
        if exitstatus == pytest.ExitCode.TESTS_FAILED:
            self._file.write_text("".join(f"{name}\n" for name in self._names))

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.failed:
            self._names[report.nodeid] = None
