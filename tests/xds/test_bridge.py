"""The bridge as a process: responses, limits, TLS, permissions, shutdown, pages and logs."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from harness import READER, Etcd, Run, Spawn, wait_until
from harness.auth import READER_NEEDS
from harness.backends import Backends
from harness.tls import Certificates
from harness.waiting import listens
from harness.xds import Bridge, Language, Xds, addresses

from etcdnaming import Client
from etcdnaming.probing import check_grpc_health
from etcdnaming.sandbox import free_port
from etcdnaming.xds.names import Kind

from .conftest import Service

PYTHON = Language("python")
TARGET = "xds:///foo/svc"
ADS = "envoy.service.discovery.v3.AggregatedDiscoveryService"

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def bridge(xds: Xds) -> Bridge:
    """Return a bridge that serves everything below ``foo``."""
    return xds.bridge("foo")


def code(call: Any) -> grpc.StatusCode:
    """Wait until a stream has ended, and return its status code."""
    wait_until(lambda: not call.is_active(), 30)
    found: grpc.StatusCode = call.code()
    return found


# What is sent and what is not.


def test_bridge_sends_nothing_when_a_change_leaves_the_set_as_it_was(
    xds: Xds, bridge: Bridge, service: Service, etcd: Etcd
) -> None:
    """Metadata, an equal value or a lease change; the next response is due to the next address."""
    service.add("10.0.0.1:80")
    bridge.catch_up(etcd)
    stream = xds.ads(bridge.address)
    stream.ask(Kind.ASSIGNMENT, "foo/svc")
    assert addresses(stream.get()) == {"foo/svc": ["10.0.0.1:80"]}
    service.add("10.0.0.1:80", metadata={"version": 2})
    service.add("10.0.0.1:80", metadata={"version": 2})
    service.add("10.0.0.1:80", metadata={"version": 2}, lease=etcd.grant(60))
    bridge.catch_up(etcd)

    service.add("10.0.0.2:80")

    assert addresses(stream.get()) == {"foo/svc": ["10.0.0.1:80", "10.0.0.2:80"]}
    assert bridge.metric('responses_total{type="ClusterLoadAssignment"}') == 2


def test_bridge_sends_a_change_only_to_streams_that_request_the_name(
    xds: Xds, bridge: Bridge, client: Client, service: Service, etcd: Etcd
) -> None:
    """The response has no other name."""
    others = [Service(client, f"foo/other-{n}") for n in range(3)]
    for each in (*others, service):
        each.add("10.0.0.1:80")
    bridge.catch_up(etcd)
    concerned, other = xds.ads(bridge.address), xds.ads(bridge.address)
    names = [f"foo/other-{n}" for n in range(3)]
    concerned.ask(Kind.ASSIGNMENT, *names, "foo/svc")
    other.ask(Kind.ASSIGNMENT, *names)
    assert len(concerned.get().resources) == 4
    assert len(other.get().resources) == 3

    service.add("10.0.0.2:80")

    assert addresses(concerned.get()) == {"foo/svc": ["10.0.0.1:80", "10.0.0.2:80"]}
    others[0].add("10.0.0.3:80")
    assert addresses(other.get()) == {"foo/other-0": ["10.0.0.1:80", "10.0.0.3:80"]}


def test_bridge_sends_the_first_change_at_once_and_batches_the_next_ones(
    xds: Xds, service: Service
) -> None:
    """A rollout of many endpoints leads to few responses."""
    bridge = xds.bridge("foo", "--settle=3s")
    stream = xds.ads(bridge.address)
    stream.ask(Kind.ASSIGNMENT, "foo/svc")
    assert addresses(stream.get()) == {"foo/svc": []}
    begun = time.monotonic()
    service.add("10.0.0.1:80")
    assert addresses(stream.get()) == {"foo/svc": ["10.0.0.1:80"]}
    assert time.monotonic() - begun < 3
    service.add("10.0.0.2:80")
    service.add("10.0.0.3:80")

    assert len(addresses(stream.get())["foo/svc"]) == 3
    assert time.monotonic() - begun >= 3


def test_bridge_answers_the_first_request_of_each_type_immediately(
    xds: Xds, bridge: Bridge
) -> None:
    """The bridge does not wait for requests of other types, and answers unknown names, too."""
    stream = xds.ads(bridge.address)
    for kind in Kind:
        stream.ask(kind, "foo/none")
        assert len(stream.get().resources) == 1


def test_bridge_answers_a_reconnected_client_that_reports_the_current_version(
    xds: Xds, bridge: Bridge
) -> None:
    """A restarted bridge may have other contents at the same version."""
    first = xds.ads(bridge.address)
    first.ask(Kind.CLUSTER, "foo/svc")
    version = first.get().version_info
    second = xds.ads(bridge.address)
    second._nonces[Kind.CLUSTER] = ("", version)  # noqa: SLF001 - as a client on a new stream
    second.ask(Kind.CLUSTER, "foo/svc")
    assert second.get().version_info == version


# What is refused.


def test_bridge_refuses_streams_beyond_max_streams(xds: Xds) -> None:
    """The reason is logged and counted."""
    bridge = xds.bridge("foo", "--max-streams=1")
    first = xds.ads(bridge.address)
    first.ask(Kind.LISTENER, "foo/svc")
    first.get()

    second = xds.ads(bridge.address)
    second.ask(Kind.LISTENER, "foo/svc")

    assert code(second.call) is grpc.StatusCode.RESOURCE_EXHAUSTED
    bridge.process.wait_for_err("refused: 1 streams are open already")
    assert bridge.metric('refused_total{reason="streams"}') == 1
    first.close()
    wait_until(lambda: not bridge.json("/streams")["streams"], 30)
    third = xds.ads(bridge.address)
    third.ask(Kind.LISTENER, "foo/svc")
    third.get()


def test_bridge_ends_a_stream_that_requests_more_than_max_names(xds: Xds) -> None:
    """The limit is for the names of one type."""
    bridge = xds.bridge("foo", "--max-names=2")
    stream = xds.ads(bridge.address)
    stream.ask(Kind.CLUSTER, "foo/a", "foo/b")
    stream.get()
    stream.ask(Kind.CLUSTER, "foo/a", "foo/b", "foo/c")

    assert code(stream.call) is grpc.StatusCode.INVALID_ARGUMENT
    bridge.process.wait_for_err("more than 2 names of a type on one stream")


def test_bridge_ends_a_stream_that_sends_an_invalid_message(xds: Xds, bridge: Bridge) -> None:
    """Other streams are not affected."""
    good, bad = xds.ads(bridge.address), xds.ads(bridge.address)
    bad.ask(Kind.CLUSTER, raw=b"\xff\xff\xff")

    assert code(bad.call) is grpc.StatusCode.INVALID_ARGUMENT
    good.ask(Kind.CLUSTER, "foo/a")
    good.get()


def test_bridge_logs_a_refused_response_once(xds: Xds, bridge: Bridge, service: Service) -> None:
    """The log has the node and the client's reason; /streams and the metrics show it, too."""
    stream = xds.ads(bridge.address)
    stream.ask(Kind.ASSIGNMENT, "foo/svc")
    stream.get()
    for n in range(3):
        service.add(f"10.0.0.{n}:80")
        stream.get(acknowledge=False)
        stream.ask(Kind.ASSIGNMENT, "foo/svc", error="bad address: " + "x" * 1000)

    wait_until(lambda: bridge.metric('nacks_total{type="ClusterLoadAssignment"}') == 3, 30)
    shown = "bad address: " + "x" * 487
    said = f"bare (test): refused ClusterLoadAssignment of foo/svc: {shown}\n"
    bridge.process.wait_for_err(said)
    assert bridge.process.err.count("bad address") == 1
    [found] = bridge.json("/streams")["streams"]
    assert found["types"]["ClusterLoadAssignment"]["error"].startswith("bad address")
    service.add("10.0.0.9:80")
    stream.get(acknowledge=False)
    stream.ask(Kind.ASSIGNMENT, "foo/svc")
    wait_until(
        lambda: (
            not bridge.json("/streams")["streams"][0]["types"]["ClusterLoadAssignment"]["error"]
        ),
        30,
    )


def test_bridge_ignores_unknown_resource_types_and_logs_them_once(xds: Xds, bridge: Bridge) -> None:
    """An empty answer would delete what the client has."""
    from etcdnaming.xds import xds_pb2

    stream = xds.ads(bridge.address)
    other = xds_pb2.DiscoveryRequest(type_url="type.googleapis.com/envoy.Other")
    for _ in range(3):
        stream.ask(Kind.CLUSTER, raw=other.SerializeToString())
    stream.ask(Kind.CLUSTER, "foo/svc")
    assert stream.get().type_url == Kind.CLUSTER.type_url
    assert bridge.process.err.count("envoy.Other") == 1


# Addresses to listen on.


def test_bridge_listens_only_after_its_first_read_of_etcd(
    xds_of: Callable[[Etcd], Xds], own_etcd: Callable[..., Etcd]
) -> None:
    """The bridge waits for etcd without a limit, and logs that it waits."""
    etcd = own_etcd()
    etcd.kill()
    bridge = xds_of(etcd).launch("foo")
    bridge.process.wait_for_err("waiting for etcd, not listening yet: no etcd endpoint", 30)
    assert not bridge.listens
    assert bridge.page("/healthz") == (200, "ok\n")
    assert bridge.page("/readyz") == (503, "not ready\n")
    assert bridge.page("/metrics")[0] == 200
    etcd.start()
    bridge.wait()
    assert bridge.listens
    assert bridge.page("/readyz") == (200, "ready\n")


def test_bridge_that_waits_for_etcd_exits_at_once_on_a_signal(spawn: Spawn) -> None:
    """The exit status is that of the signal."""
    process = spawn("xds-bridge", "foo", "--endpoints=127.0.0.1:1", "--listen=127.0.0.1:0")
    process.wait_for_err("waiting for etcd", 30)
    process.signal(signal.SIGTERM)
    assert process.finish(30).status == -signal.SIGTERM


@pytest.mark.parametrize("option", ["--listen", "--admin"])
def test_bridge_fails_when_an_address_is_in_use(spawn: Spawn, option: str) -> None:
    """The bridge then listens on no other address either."""
    free = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = spawn("xds-bridge", "foo", f"--listen=127.0.0.1:{free}", f"{option}={address}")
        result = process.finish(30)
    assert result.status == 128
    assert f"Error: can't listen on {address}: Address already in use\n" in result.err
    assert not listens(f"127.0.0.1:{free}")


def test_bridge_listens_on_several_addresses(xds: Xds, tmp_path: Path, service: Service) -> None:
    """The addresses may include IPv6 and a unix socket."""
    service.add("10.0.0.1:80")
    port = free_port()
    unix = f"unix:{tmp_path}/s"
    xds.bridge("foo", f"--listen=[::1]:{port}", f"--listen={unix}")
    for address in (f"[::1]:{port}", unix):
        stream = xds.ads(address)
        stream.ask(Kind.ASSIGNMENT, "foo/svc")
        assert addresses(stream.get()) == {"foo/svc": ["10.0.0.1:80"]}


def test_bridge_logs_the_port_it_has_chosen_when_port_0_is_given(spawn: Spawn) -> None:
    """The log line that reports that it is serving has the address."""
    process = spawn("xds-bridge", "foo", "bar/", "--listen=127.0.0.1:0")
    process.wait_for_err("serving ", 30)
    said = re.search(
        r"^serving 0 services with 0 endpoints below foo, bar, as of revision \d+, on (\S+)$",
        process.err,
        re.MULTILINE,
    )
    assert said
    assert listens(said[1])


def test_bridge_listens_on_all_interfaces_without_tls_when_plaintext_is_given(spawn: Spawn) -> None:
    """The option is required because the endpoints are then public on the network."""
    process = spawn("xds-bridge", "foo", "--listen=0.0.0.0:0", "--plaintext")
    process.wait_for_err("on 0.0.0.0:", 30)


# TLS.


def test_clients_connect_to_the_bridge_with_tls(
    xds: Xds, service: Service, backends: Backends, certificates: Certificates
) -> None:
    """The bootstrap file names the CA; a client without TLS fails."""
    backend = backends()
    service.add(backend)
    server = certificates.server
    bridge = xds.bridge("foo", f"--tls-cert={server.cert}", f"--tls-key={server.key}")
    caller = xds.call(PYTHON, bridge.address, TARGET, ca=str(certificates.ca))
    caller.wait_for(backend.addr)
    plain = xds.call(PYTHON, bridge.address, TARGET, "-calls", "1", "-deadline", "5")
    assert plain.finish()[0].error


@pytest.mark.parametrize(
    "language",
    [
        pytest.param(PYTHON, id="python"),
        pytest.param(Language("go"), marks=pytest.mark.interop, id="go"),
    ],
)
def test_bridge_accepts_only_clients_with_a_certificate_of_its_ca(
    xds: Xds, service: Service, backends: Backends, certificates: Certificates, language: Language
) -> None:
    """A client without such a certificate gets no stream."""
    backend = backends()
    service.add(backend)
    server, client, other = certificates.server, certificates.client, certificates.other_client
    bridge = xds.bridge(
        "foo",
        f"--tls-cert={server.cert}",
        f"--tls-key={server.key}",
        f"--tls-client-ca={certificates.ca}",
    )
    ca = str(certificates.ca)
    caller = xds.call(
        language, bridge.address, TARGET, ca=ca, cert=str(client.cert), key=str(client.key)
    )
    caller.wait_for(backend.addr)
    once = ("-calls", "1", "-deadline", "5")
    unknown = xds.call(language, bridge.address, TARGET, *once, ca=ca)
    foreign = xds.call(
        language,
        bridge.address,
        TARGET,
        *once,
        ca=ca,
        cert=str(other.cert),
        key=str(other.key),
    )
    assert unknown.finish()[0].error
    assert foreign.finish()[0].error
    assert len(bridge.json("/streams")["streams"]) == 1


@pytest.mark.interop
def test_java_verifies_the_bridge_with_its_trust_store(
    xds: Xds, service: Service, backends: Backends, certificates: Certificates, tmp_path: Path
) -> None:
    """Java ignores the files that its bootstrap file names."""
    backend = backends()
    service.add(backend)
    server, store = certificates.server, tmp_path / "store.p12"
    words = ["-importcert", "-noprompt", "-file", str(certificates.ca), "-alias", "ca"]
    words += ["-keystore", str(store), "-storetype", "PKCS12", "-storepass", "changeit"]
    subprocess.run(["keytool", *words], check=True, capture_output=True)
    bridge = xds.bridge("foo", f"--tls-cert={server.cert}", f"--tls-key={server.key}")
    flags = f"-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword=changeit"
    caller = xds.call(
        Language("java", "1.85.1"),
        bridge.address,
        TARGET,
        ca=str(certificates.ca),
        env={"JAVA_TOOL_OPTIONS": flags},
    )
    caller.wait_for(backend.addr)


def test_bridge_uses_a_renewed_certificate_for_new_connections(
    xds: Xds, service: Service, backends: Backends, certificates: Certificates
) -> None:
    """An invalid new one is logged, and the old one stays in use."""
    backend = backends()
    service.add(backend)
    server = certificates.server
    bridge = xds.bridge("foo", f"--tls-cert={server.cert}", f"--tls-key={server.key}")
    good = server.cert.read_bytes()
    server.cert.write_text("nonsense")
    old = xds.call(PYTHON, bridge.address, TARGET, ca=str(certificates.ca))
    old.wait_for(backend.addr)
    bridge.process.wait_for_err("the new certificate is not used: ")
    server.cert.write_bytes(good)
    certificates.renew()
    new = xds.call(PYTHON, bridge.address, TARGET, ca=str(certificates.ca))
    new.wait_for(backend.addr)
    bridge.process.wait_for_err("using the new certificate")
    assert old.errors == []


@pytest.mark.parametrize("broken", ["empty", "nonsense", "other key", "missing", "directory"])
def test_bridge_fails_at_the_start_when_its_certificate_is_invalid(
    spawn: Spawn, certificates: Certificates, tmp_path: Path, broken: str
) -> None:
    """The error is one line; gRPC itself would abort the process."""
    server = certificates.server
    if broken == "other key":
        server.key.write_bytes(certificates.other_client.key.read_bytes())
    elif broken == "missing":
        server.cert.unlink()
    elif broken == "directory":
        server.cert.unlink()
        server.cert.mkdir()
    else:
        server.cert.write_text("" if broken == "empty" else "nonsense")
    port = free_port()
    process = spawn(
        "xds-bridge",
        "foo",
        f"--listen=127.0.0.1:{port}",
        f"--tls-cert={server.cert}",
        f"--tls-key={server.key}",
    )
    result = process.finish(30)
    assert result.status == 128
    assert re.fullmatch(rf"Error: {re.escape(str(server.cert))}.*: .*\n", result.err)
    assert not listens(f"127.0.0.1:{port}")


# etcd's permissions.


def test_bridge_needs_only_read_permission_on_its_prefixes(
    auth_etcd: Callable[..., Etcd], xds_of: Callable[[Etcd], Xds]
) -> None:
    """If the permission is revoked later, the last endpoints stay."""
    etcd = auth_etcd()
    etcd.put("svc/a/e1", '{"Addr":"10.0.0.1:80"}')
    xds = xds_of(etcd)
    bridge = xds.bridge("svc/a", f"--user={READER}")
    stream = xds.ads(bridge.address)
    stream.ask(Kind.ASSIGNMENT, "svc/a")
    assert addresses(stream.get()) == {"svc/a": ["10.0.0.1:80"]}
    etcd.ctl("role", "revoke-permission", "reader", "svc/", "--prefix")
    etcd.stop()
    etcd.start()
    bridge.process.wait_for_err("svc/a: its endpoints can't be read, the last ones stay: ", 30)
    fresh = xds.ads(bridge.address)
    fresh.ask(Kind.ASSIGNMENT, "svc/a")
    assert addresses(fresh.get()) == {"svc/a": ["10.0.0.1:80"]}
    etcd.ctl("role", "grant-permission", "reader", "read", "svc/", "--prefix")
    etcd.put("svc/a/e2", '{"Addr":"10.0.0.2:80"}')
    assert addresses(stream.get(60)) == {"svc/a": ["10.0.0.1:80", "10.0.0.2:80"]}


def test_bridge_fails_at_the_start_when_etcd_denies_permission(
    auth_etcd: Callable[..., Etcd], xds_of: Callable[[Etcd], Xds]
) -> None:
    """The error has etcd's text."""
    bridge = xds_of(auth_etcd()).launch("svc", "elsewhere", f"--user={READER}")
    result = bridge.process.finish(30)
    assert (result.status, result.err.splitlines()[-1]) == (
        1,
        f"{READER_NEEDS} read permission on the prefix elsewhere/",
    )
    assert not bridge.listens


# Shutdown.


def test_bridge_drains_its_streams_on_a_signal(xds: Xds) -> None:
    """The bridge is not ready any more, ends its streams in time, and exits by the signal."""
    bridge = xds.bridge("foo", "--drain=3s")
    stream = xds.ads(bridge.address)
    stream.ask(Kind.LISTENER, "foo/svc")
    stream.get()
    with grpc.insecure_channel(bridge.address) as channel:
        watch: Any = channel.unary_stream("/grpc.health.v1.Health/Watch")
        health = watch(b"", timeout=60)
        assert next(health) == b"\x08\x01"
        begun = time.monotonic()
        bridge.process.signal(signal.SIGTERM)
        assert next(health) == b"\x08\x02"
        assert bridge.page("/readyz")[0] == 503
        assert bridge.page("/healthz")[0] == 200
        assert code(stream.call) is not grpc.StatusCode.OK
        assert time.monotonic() - begun >= 2.5
    result = bridge.process.finish(30)
    assert result.status == -signal.SIGTERM
    assert "draining 1 streams for at most 3s\n" in result.err
    assert result.err.endswith("drained\n")


def test_bridge_exits_at_once_on_a_second_signal(xds: Xds) -> None:
    """Other commands do the same."""
    bridge = xds.bridge("foo", "--drain=60s")
    stream = xds.ads(bridge.address)
    stream.ask(Kind.LISTENER, "foo/svc")
    stream.get()
    bridge.process.signal(signal.SIGINT)
    bridge.process.wait_for_err("draining 1 streams")
    bridge.process.signal(signal.SIGINT)
    assert bridge.process.finish(30).status == -signal.SIGINT


# Health, pages, metrics and logs.


def test_bridge_serves_the_grpc_health_protocol(bridge: Bridge) -> None:
    """The server as a whole and the ADS service are known, any other service is not."""
    assert check_grpc_health(bridge.address, "", 10) == ""
    assert check_grpc_health(bridge.address, ADS, 10) == ""
    assert "NOT_FOUND" in check_grpc_health(bridge.address, "other", 10)


def test_pages_show_the_versions_of_streams_and_the_endpoints_of_names(
    xds: Xds, bridge: Bridge, service: Service, etcd: Etcd
) -> None:
    """Endpoints that were left out are shown with the reason."""
    service.add("10.0.0.1:80", metadata={"weight": 2})
    service.add("10.0.0.2", "10.0.0.3:80", metadata={"draining": True})
    etcd.put("foo/svc/bad", "nonsense")
    bridge.catch_up(etcd)
    stream = xds.ads(bridge.address, "gRPC Test", "a")
    stream.ask(Kind.ASSIGNMENT, "foo/svc")
    version = stream.get().version_info

    def accepted() -> bool:
        [found] = bridge.json("/streams")["streams"]
        return bool(found["types"]["ClusterLoadAssignment"]["accepted_version"] == version)

    wait_until(accepted, 30)
    [found] = bridge.json("/streams")["streams"]
    assert (found["node"], found["zone"], found["agent"]) == ("bare", "a", "gRPC Test")
    assert found["types"]["ClusterLoadAssignment"]["names"] == ["foo/svc"]
    assert bridge.json("/names")["names"] == {"foo/svc": 3}
    page = bridge.json("/names?name=foo/svc")
    assert {each["key"]: bool(each["left_out"]) for each in page["endpoints"]} == {
        "foo/svc/10.0.0.1:80": False,
        "foo/svc/10.0.0.2": True,
        "foo/svc/10.0.0.3:80": True,
        "foo/svc/bad": True,
    }
    assert [each["node"] for each in page["subscribers"]] == ["bare"]
    assert bridge.metric('streams{agent="gRPC Test"}') == 1
    assert bridge.metric('subscriptions{type="ClusterLoadAssignment"}') == 1
    assert (bridge.metric("names"), bridge.metric("endpoints")) == (1, 3)
    for reason, number in (("value", 1), ("address", 1), ("draining", 1), ("host", 0)):
        assert bridge.metric(f'left_out{{reason="{reason}"}}') == number
    assert bridge.metric("revision") == etcd.revision()
    assert bridge.metric("response_bytes_total") > 0


def test_metrics_have_the_time_from_a_change_to_its_response(
    xds: Xds, bridge: Bridge, service: Service
) -> None:
    """The time begins with etcd's event."""
    stream = xds.ads(bridge.address)
    stream.ask(Kind.ASSIGNMENT, "foo/svc")
    stream.get()
    service.add("10.0.0.1:80")
    stream.get()
    assert bridge.metric("change_seconds_count") == 1
    assert 0 < bridge.metric("change_seconds_sum") < 10


def test_pages_answer_invalid_http_requests_and_continue_to_work(bridge: Bridge) -> None:
    """The answer has the reason, and no request stops the server."""
    assert bridge.page("/healthz", "HEAD") == (200, "")
    assert bridge.page("/healthz", "POST") == (405, "only GET\n")
    status, text = bridge.page("/")
    assert (status, text.startswith("there are: /metrics")) == (404, True)
    for nonsense in (
        b"",
        b"\r\n\r\n",
        b"x" * 100_000,
        b"GET /healthz HTTP/1.1\r\n" + b"a\r\n" * 200,
    ):
        with socket.create_connection(("127.0.0.1", bridge.admin_port)) as connection:
            connection.sendall(nonsense)
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(30)
            try:
                while connection.recv(65536):
                    pass
            except ConnectionError:
                pass
    assert bridge.page("/healthz") == (200, "ok\n")


def test_pages_are_served_on_a_unix_socket(spawn: Spawn, tmp_path: Path) -> None:
    """Only processes on this machine can read them there."""
    path = tmp_path / "admin"
    process = spawn("xds-bridge", "foo", "--listen=127.0.0.1:0", f"--admin=unix:{path}")
    process.wait_for_err("serving ", 30)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b"GET /readyz HTTP/1.1\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


def test_metrics_page_names_the_missing_library(spawn: Spawn, tmp_path: Path) -> None:
    """All other pages work without it."""
    (tmp_path / "prometheus_client.py").write_text("raise ModuleNotFoundError\n")
    port = free_port()
    process = spawn(
        "xds-bridge",
        "foo",
        "--listen=127.0.0.1:0",
        f"--admin=127.0.0.1:{port}",
        env={"PYTHONPATH": str(tmp_path)},
    )
    process.wait_for_err("serving ", 30)
    for path, expected in (("/metrics", b"501"), ("/readyz", b"200")):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"GET %s HTTP/1.1\r\n\r\n" % path.encode())
            answer = connection.recv(65536)
            assert answer.startswith(b"HTTP/1.1 " + expected), answer
            assert (b"etcdnaming[metrics]" in answer) is (path == "/metrics")


def test_log_is_json_lines_with_output_json(xds: Xds, service: Service) -> None:
    """Each line is an object with the facts of its text as members."""
    service.add("10.0.0.1")
    bridge = xds.bridge("foo", "--log=all", "-w", "json")
    stream = xds.ads(bridge.address)
    stream.ask(Kind.ASSIGNMENT, "foo/svc")
    stream.get()
    stream.close()
    wait_until(lambda: "stream-closed" in bridge.process.err, 30)
    lines = [json.loads(line) for line in bridge.process.err.splitlines()]
    events = [line["event"] for line in lines]
    assert events[-3:] == ["stream-opened", "response", "stream-closed"]
    found = {line["event"]: line for line in lines}
    assert found["ready"]["services"] == 1
    assert found["left-out"]["key"] == "foo/svc/10.0.0.1"
    assert all({"time", "event", "text"} <= line.keys() for line in lines)


def test_log_has_no_changes_and_streams_by_default(
    xds: Xds, bridge: Bridge, service: Service
) -> None:
    """A busy bridge has a short log."""
    stream = xds.ads(bridge.address)
    stream.ask(Kind.ASSIGNMENT, "foo/svc")
    stream.get()
    service.add("10.0.0.1:80")
    stream.get()
    stream.close()
    wait_until(lambda: not bridge.json("/streams")["streams"], 30)
    lines = bridge.process.err.splitlines()
    assert len(lines) == 2, lines  # the address of the pages, and that it is serving


def test_bridge_continues_when_its_stderr_is_closed(etcd: Etcd, service: Service) -> None:
    """The program that read the log has exited."""
    from harness.environment import pointing_at
    from harness.process import command

    port = free_port()
    process = subprocess.Popen(
        command("xds-bridge", "foo", f"--listen=127.0.0.1:{port}", "--log=all"),
        env=pointing_at(etcd.endpoint, None),
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stderr
        process.stderr.close()
        wait_until(lambda: listens(f"127.0.0.1:{port}"), 30)
        service.add("10.0.0.1")
        assert check_grpc_health(f"127.0.0.1:{port}", "", 10) == ""
    finally:
        process.kill()
        process.wait()


def test_bootstrap_file_is_replaced_atomically(run: Run, tmp_path: Path) -> None:
    """A reader never gets half a file."""
    file = tmp_path / "xds.json"
    file.write_text("old")
    result = run("xds-bootstrap", "127.0.0.1:18000", "-o", file)
    assert (result.status, result.out, result.err) == (0, "", "")
    assert json.loads(file.read_text())["xds_servers"][0]["server_uri"] == "127.0.0.1:18000"
    assert [*tmp_path.iterdir()] == [file]


def test_python_clients_run_with_the_interpreter_of_the_tests() -> None:
    """These tests need no other installation."""
    assert PYTHON.command()[0] == sys.executable
