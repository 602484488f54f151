"""What `.ci/twice` makes of tests that fail."""

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
    """A project with an environment of its own."""
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    (tmp_path / "conftest.py").write_text(CONFTEST)
    return tmp_path


def twice(project: Path, tests: str, *options: str) -> tuple[int, list[str]]:
    """Return status and flaky tests of a run."""
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


def test_tests_that_pass_are_run_once(project: Path) -> None:
    """There is nothing to say of them."""
    assert twice(project, PASSES) == (0, [])


def test_a_test_that_fails_once_is_called_flaky(project: Path) -> None:
    """Whatever is in its name."""
    status, flaky = twice(project, FAILS_ONCE + PASSES)
    assert status == 0
    assert sorted(flaky) == [
        "FLAKY: test_it.py::test_fails_once[a b]",
        "FLAKY: test_it.py::test_fails_once[a::b]",
    ]


def test_a_test_that_fails_twice_is_a_failure(project: Path) -> None:
    """Beside one that fails once."""
    status, flaky = twice(project, FAILS + FAILS_ONCE)
    assert status == 1
    assert len(flaky) == 2


def test_a_run_that_ends_early_is_a_failure(project: Path) -> None:
    """What else would have failed is unknown."""
    assert twice(project, FAILS_ONCE + ENDS) == (3, [])


def test_a_file_that_cannot_be_read_is_a_failure(project: Path) -> None:
    """Also where two workers run the others to their end."""
    (project / "test_other.py").write_text("import nothing_of_this_name\n")
    status, flaky = twice(project, FAILS_ONCE, "-n", "2")
    assert status != 0
    assert len(flaky) == 2
