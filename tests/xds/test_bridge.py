"""What the bridge is to those who run it: what it sends, refuses, says, counts and survives."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from harness import READER, Etcd, Run, Spawn, wait_until
from harness.auth import READER_NEEDS
from harness.backends import Backends
from harness.nested import nested
from harness.tls import Certificates
from harness.waiting import listens
from harness.xds import Bridge, Language, Xds, addresses, languages

from etcdnaming import Client
from etcdnaming.errors import InvalidSettingError
from etcdnaming.probing import check_grpc_health
from etcdnaming.sandbox import free_port
from etcdnaming.xds.bridge.tls import ServerFiles
from etcdnaming.xds.names import Kind

from .conftest import Service

PYTHON = Language("python")
KINDS = [kind.type_url.rpartition(".")[2] for kind in Kind]
TARGET = "xds:///foo/svc"
ADS = "envoy.service.discovery.v3.AggregatedDiscoveryService"

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def bridge(xds: Xds) -> Bridge:
    """A bridge of everything below ``foo``."""
    return xds.bridge("foo")


def code(call: Any) -> grpc.StatusCode:
    """Return how a stream has ended."""
    wait_until(lambda: not call.is_active(), 30)
    found: grpc.StatusCode = call.code()
    return found


# What is sent, and what is not.


def test_change_that_changes_no_set_sends_nothing(
    xds: Xds, bridge: Bridge, service: Service, etcd: Etcd
) -> None:
    """Other metadata, the same value, a lease: the next response is that of the next change."""
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


def test_change_concerns_only_those_who_ask_for_the_name(
    xds: Xds, bridge: Bridge, client: Client, service: Service, etcd: Etcd
) -> None:
    """And of their names only that one."""
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


def test_service_without_endpoints_keeps_its_listener_route_and_cluster(
    xds: Xds, bridge: Bridge, service: Service, etcd: Etcd
) -> None:
    """A client that loses one of them gives up; so only the endpoints go."""
    service.add("10.0.0.1:80")
    bridge.catch_up(etcd)
    stream = xds.ads(bridge.address)
    for kind in Kind:
        stream.ask(kind, "foo/svc")
        assert len(stream.get().resources) == 1
    service.remove("10.0.0.1:80")
    assert addresses(stream.get()) == {"foo/svc": []}
    service.add("10.0.0.2:80")
    assert addresses(stream.get()) == {"foo/svc": ["10.0.0.2:80"]}
    sent = {name: bridge.metric(f'responses_total{{type="{name}"}}') for name in KINDS}
    assert sent == {name: 3 if name == "ClusterLoadAssignment" else 1 for name in KINDS}


def test_first_change_goes_out_at_once_and_the_next_ones_together(
    xds: Xds, service: Service
) -> None:
    """So a rollout of many endpoints is a few responses."""
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


def test_every_first_request_is_answered_alone(xds: Xds, bridge: Bridge) -> None:
    """Whatever else a client may still ask for; unknown names, too."""
    stream = xds.ads(bridge.address)
    for kind in Kind:
        stream.ask(kind, "foo/none")
        assert len(stream.get().resources) == 1


def test_reconnected_client_is_answered_although_it_reports_the_current_version(
    xds: Xds, bridge: Bridge
) -> None:
    """A restarted bridge has other contents at the same version."""
    first = xds.ads(bridge.address)
    first.ask(Kind.CLUSTER, "foo/svc")
    version = first.get().version_info
    second = xds.ads(bridge.address)
    second._nonces[Kind.CLUSTER] = ("", version)
    second.ask(Kind.CLUSTER, "foo/svc")
    assert second.get().version_info == version


# What is refused.


def test_streams_beyond_the_limit_are_refused(xds: Xds) -> None:
    """With a reason, which is logged and counted."""
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


def test_too_many_names_end_the_stream(xds: Xds) -> None:
    """Of one type."""
    bridge = xds.bridge("foo", "--max-names=2")
    stream = xds.ads(bridge.address)
    stream.ask(Kind.CLUSTER, "foo/a", "foo/b")
    stream.get()
    stream.ask(Kind.CLUSTER, "foo/a", "foo/b", "foo/c")

    assert code(stream.call) is grpc.StatusCode.INVALID_ARGUMENT
    bridge.process.wait_for_err("more than 2 names of a type on one stream")


def test_what_is_no_request_ends_the_stream(xds: Xds, bridge: Bridge) -> None:
    """And no other one."""
    good, bad = xds.ads(bridge.address), xds.ads(bridge.address)
    bad.ask(Kind.CLUSTER, raw=b"\xff\xff\xff")

    assert code(bad.call) is grpc.StatusCode.INVALID_ARGUMENT
    good.ask(Kind.CLUSTER, "foo/a")
    good.get()


def test_refused_response_is_reported_once(xds: Xds, bridge: Bridge, service: Service) -> None:
    """With the node and its words; /streams and the metrics know it, too."""
    stream = xds.ads(bridge.address)
    stream.ask(Kind.ASSIGNMENT, "foo/svc")
    stream.get()
    refused = 'nacks_total{type="ClusterLoadAssignment"}'
    for n in range(3):
        service.add(f"10.0.0.{n}:80")
        stream.get(acknowledge=False)
        stream.ask(Kind.ASSIGNMENT, "foo/svc", error="bad address: " + "x" * 1000)
        # After the next response, this one would be stale and ignored.
        wait_until(partial(lambda count: bridge.metric(refused) == count, n + 1), 30)

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


def test_other_types_are_ignored_and_reported_once(xds: Xds, bridge: Bridge) -> None:
    """An empty answer would delete what the client has."""
    from etcdnaming.xds import xds_pb2

    stream = xds.ads(bridge.address)
    other = xds_pb2.DiscoveryRequest(type_url="type.googleapis.com/envoy.Other")
    for _ in range(3):
        stream.ask(Kind.CLUSTER, raw=other.SerializeToString())
    stream.ask(Kind.CLUSTER, "foo/svc")
    assert stream.get().type_url == Kind.CLUSTER.type_url
    bridge.process.wait_for_err("envoy.Other")
    assert bridge.process.err.count("envoy.Other") == 1


# Where it listens.


def test_bridge_does_not_listen_before_the_first_reading(
    xds_of: Callable[[Etcd], Xds], own_etcd: Callable[..., Etcd]
) -> None:
    """It waits for etcd as long as it takes, and says so."""
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


def test_bridge_that_waits_for_etcd_ends_by_a_signal(spawn: Spawn) -> None:
    """At once."""
    process = spawn("xds-bridge", "foo", "--endpoints=127.0.0.1:1", "--listen=127.0.0.1:0")
    process.wait_for_err("waiting for etcd", 30)
    process.signal(signal.SIGTERM)
    assert process.finish(30).status == -signal.SIGTERM


@pytest.mark.parametrize("option", ["--listen", "--admin"])
def test_address_that_is_taken_is_an_error(spawn: Spawn, option: str) -> None:
    """Nothing else is bound then."""
    free = free_port()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        process = spawn("xds-bridge", "foo", f"--listen=127.0.0.1:{free}", f"{option}={address}")
        result = process.finish(30)
    assert result.status == 128
    assert f"Error: can't listen on {address}: Address already in use\n" in result.err
    assert not listens(f"127.0.0.1:{free}")


@pytest.mark.parametrize("option", ["--listen", "--admin"])
def test_address_that_can_not_be_used_is_an_error_while_etcd_is_away(
    spawn: Spawn, tmp_path: Path, option: str
) -> None:
    """Not only when it is there. A file in the place of a socket stays."""
    file = tmp_path / "file"
    file.write_text("content")
    for address, reason in (
        (f"unix:{file}", "not a socket"),
        (f"unix:{tmp_path}/none/s", f"no directory {tmp_path}/none"),
        ("127.0.0.1:18999", "given twice"),
    ):
        process = spawn(
            *("xds-bridge", "foo", "--endpoints=127.0.0.1:1"),
            *("--listen=127.0.0.1:18999", f"{option}={address}"),
        )
        result = process.finish(30)
        assert result.err == f"Error: can't listen on {address}: {reason}\n"
        assert result.status == 128
    assert file.read_text() == "content"


def test_connections_may_be_older_than_milliseconds_in_31_bits_tell(xds: Xds) -> None:
    """As 720h, which gRPC's options do not take."""
    assert xds.bridge("foo", "--max-age=720h").listens


def test_bridge_listens_on_several_addresses(xds: Xds, tmp_path: Path, service: Service) -> None:
    """IPv6 and a unix socket among them."""
    service.add("10.0.0.1:80")
    port = free_port()
    unix = f"unix:{tmp_path}/s"
    xds.bridge("foo", f"--listen=[::1]:{port}", f"--listen={unix}")
    for address in (f"[::1]:{port}", unix):
        stream = xds.ads(address)
        stream.ask(Kind.ASSIGNMENT, "foo/svc")
        assert addresses(stream.get()) == {"foo/svc": ["10.0.0.1:80"]}


def test_free_port_can_be_asked_for(spawn: Spawn) -> None:
    """It is in the line that says that all is ready."""
    process = spawn("xds-bridge", "foo", "bar/", "--listen=127.0.0.1:0")
    process.wait_for_err("serving ", 30)
    said = re.search(
        r"^serving 0 services with 0 endpoints below foo, bar, as of revision \d+, on (\S+)$",
        process.err,
        re.MULTILINE,
    )
    assert said
    assert listens(said[1])


def test_port_alone_is_every_address(spawn: Spawn) -> None:
    """Of both servers, as with ``lease-register --metrics``; other machines have to be allowed."""
    port, admin = free_port(), free_port()
    process = spawn(
        *("xds-bridge", "foo", f"--listen=:{port}", "--plaintext"),
        *(f"--admin=:{admin}", "--admin-public"),
    )
    process.wait_for_err(f"on :{port}\n", 30)
    assert f"pages for operators are on :{admin}\n" in process.err
    for host in ("127.0.0.1", "::1"):
        for each in (port, admin):
            socket.create_connection((host, each)).close()


def test_all_ipv6_addresses_are_the_ipv4_ones_too(spawn: Spawn) -> None:
    """Of both servers alike."""
    port, admin = free_port(), free_port()
    process = spawn(
        *("xds-bridge", "foo", f"--listen=[::]:{port}", "--plaintext"),
        *(f"--admin=[::]:{admin}", "--admin-public"),
    )
    process.wait_for_err("serving ", 30)
    assert check_grpc_health(f"127.0.0.1:{port}", "", 10).reason == ""
    assert listens(f"127.0.0.1:{admin}")


def test_plaintext_for_other_machines_has_to_be_allowed(spawn: Spawn) -> None:
    """Endpoints are then public on the network."""
    process = spawn("xds-bridge", "foo", "--listen=0.0.0.0:0", "--plaintext")
    process.wait_for_err("on 0.0.0.0:", 30)


# TLS.


@pytest.mark.parametrize("language", languages(without={"node", "cpp", "ruby"}), indirect=True)
def test_clients_reach_the_bridge_by_tls(
    xds: Xds,
    service: Service,
    backends: Backends,
    certificates: Certificates,
    language: Language,
    tmp_path: Path,
) -> None:
    """As their bootstrap file says; Java ignores what it says, and has a trust store instead."""
    env = trust_store(certificates, tmp_path) if language.name == "java" else {}
    backend = backends()
    service.add(backend)
    server = certificates.server
    bridge = xds.bridge("foo", f"--tls-cert={server.cert}", f"--tls-key={server.key}")
    caller = xds.call(language, bridge.address, TARGET, env=env, ca=str(certificates.ca))
    caller.wait_for(backend.addr)
    plain = xds.call(language, bridge.address, TARGET, "-calls", "1", "-deadline", "5")
    assert plain.finish()[0].error


def trust_store(certificates: Certificates, directory: Path) -> dict[str, str]:
    """Return the environment with which a Java trusts the CA."""
    store = directory / "store.p12"
    words = ["-importcert", "-noprompt", "-file", str(certificates.ca), "-alias", "ca"]
    words += ["-keystore", str(store), "-storetype", "PKCS12", "-storepass", "changeit"]
    subprocess.run(["keytool", *words], check=True, capture_output=True)
    flags = f"-Djavax.net.ssl.trustStore={store} -Djavax.net.ssl.trustStorePassword=changeit"
    return {"JAVA_TOOL_OPTIONS": flags}


@pytest.mark.parametrize(
    "language", languages(without={"node", "java", "cpp", "ruby"}), indirect=True
)
def test_mutual_tls_lets_in_only_clients_of_the_ca(
    xds: Xds, service: Service, backends: Backends, certificates: Certificates, language: Language
) -> None:
    """No certificate of it, no stream."""
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


def test_certificate_is_read_again(
    xds: Xds, service: Service, backends: Backends, certificates: Certificates
) -> None:
    """New connections get the new one; one that can't be used is reported, the old one stays."""
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
def test_bad_certificate_is_an_error_at_the_start(
    spawn: Spawn, certificates: Certificates, tmp_path: Path, broken: str
) -> None:
    """Wrong usage, in one line; gRPC would end the process."""
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


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ("encrypted key", "an encrypted key, and gRPC takes no passphrase: decrypt it"),
        ("certificate as key", "no private key in it, but CERTIFICATE"),
        ("binary", "binary (DER), not PEM: convert it"),
        ("cut off", "a certificate in it is cut off"),
        ("pipe", "not a regular file, which could be read again"),
        ("bad CA", "not PEM: no certificate in it"),
    ],
)
def test_server_files_that_grpc_could_not_use_are_refused(
    certificates: Certificates, broken: str, reason: str
) -> None:
    """In the words of the client's files."""
    cert, key, ca = certificates.server.cert, certificates.server.key, certificates.ca
    if broken == "encrypted key":
        key.write_text(re.sub(r"(EC |RSA )?PRIVATE", "ENCRYPTED PRIVATE", key.read_text()))
    elif broken == "certificate as key":
        key = cert
    elif broken == "binary":
        cert.write_bytes(ssl.PEM_cert_to_DER_cert(ca.read_text()))
    elif broken == "cut off":
        cert.write_bytes(cert.read_bytes()[:200])
    elif broken == "pipe":
        cert.unlink()
        os.mkfifo(cert)
    else:
        ca.write_text("nonsense")
    with pytest.raises(InvalidSettingError, match=re.escape(reason)):
        ServerFiles(str(cert), str(key), str(ca))


# etcd's permissions.


def test_reading_below_the_prefixes_is_permission_enough(
    auth_etcd: Callable[..., Etcd], xds_of: Callable[[Etcd], Xds]
) -> None:
    """Nothing is written anywhere. What can't be read later leaves all as it was."""
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


def test_missing_permission_is_an_error_at_the_start(
    auth_etcd: Callable[..., Etcd], xds_of: Callable[[Etcd], Xds]
) -> None:
    """In etcd's words."""
    bridge = xds_of(auth_etcd()).launch("svc", "elsewhere", f"--user={READER}")
    result = bridge.process.finish(30)
    assert (result.status, result.err.splitlines()[-1]) == (
        1,
        f"{READER_NEEDS} read permission on the prefix elsewhere/",
    )
    assert not bridge.listens


# The end.


def test_signal_sends_the_clients_away(xds: Xds) -> None:
    """Not ready, not healthy, streams end after the time there is, and it ends by the signal."""
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


def test_second_signal_skips_the_waiting(xds: Xds) -> None:
    """As with other commands."""
    bridge = xds.bridge("foo", "--drain=60s")
    stream = xds.ads(bridge.address)
    stream.ask(Kind.LISTENER, "foo/svc")
    stream.get()
    bridge.process.signal(signal.SIGINT)
    bridge.process.wait_for_err("draining 1 streams")
    bridge.process.signal(signal.SIGINT)
    assert bridge.process.finish(30).status == -signal.SIGINT


# What operators see.


def test_health_is_that_of_grpc(bridge: Bridge) -> None:
    """Of the whole, and of its service; no other is known."""
    assert check_grpc_health(bridge.address, "", 10).reason == ""
    assert check_grpc_health(bridge.address, ADS, 10).reason == ""
    assert "NOT_FOUND" in check_grpc_health(bridge.address, "other", 10).reason


def test_pages_show_who_has_what(xds: Xds, bridge: Bridge, service: Service, etcd: Etcd) -> None:
    """Streams with what they have accepted, names with what was left out."""
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


def test_page_of_a_name_shows_metadata_of_any_depth(
    bridge: Bridge, service: Service, etcd: Etcd
) -> None:
    """Python can't print it."""
    service.add("10.0.0.1:80", metadata=nested(9_999))
    bridge.catch_up(etcd)
    _, page = bridge.page("/names?name=foo/svc")
    assert f'"metadata": {"[" * 9_999}{"]" * 9_999}, "key": "foo/svc/10.0.0.1:80"' in page


def test_time_of_a_change_is_measured(xds: Xds, bridge: Bridge, service: Service) -> None:
    """From etcd's event to the response."""
    stream = xds.ads(bridge.address)
    stream.ask(Kind.ASSIGNMENT, "foo/svc")
    stream.get()
    service.add("10.0.0.1:80")
    stream.get()
    assert bridge.metric("change_seconds_count") == 1
    assert 0 < bridge.metric("change_seconds_sum") < 10


def test_pages_are_plain_http(bridge: Bridge) -> None:
    """What is wrong with a request is said; none of them stops the server."""
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


def test_pages_on_a_unix_socket(spawn: Spawn, tmp_path: Path) -> None:
    """Only this machine can read them there."""
    path = tmp_path / "admin"
    process = spawn("xds-bridge", "foo", "--listen=127.0.0.1:0", f"--admin=unix:{path}")
    process.wait_for_err("serving ", 30)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(path))
        connection.sendall(b"GET /readyz HTTP/1.1\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")


def test_metrics_need_their_library(spawn: Spawn, tmp_path: Path) -> None:
    """All other pages don't."""
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
            assert (b"the extra 'metrics' is not installed" in answer) is (path == "/metrics")


def test_log_can_be_read_by_machines(xds: Xds, service: Service) -> None:
    """An object a line, with what the words say as members."""
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


def test_log_has_the_other_output_formats_too(xds: Xds) -> None:
    """As every command. A log has no columns, so ``table`` is the text."""
    texts = {}
    for name in ("yaml", "fields", "table"):
        bridge = xds.bridge("foo", "-w", name)
        bridge.kill(signal.SIGTERM)
        texts[name] = bridge.process.err
    admin, ready, *_ = texts["yaml"].split("---\n")
    lines = dict(line.split(": ", 1) for line in admin.splitlines())
    assert [*lines] == ["time", "event", "text", "address"]
    assert lines["event"] == '"admin"'
    assert "services: 0\n" in ready
    assert re.search(r'"Event" : "ready"\n(".+" : .+\n)*"Services" : 0\n', texts["fields"])
    assert texts["fields"].count("\n\n") == 4
    assert re.search(r"^serving 0 services ", texts["table"], re.MULTILINE)


def test_changes_and_streams_are_not_logged_unless_asked_for(
    xds: Xds, bridge: Bridge, service: Service
) -> None:
    """A busy bridge has a quiet log."""
    stream = xds.ads(bridge.address)
    stream.ask(Kind.ASSIGNMENT, "foo/svc")
    stream.get()
    service.add("10.0.0.1:80")
    stream.get()
    stream.close()
    wait_until(lambda: not bridge.json("/streams")["streams"], 30)
    lines = bridge.process.err.splitlines()
    assert len(lines) == 2, lines  # where the pages are, and that it serves


def test_bridge_goes_on_when_its_log_is_closed(etcd: Etcd, service: Service) -> None:
    """Its reader has ended."""
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
        assert check_grpc_health(f"127.0.0.1:{port}", "", 10).reason == ""
    finally:
        process.kill()
        process.wait()


def test_bootstrap_is_replaced_at_once(run: Run, tmp_path: Path) -> None:
    """Never half a file."""
    file = tmp_path / "xds.json"
    file.write_text("old")
    result = run("xds-bootstrap", "127.0.0.1:18000", "-o", file)
    assert (result.status, result.out, result.err) == (0, "", "")
    assert json.loads(file.read_text())["xds_servers"][0]["server_uri"] == "127.0.0.1:18000"
    assert [*tmp_path.iterdir()] == [file]


def test_bootstrap_replaces_no_device_and_leaves_a_link(run: Run, tmp_path: Path) -> None:
    """A fifo stands for /dev/null here: as root it would be a file afterwards."""
    fifo, file, link = tmp_path / "fifo", tmp_path / "file", tmp_path / "link"
    os.mkfifo(fifo)
    link.symlink_to(file)
    result = run("xds-bootstrap", "127.0.0.1:18000", "-o", fifo)
    assert (result.status, fifo.is_fifo()) == (128, True)
    assert result.err.startswith(f"Error: {fifo}: not a file, which could be replaced")
    assert run("xds-bootstrap", "127.0.0.1:18000", "-o", link).status == 0
    assert (link.is_symlink(), json.loads(file.read_text())["node"]["locality"]) == (
        True,
        {"zone": ""},
    )


def test_interpreter_of_the_tests_is_one_of_the_languages() -> None:
    """So a part of this runs everywhere."""
    assert PYTHON.command()[0] == sys.executable
