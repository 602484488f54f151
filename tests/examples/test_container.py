"""
The Dockerfile and compose.yaml, without Docker: their own words, run as PID 1 of a PID namespace.

Not seen here: the images, and what Docker makes of the fields that are only compared.
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
    """Return what stands after each word of the Dockerfile."""
    text = (CONTAINER / "Dockerfile").read_text("utf-8").replace("\\\n", "")
    return dict(re.findall(r"^([A-Z]+) (.*)$", text, re.MULTILINE))


def service(name: str) -> Any:
    """Return what compose.yaml says of a service."""
    return yaml.safe_load((CONTAINER / "compose.yaml").read_text("utf-8"))["services"][name]


def pid_1() -> list[str]:
    """Return what a container of the image runs; JSON, or a shell would be PID 1."""
    said = instructions()
    return [*json.loads(said["ENTRYPOINT"]), *json.loads(said["CMD"])]


@pytest.fixture
def host() -> str:
    """An address that a container could register; 127.0.0.1 is refused."""
    return host_address() or pytest.skip("this machine has no address that others could dial")


@pytest.fixture
def composed_etcd(programs: Programs, _servers: Servers) -> Etcd:
    """The service ``etcd``."""
    etcd = Etcd(programs)
    program, *flags = service("etcd")["command"]
    assert program == "etcd"
    etcd.server_flags = tuple(replaced(flags, {"2379": str(etcd.port), "//etcd:": "//127.0.0.1:"}))
    return _servers.start(etcd)


def test_instances_come_and_go_in_good_order(
    composed_etcd: Etcd,
    host: str,
    namespace: list[str],
    start: Callable[..., Process],
    tmp_path: Path,
) -> None:
    """Each is healthy when it can be found; the end of one does not touch the others."""
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
    tell = partial(os.kill, child_of(process.pid), number)
    assert leave_in_order(process, tell, composed_etcd, addr, addr) < seconds_to_stop(pid_1())
    assert not passes(probe)
    assert [*endpoints(composed_etcd)] == [addr for *_, addr in instances[1:]]


def test_nothing_outlives_a_server_that_crashes(
    etcd: Etcd, namespace: list[str], start: Callable[..., Process], tmp_path: Path
) -> None:
    """Not even its endpoint: the container ends with the server's exit code."""
    port = str(free_port())
    ready = {"/tmp/ready": str(tmp_path / "ready")}  # noqa: S108 - a container has its own
    words = replaced(pid_1(), {"50051": port, "/app/": f"{CONTAINER}/", **ready})
    words[words.index("--addr") + 1] = f"127.0.0.1:{port}"
    process = start([*namespace, *words], {"ETCDNAMING_ENDPOINTS": etcd.endpoint})
    wait_until(lambda: endpoints(etcd), 20)

    os.kill(child_of(child_of(process.pid)), signal.SIGKILL)
    assert process.finish().status == 128 + signal.SIGKILL
    assert endpoints(etcd) == {}


def test_etcd_is_healthy_by_the_probe_of_the_file(composed_etcd: Etcd) -> None:
    """Which is its own etcdctl."""
    kind, program, *args = service("etcd")["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "etcdctl")
    composed_etcd.ctl(*args)


def test_docker_waits_long_enough_for_the_end() -> None:
    """It kills everything after that."""
    grace = parse_duration(service("server")["stop_grace_period"])
    assert grace > seconds_to_stop(pid_1())
