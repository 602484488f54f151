"""What a release is made from: versions, classifiers, workflows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

import etcdnaming
from etcdnaming.extras import INSTALLED_BY

ROOT = Path(__file__).parent.parent
PROJECT = (ROOT / "pyproject.toml").read_text("utf-8")


def workflow(name: str) -> Any:
    """Return a workflow of the repository."""
    return yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text("utf-8"))


def test_changelog_has_notes_for_the_version() -> None:
    """The release's page shows them."""
    tag = f"v{etcdnaming.__version__}"
    tool = [sys.executable, str(ROOT / "tools" / "release_notes.py"), tag]
    notes = subprocess.run(tool, capture_output=True, text=True, check=True).stdout
    assert len(notes.splitlines()) > 10


@pytest.mark.parametrize("tag", ["v0.0.1", etcdnaming.__version__])
def test_release_is_refused_when_the_tag_is_not_the_version(tag: str) -> None:
    """Before anything is built."""
    tool = [sys.executable, str(ROOT / "tools" / "release_notes.py"), tag]
    refused = subprocess.run(tool, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"the tag is {tag}, but the version of the package is ")


def test_workflow_tests_every_python_of_the_classifiers() -> None:
    """And none that is not promised."""
    promised = re.findall(r'"Programming Language :: Python :: (3\.\d+)"', PROJECT)
    jobs = workflow("test")["jobs"]
    assert jobs["python"]["strategy"]["matrix"]["python"] == promised


def test_workflow_tests_every_etcd_of_the_matrix() -> None:
    """As tools/servers.py lists them."""
    tool = [sys.executable, str(ROOT / "tools" / "servers.py")]
    names = subprocess.run(tool, capture_output=True, text=True, check=True).stdout.split()
    assert workflow("test")["jobs"]["etcd"]["strategy"]["matrix"]["etcd"] == names


@pytest.mark.parametrize("extra", INSTALLED_BY)
def test_messages_name_what_an_extra_installs(extra: str) -> None:
    """Its first requirement in pyproject.toml; without a version unless that is fixed."""
    [requirement] = re.findall(rf'^{extra} = \["([^"]+)"\]$', PROJECT, re.MULTILINE)
    assert re.sub(">=.*", "", requirement) == INSTALLED_BY[extra]


def test_commit_hook_is_make_lint() -> None:
    """The two can't differ."""
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))
    [[hook]] = [repository["hooks"] for repository in config["repos"]]
    assert hook["entry"] == "make lint"


def test_make_help_lists_every_target() -> None:
    """Those that are declared as phony, each on a line of a terminal with 80 columns."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    [declared] = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    make = ["make", "--no-print-directory", "-C", str(ROOT)]
    shown = subprocess.run(make, capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in shown.splitlines()] == declared.split()
    assert max(map(len, shown.splitlines())) <= 80
