"""The program works on machines unlike the developer's."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness import Etcd
from harness.installed import Installed, succeed

from etcdnaming.errors import EtcdNotFoundError

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]  # the first one installs the wheel


def test_help_and_version_work_in_an_empty_environment(
    installed: Installed, tmp_path: Path
) -> None:
    """Without an etcd, a home directory or a PATH."""
    program = f"{installed.prefix}/bin/etcdnaming"
    for args in (["--version"], ["--help"], ["version"], ["watch", "--help"]):
        done = subprocess.run(
            [program, *args], env={}, cwd=tmp_path, capture_output=True, check=True
        )
        assert (bool(done.stdout), done.stderr) == (True, b"")


def test_sandbox_names_the_package_to_install_without_etcd(installed: Installed) -> None:
    """Only the sandbox needs the program etcd."""
    nowhere = {"PATH": f"{installed.prefix}/bin:/usr/bin:/bin"}
    result = installed("etcdnaming", "sandbox", "--", "true", env=nowhere)

    assert (result.status, result.out) == (1, "")
    assert result.err == f"Error: {EtcdNotFoundError()}\n"


def test_formats_work_without_a_terminal(installed: Installed, etcd: Etcd) -> None:
    """Even if stdin is closed."""
    etcd.put("svc/e1", '{"Addr":"1:1"}')
    assert installed("sh", "-c", "etcdnaming list svc <&-").out == "svc/e1\t1:1\tnull\n"
    assert "svc/e1" in installed("etcdnaming", "list", "svc", "-w", "table").out


@pytest.mark.parametrize("locale", ["C", "POSIX", "C.UTF-8", "xx_YY.nonsense"])
@pytest.mark.parametrize("mode", ["0", "1"])
def test_output_is_utf8_in_every_locale(
    installed: Installed, etcd: Etcd, locale: str, mode: str
) -> None:
    """Without a warning of Python or of the shell."""
    env = {"LANG": locale, "LC_ALL": locale, "PYTHONUTF8": mode, "PYTHONCOERCECLOCALE": mode}

    assert installed("etcdnaming", "add", "svc/é", "--addr", "ü:1", env=env).out == "OK\n"
    assert installed("etcdnaming", "list", "svc", env=env).out == "svc/é\tü:1\tnull\n"
    assert "svc/é" in installed("etcdnaming", "list", "svc", "-w", "table", env=env).out
    assert etcd.get("") == {"svc/é".encode(): '{"Op":0,"Addr":"ü:1","Metadata":null}'.encode()}


def test_program_writes_nothing_to_the_home_directory(installed: Installed, tmp_path: Path) -> None:
    """Nor fails if there is none."""
    for home in (tmp_path, tmp_path / "nowhere"):
        env = {"HOME": str(home), "XDG_CONFIG_HOME": None, "XDG_CACHE_HOME": None}
        assert installed("etcdnaming", "add", "svc/e1", "--addr", "1:1", env=env).err == ""
        assert installed("etcdnaming", "list", "svc", "-w", "table", env=env).status == 0

    assert list(tmp_path.iterdir()) == []


def test_program_and_library_cause_no_python_warning(installed: Installed) -> None:
    """Warnings are turned into errors."""
    strict = ["python", "-W", "error", "-X", "dev"]
    added = installed(*strict, "-m", "etcdnaming", "add", "svc/e1", "--addr", "1:1")
    assert (added.status, added.out, added.err) == (0, "OK\n", "")
    listed = installed(*strict, "-m", "etcdnaming", "list", "svc", "-w", "table")
    assert (listed.status, listed.err) == (0, "")
    everything = "import etcdnaming; [getattr(etcdnaming, each) for each in dir(etcdnaming)]"
    used = installed(*strict, "-c", everything)
    assert (used.status, used.out, used.err) == (0, "", "")


@pytest.mark.parametrize(
    "install",
    [
        pytest.param("uv tool install --quiet", id="uv"),
        pytest.param("pipx install --quiet", id="pipx"),
    ],
)
def test_package_installs_as_a_tool(
    install: str, wheel: Path, scripts: Path, etcd: Etcd, tmp_path: Path
) -> None:
    """In an environment of its own, with its command and its man pages where the others are."""
    program, *args = install.split(" ")
    environment = {
        **os.environ,
        "UV_TOOL_DIR": str(tmp_path / "uv"),
        "UV_TOOL_BIN_DIR": str(tmp_path / "bin"),
        "UV_PYTHON": sys.executable,
        "PIPX_HOME": str(tmp_path / "pipx"),
        "PIPX_BIN_DIR": str(tmp_path / "bin"),
        "PIPX_MAN_DIR": str(tmp_path / "share" / "man"),
        "PIPX_DEFAULT_PYTHON": sys.executable,
        "ETCDCTL_ENDPOINTS": etcd.endpoint,
    }
    succeed(scripts / program, *args, wheel, env=environment)

    etcdnaming = tmp_path / "bin" / "etcdnaming"
    assert succeed(etcdnaming, "add", "svc/e1", "--addr", "1:1", env=environment) == "OK\n"
    if program == "pipx":
        assert (tmp_path / "share" / "man" / "man1" / "etcdnaming-add.1").is_file()
