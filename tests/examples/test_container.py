"""
Run the Dockerfile and compose.yaml without Docker, as PID 1 of a PID namespace.

Not tested: the images, and what Docker does with the fields that are only compared.
"""

from __future__ import annotations

import json
import os
import re
import signal
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


def instructions() -> dict[str, str]:
    """Return the arguments of each instruction in the Dockerfile."""
    text = (CONTAINER / "Dockerfile").read_text("utf-8").replace("\\\n", "")
    return dict(re.findall(r"^([A-Z]+) (.*)$", text, re.MULTILINE))


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
    assert (CONTAINER / source).is_file()
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
