"""etcdnaming beside python-etcd3 in one process: runs ``beside_etcd3`` where that is installed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness.programs import Programs

TOP = Path(__file__).parent.parent.parent
TESTS = Path(__file__).with_name("beside_etcd3")

IGNORED = [
    # What protobuf says when the messages of python-etcd3 are imported.
    "ignore:Call to deprecated create function:DeprecationWarning",
    # Its watcher ends only when it loses the channel, with an exception.
    "ignore:Exception in thread etcd3_watch:pytest.PytestUnhandledThreadExceptionWarning",
]

pytestmark = [pytest.mark.long, pytest.mark.timeout(400)]


def environment(name: str, *requirements: str) -> Path:
    """Return the Python of an environment in the tree, rebuilt when its requirements change."""
    place = TOP / f".venv-etcd3-{name}"
    project = (TOP / "pyproject.toml").read_text().partition("[tool.")[0]
    wanted = "\n".join([sys.version, *requirements, project])
    digest, stamp = hashlib.sha256(wanted.encode()).hexdigest(), place / "installed"
    python = place / "bin" / "python"
    if not (stamp.exists() and stamp.read_text() == digest):
        shutil.rmtree(place, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        install = ["-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
        subprocess.run([python, *install, *requirements], cwd=TOP, check=True)
        stamp.write_text(digest)
    return python


@pytest.mark.parametrize(
    ("name", "requirements", "variables"),
    [
        pytest.param(
            "extra",
            ["--editable=.[etcd3,test]"],
            {},
            marks=pytest.mark.against("python-etcd3 0.12.0, as `etcdnaming[etcd3]` installs it"),
        ),
        pytest.param(
            "newest",
            ["--editable=.[test]", "etcd3==0.12.0"],
            {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"},
            marks=pytest.mark.against("python-etcd3 0.12.0 on the newest protobuf, in pure Python"),
        ),
    ],
)
def test_client_shares_a_channel_with_python_etcd3(
    programs: Programs, name: str, requirements: list[str], variables: dict[str, str]
) -> None:
    """Endpoints, watches, registrations and channels, as the tests in ``beside_etcd3`` say."""
    python = environment(name, *requirements)
    etcd = {"ETCDNAMING_TEST_ETCD": str(programs.etcd.parent), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(
        [
            *(python, "-m", "pytest", "-p", "no:cacheprovider", "-m", ""),
            *(f"--pythonwarnings={each}" for each in IGNORED),
            TESTS,
        ],
        cwd=TOP,
        env={**os.environ, **variables, **etcd},
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
