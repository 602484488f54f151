"""What `.ci/twice` does with tests that fail."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TWICE = ROOT / ".ci" / "twice"

CONFTEST = f"""
import sys
from pathlib import Path

sys.path.insert(0, {str(ROOT / "tests")!r})
from harness.failed import Failed

def pytest_addoption(parser):
    parser.addoption("--failed", type=Path)

def pytest_configure(config):
    if (file := config.getoption("failed")) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Failed(file))
"""

PASSES = "def test_passes(): pass\n"
FAILS = "def test_fails(): assert False\n"
FAILS_ONCE = """
import pytest
from pathlib import Path

@pytest.mark.parametrize("word", ["a b", "a::b"])
def test_fails_once(word):
    seen = Path(f"seen-{word}")
    if not seen.exists():
        seen.touch()
        raise AssertionError
"""
ENDS = "import pytest\ndef test_ends(): pytest.exit('no reason', returncode=3)\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a project with its own environment."""
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    return tmp_path


def twice(project: Path, tests: str, *options: str) -> tuple[int, list[str]]:
    """Return the exit status of a run and the tests that it reports as flaky."""
    (project / "test_it.py").write_text(tests)
    flaky = project / "flaky"
    done = subprocess.run(
        [TWICE, ".venv/bin/pytest", *options],
        cwd=project,
        env={"PATH": os.environ["PATH"], "FLAKY": str(flaky)},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    said = [line for line in done.stdout.splitlines() if line.startswith("FLAKY: ")]
    assert said == (flaky.read_text().splitlines() if flaky.exists() else [])
    return done.returncode, said


def test_twice_reports_nothing_when_all_tests_pass(project: Path) -> None:
    """The exit status is 0."""
    assert twice(project, PASSES) == (0, [])


def test_twice_reports_a_test_that_fails_once_as_flaky(project: Path) -> None:
    """The name of the test may contain spaces and colons."""
    status, flaky = twice(project, FAILS_ONCE + PASSES)
    assert status == 0
    assert sorted(flaky) == [
        "FLAKY: test_it.py::test_fails_once[a b]",
        "FLAKY: test_it.py::test_fails_once[a::b]",
    ]


def test_twice_fails_when_a_test_fails_twice(project: Path) -> None:
    """A test that fails once in the same run is still reported as flaky."""
    status, flaky = twice(project, FAILS + FAILS_ONCE)
    assert status == 1
    assert len(flaky) == 2


def test_twice_fails_when_the_run_ends_early(project: Path) -> None:
    """The other tests that would have failed are unknown."""
    assert twice(project, FAILS_ONCE + ENDS) == (3, [])


def test_twice_fails_when_a_test_file_cannot_be_imported(project: Path) -> None:
    """The other files are still run to their end, also by two workers."""
    (project / "test_other.py").write_text("import nothing_of_this_name\n")
    status, flaky = twice(project, FAILS_ONCE, "-n", "2")
    assert status != 0
    assert len(flaky) == 2
