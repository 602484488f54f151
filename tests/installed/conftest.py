"""Fixtures: the place where the wheel is installed."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path

import pytest
from harness import Etcd
from harness.installed import Installed, succeed


@pytest.fixture(scope="session")
def prefix(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the prefix where pip has installed the wheel, without a compiler."""
    directory = tmp_path_factory.mktemp("prefix")
    succeed(sys.executable, "-m", "venv", directory)
    pip = [str(directory / "bin" / "pip"), "--quiet", "--disable-pip-version-check"]
    succeed(*pip, "install", "--only-binary", ":all:", wheel)
    return directory


@pytest.fixture
def installed(prefix: Path, etcd: Etcd) -> Installed:
    """``installed("etcdnaming", "list", "svc")``: a program of `prefix`, run to its end."""
    return Installed(prefix, etcd.endpoint)


@pytest.fixture(scope="session")
def scripts() -> Path:
    """Return the directory of uv and pipx, which come with the tests' environment."""
    return Path(sysconfig.get_path("scripts"))


@pytest.fixture(scope="session")
def uv(scripts: Path) -> str:
    """Return the program uv, which makes environments faster than pip."""
    return str(scripts / "uv")
