"""
Run the Dockerfile and compose.yaml without Docker, as PID 1 of a PID namespace.

What the Dockerfile runs is run here, in directories of the test. Not tested: the base images, and
what Docker does with the fields that are only compared.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import Etcd, wait_until
from harness.examples import (
    EXAMPLES,
    endpoints,
    hello,
    host_address,
    leave_in_order,
    passes,
    replaced,
    seconds_to_stop,
)
from harness.pids import child_of
from harness.ports import free_port
from harness.process import Process
from harness.programs import Programs
from harness.servers import Servers

from etcdnaming.cli.parsing import parse_duration

CONTAINER = EXAMPLES / "container"
ROOT = EXAMPLES.parent


def all_instructions() -> list[tuple[str, str]]:
    """Return each instruction of the Dockerfile and its arguments."""
    text = (CONTAINER / "Dockerfile").read_text("utf-8").replace("\\\n", "")
    return re.findall(r"^([A-Z]+) (.*)$", text, re.MULTILINE)


def instructions() -> dict[str, str]:
    """Return the arguments of the last instruction of each kind: those of the image."""
    return dict(all_instructions())


def service(name: str) -> Any:
    """Return a service of compose.yaml."""
    return yaml.safe_load((CONTAINER / "compose.yaml").read_text("utf-8"))["services"][name]


def pid_1() -> list[str]:
    """Return the command line of the image; its form is JSON, or a shell would be PID 1."""
    found = instructions()
    return [*json.loads(found["ENTRYPOINT"]), *json.loads(found["CMD"])]


@pytest.fixture
def host() -> str:
    """Return an address that a container can register; 127.0.0.1 is refused."""
    return host_address() or pytest.skip("this machine has no address that others could dial")


@pytest.fixture
def composed_etcd(programs: Programs, _servers: Servers) -> Etcd:
    """Start the service ``etcd``."""
    etcd = Etcd(programs)
    program, *flags = service("etcd")["command"]
    assert program == "etcd"
    etcd.server_flags = tuple(replaced(flags, {"2379": str(etcd.port), "//etcd:": "//127.0.0.1:"}))
    return _servers.start(etcd)


def test_container_is_healthy_while_it_is_registered(
    composed_etcd: Etcd,
    host: str,
    namespace: list[str],
    start: Callable[..., Process],
    tmp_path: Path,
) -> None:
    """The shutdown of one does not affect the others."""
    composed = service("server")
    source, folder = instructions()["COPY"].split()
    assert (ROOT / source).is_file()
    [etcd] = replaced(
        [composed["environment"]["ETCDNAMING_ENDPOINTS"]],
        {"etcd:2379": f"{host}:{composed_etcd.port}"},
    )
    instances = []
    for _ in range(composed["deploy"]["replicas"]):
        port = str(free_port())
        ready = {"/tmp/ready": str(tmp_path / port)}  # noqa: S108 - a container has its own
        probe = replaced(composed["healthcheck"]["test"], ready)
        assert probe.pop(0) == "CMD"
        assert not passes(probe)
        words = replaced(pid_1(), {"50051": port, folder: f"{CONTAINER}/", **ready})
        process = start([*namespace, *words], {"ETCDNAMING_ENDPOINTS": etcd})
        instances.append((process, probe, f"{host}:{port}"))

    for _, probe, addr in instances:
        wait_until(partial(passes, probe), 20)
        assert endpoints(composed_etcd)[addr] == addr
        assert hello(addr).endswith(addr.partition(":")[2])

    process, probe, addr = instances[0]
    number = signal.Signals[instructions()["STOPSIGNAL"]]
    stop = partial(os.kill, child_of(process.pid), number)
    assert leave_in_order(process, stop, composed_etcd, addr, addr) < seconds_to_stop(pid_1())
    assert not passes(probe)
    assert [*endpoints(composed_etcd)] == [addr for *_, addr in instances[1:]]


def test_container_exits_when_its_server_crashes(
    etcd: Etcd, namespace: list[str], start: Callable[..., Process], tmp_path: Path
) -> None:
    """With the server's exit code; the endpoint is deleted."""
    port = str(free_port())
    ready = {"/tmp/ready": str(tmp_path / "ready")}  # noqa: S108 - a container has its own
    words = replaced(pid_1(), {"50051": port, "/app/": f"{CONTAINER}/", **ready})
    words[words.index("--addr") + 1] = f"127.0.0.1:{port}"
    process = start([*namespace, *words], {"ETCDNAMING_ENDPOINTS": etcd.endpoint})
    wait_until(lambda: endpoints(etcd), 20)

    os.kill(child_of(child_of(process.pid)), signal.SIGKILL)
    assert process.finish().status == 128 + signal.SIGKILL
    assert endpoints(etcd) == {}


def test_etcd_passes_its_health_check(composed_etcd: Etcd) -> None:
    """It runs the etcdctl of the image."""
    kind, program, *args = service("etcd")["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "etcdctl")
    composed_etcd.ctl(*args)


def test_docker_grace_period_is_longer_than_the_shutdown() -> None:
    """Docker sends SIGKILL after it."""
    grace = parse_duration(service("server")["stop_grace_period"])
    assert grace > seconds_to_stop(pid_1())


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """Return a copy of what Docker would send, as Dockerfile.dockerignore says."""
    lines = (CONTAINER / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    everything, *kept = [line for line in lines if line and not line.startswith("#")]
    assert everything == "*"
    assert kept.pop() == "**/__pycache__"
    for line in kept:
        assert line.startswith("!")
        for source in ROOT.glob(line[1:]):
            copy = tmp_path / "src" / source.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy)
    return tmp_path


def build(context: Path, source: str) -> Path:
    """Run the RUN instructions with *source*; return the prefix that they installed to."""
    subprocess.run([sys.executable, "-m", "venv", context / "python"], check=True)
    path = f"{context / 'python' / 'bin'}:{os.environ['PATH']}"
    environ = {**os.environ, "SOURCE": source, "PATH": path}
    places = {"/wheels": str(context / "wheels"), "/prefix": str(context / "prefix")}
    for instruction, text in all_instructions():
        if instruction == "RUN":
            here = re.sub("/wheels|/prefix", lambda found: places[found[0]], text)
            subprocess.run(["sh", "-ec", here], cwd=context / "src", env=environ, check=True)
    return context / "prefix"


@pytest.mark.long
@pytest.mark.parametrize("of_a_wheel", [False, True], ids=["source tree", "wheel"])
def test_image_is_built_without_a_compiler(
    context: Path, of_a_wheel: bool, wheel: Path, etcd: Etcd
) -> None:
    """From the source tree or a wheel of it; with the extra for metrics."""
    source = "."
    if of_a_wheel:
        (context / "src" / "dist").mkdir()
        shutil.copy(wheel, context / "src" / "dist")
        source = f"dist/{wheel.name}"
    prefix = build(context, source)

    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    packages = prefix / "lib" / version / "site-packages"
    assert (packages / "prometheus_client").is_dir()
    shown = subprocess.run(
        [prefix / "bin" / "etcdnaming", "--endpoints", etcd.endpoint, "services"],
        env={"PYTHONPATH": str(packages), "PATH": os.environ["PATH"]},
        capture_output=True,
        check=True,
    )
    assert shown.stdout == b""
    assert (prefix / "share" / "man" / "man1" / "etcdnaming-add.1").is_file()


@pytest.mark.long
@pytest.mark.parametrize("platform", ["manylinux2014", "musllinux_1_2"])
def test_every_dependency_has_a_wheel_for_the_base_image(
    platform: str, wheel: Path, tmp_path: Path
) -> None:
    """Of Debian (slim) and of Alpine."""
    [python] = re.findall(r"BASE=python:([0-9.]+)-slim", dict(all_instructions()[:1])["ARG"])
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    only = [
        "--only-binary",
        ":all:",
        "--platform",
        f"{platform}_x86_64",
        "--python-version",
        python,
    ]
    subprocess.run([*pip, "download", *only, "--dest", tmp_path, f"{wheel}[metrics]"], check=True)
    assert list(tmp_path.glob("grpcio-*.whl"))
