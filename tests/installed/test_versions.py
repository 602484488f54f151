"""The package works on every Python, and on the oldest dependencies that it allows."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from harness import Etcd
from harness.installed import Installed, succeed

ROOT = Path(__file__).parent.parent.parent
VERSIONS = ["3.10", "3.11", "3.12", "3.13", "3.14"]
ELSEWHERE = [
    ("3.10", "x86_64-unknown-linux-musl"),
    ("3.14", "x86_64-unknown-linux-musl"),
    ("3.14", "x86_64-unknown-linux-gnu"),
    ("3.14", "aarch64-apple-darwin"),
]

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def pythons() -> dict[str, Path]:
    """Return a Python of each version on this machine, from PATH or from pyenv."""
    found = {version: python for version in VERSIONS for python in places_of(version)}
    return {**found, f"3.{sys.version_info.minor}": Path(sys.executable)}


def places_of(version: str) -> list[Path]:
    """Return the path of a version; a shim of pyenv on PATH may not work."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    path = [each for each in os.get_exec_path() if not Path(each).is_relative_to(pyenv)]
    on_path = shutil.which(f"python{version}", path=os.pathsep.join(path))
    of_pyenv = sorted(pyenv.glob(f"versions/{version}.*/bin/python"))
    return [*of_pyenv, *([Path(on_path)] if on_path else [])]


@pytest.mark.parametrize("python", pythons().values(), ids=pythons())
def test_package_runs_on_every_installed_python(
    python: Path, wheel: Path, uv: str, etcd: Etcd, tmp_path: Path
) -> None:
    """From wheels only, without a warning."""
    succeed(uv, "venv", "--quiet", "--python", python, tmp_path)
    install = [uv, "pip", "install", "--quiet", "--python", str(tmp_path / "bin" / "python")]
    succeed(*install, "--only-binary", ":all:", wheel)
    installed = Installed(tmp_path, etcd.endpoint)

    strict = ["python", "-W", "error", "-m", "etcdnaming"]
    assert installed(*strict, "add", "svc/e1", "--addr", "1:1") == (0, "OK\n", "")
    assert installed(*strict, "list", "svc", "-w", "table").err == ""
    assert (
        installed(*strict, "watch", "svc", "--timeout", "300ms").out == "PUT\tsvc/e1\t1:1\tnull\n"
    )
    held = installed(*strict, "lease-register", "svc/e2", "--addr", "1:2", "--", "true")
    assert held.status == 0, held.err


@pytest.mark.parametrize(("version", "machine"), ELSEWHERE)
def test_dependencies_have_wheels(version: str, machine: str, uv: str) -> None:
    """So that nothing has to be compiled in other places either, such as alpine's musl."""
    to = ["--python-platform", machine, "--python-version", version, "--only-binary", ":all:"]
    found = succeed(uv, "pip", "compile", "--quiet", *to, ROOT / "pyproject.toml")

    assert {"click", "grpcio", "msgspec", "protobuf", "rich"} <= set(re.findall(r"(\w+)==", found))


def test_pip_finds_wheels_of_dependencies_for_alpine(wheel: Path, tmp_path: Path) -> None:
    """With musl in place of glibc."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "download"]
    alpine = ["--platform", "musllinux_1_2_x86_64", "--only-binary", ":all:"]
    succeed(*pip, *alpine, "--dest", tmp_path, wheel)

    assert list(tmp_path.glob("grpcio-*-musllinux_*.whl"))


@pytest.mark.timeout(900)
def test_package_passes_its_tests_on_the_oldest_dependencies(
    wheel: Path, uv: str, tmp_path: Path
) -> None:
    """Those that pyproject.toml names."""
    versions = install(uv, tmp_path, wheel, "--resolution", "lowest-direct")
    assert floors() <= versions
    run_tests(tmp_path, [*TESTS, *CHANNELS])


@pytest.mark.timeout(900)
def test_channels_pass_their_tests_on_grpcio_in_the_middle(
    wheel: Path, uv: str, tmp_path: Path
) -> None:
    """
    Between the oldest and the newest, with which all tests run.

    Channels rest on more of gRPC's core than anything else here, and on some of its oddities.
    """
    assert f"grpcio=={MIDDLE}" in install(uv, tmp_path, wheel, f"grpcio=={MIDDLE}.*")
    run_tests(tmp_path, CHANNELS)


def install(uv: str, venv: Path, wheel: Path, *which: str) -> set[str]:
    """Make an environment with these dependencies; return their versions, in two numbers."""
    succeed(uv, "venv", "--quiet", "--python", sys.executable, venv)
    there = ["--quiet", "--python", str(venv / "bin" / "python")]
    wanted = ["--requirements", str(ROOT / "pyproject.toml"), "--extra", "test"]
    succeed(uv, "pip", "install", *there, "--only-binary", ":all:", *wanted, *which)
    succeed(uv, "pip", "install", *there, "--no-deps", wheel)
    return set(re.findall(r"\w+==\d+\.\d+", succeed(uv, "pip", "freeze", *there)))


def run_tests(venv: Path, names: list[str]) -> None:
    """Run these files and directories of tests with the package in *venv*."""
    tests = [f"tests/{name}" for name in names]
    command = [str(venv / "bin" / "pytest"), "-q", "-n", "2", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-5000:]


MIDDLE = "1.74" if sys.version_info < (3, 14) else "1.78"

CHANNELS = ["resolver", "test_aio.py", "test_resolver.py"]

# Of everything else that rests on something.
TESTS = [
    "cli/test_add.py",
    "cli/test_help.py",
    "cli/test_list.py",
    "cli/test_options.py",
    "cli/test_txn_update.py",
    "etcd/test_snapshot.py",
    "etcd/test_watch_stream.py",
    "test_endpoints.py",
    "test_watching.py",
]


def floors() -> set[str]:
    """Return the oldest allowed versions of the dependencies, in two numbers."""
    project = (ROOT / "pyproject.toml").read_text()
    ours = project.partition("\ndependencies = [")[2].partition("]")[0]
    elsewhere = ">= '3.14'" if sys.version_info < (3, 14) else "< '3.14'"
    here = [line for line in ours.splitlines() if elsewhere not in line]
    return {"==".join(each) for each in re.findall(r"(\w+)>=(\d+\.\d+)", "\n".join(here))}
