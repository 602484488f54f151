"""TLS: which servers are trusted, the errors for others, and files that change."""

from __future__ import annotations

import os
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from harness import Certificates, Etcd, wait_until
from harness.waiting import listens

from etcdnaming.endpoints.manager import EndpointManager
from etcdnaming.errors import ConnectionFailedError, InvalidSettingError, TLSError
from etcdnaming.etcd import Client


def listed(client: Client) -> list[str]:
    """Return the keys of the endpoints of svc."""
    return list(EndpointManager(client, "svc").list().by_key())


@pytest.mark.server
def test_server_with_a_certificate_of_the_ca_is_trusted(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """The scheme is optional, because a CA file enables TLS."""
    etcd = secure_etcd()
    for endpoint in (
        etcd.endpoint,
        f"https://{etcd.endpoint}",
        f"localhost:{etcd.port}",
    ):
        with Client([endpoint], cacert=str(certificates.ca)) as client:
            assert listed(client) == []


def test_client_refuses_certificates_beside_a_channel(certificates: Certificates) -> None:
    """The channel has its own TLS; certificates would be ignored."""
    with grpc.insecure_channel("127.0.0.1:1") as channel:
        for settings in ({"cacert": str(certificates.ca)}, {"insecure_transport": False}):
            with pytest.raises(InvalidSettingError, match="channel has its own TLS"):
                Client(channel=channel, **settings)


@pytest.mark.server
def test_client_certificate_is_accepted_with_mutual_tls(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """Server and client authenticate each other."""
    etcd = secure_etcd(mutual=True)
    with Client(
        [etcd.endpoint],
        cacert=str(certificates.ca),
        cert=str(certificates.client.cert),
        key=str(certificates.client.key),
    ) as client:
        assert listed(client) == []


def said(endpoint: str, **settings: str) -> str:
    """Return the error of a client that can't connect."""
    with (
        Client([endpoint], dial_timeout=20, **settings) as client,  # type: ignore[arg-type]
        pytest.raises(TLSError) as refused,
    ):
        listed(client)
    return str(refused.value).partition(f"{endpoint}: ")[2]


def identity(certificates: Certificates) -> dict[str, str]:
    """Return the settings of a client that the server accepts."""
    pair = certificates.client
    return {"cacert": str(certificates.ca), "cert": str(pair.cert), "key": str(pair.key)}


@pytest.mark.server
def test_tls_errors_name_the_setting_to_change(
    etcd: Etcd, secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """Each cause has an error of its own."""
    secure = secure_etcd(mutual=True)
    ca, other = str(certificates.ca), certificates.other_client
    assert said(secure.endpoint) == "it speaks TLS: use https://, or set cacert"
    for settings in ({}, {"cacert": ca}):
        assert said(f"http://{secure.endpoint}", **settings) == (
            "it speaks TLS: use https:// instead of http://"
        )
    assert said(f"https://{etcd.endpoint}", cacert=ca) == "it does not speak TLS: use http://"
    assert said(secure.endpoint, cacert=str(certificates.other_ca)) == (
        f"its certificate is not signed by a CA in {certificates.other_ca}"
    )
    assert said(f"https://{secure.endpoint}") == (
        "its certificate is not signed by a CA of this system: set cacert"
    )
    assert said(secure.endpoint, cacert=ca) == "it asks for a client certificate: set cert and key"
    assert said(secure.endpoint, cacert=ca, cert=str(other.cert), key=str(other.key)) == (
        f"it refused the client certificate in {other.cert}, which is not signed by a CA "
        "that it trusts"
    )


@pytest.mark.server
def test_plain_text_to_a_unix_socket_with_tls_is_an_error_that_names_the_scheme(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """A Unix socket with TLS has a scheme of its own, unixs."""
    etcd = secure_etcd()
    etcd.stop()
    etcd.server_flags = (
        *etcd.server_flags,
        f"--listen-client-urls=https://{etcd.endpoint},unixs://etcd.sock:0",
    )
    etcd.start()
    path = f"{etcd.directory}/etcd.sock:0"
    assert said(f"unix://{path}") == "it speaks TLS: use unixs://"


def test_connection_that_is_closed_at_once_is_not_a_tls_error(certificates: Certificates) -> None:
    """A proxy without its etcd accepts and closes connections, which says nothing about TLS."""

    def hang_up(server: socket.socket) -> None:
        while True:
            try:
                server.accept()[0].close()
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=hang_up, args=[server])
        thread.start()
        endpoint = f"https://127.0.0.1:{server.getsockname()[1]}"
        with (
            Client([endpoint], cacert=str(certificates.ca), dial_timeout=1) as client,
            pytest.raises(ConnectionFailedError, match="reached within 1s") as refused,
        ):
            listed(client)
        server.shutdown(socket.SHUT_RDWR)
    thread.join()
    assert not isinstance(refused.value, TLSError)


@pytest.mark.server
@pytest.mark.parametrize(
    ("days", "reason"),
    [((-9, -1), r"expired on DATE"), ((1, 9), r"is not valid before DATE \(the clock .*: DATE\)")],
)
def test_certificate_outside_its_validity_is_reported_with_the_time(
    secure_etcd: Callable[..., Etcd],
    certificates: Certificates,
    days: tuple[int, int],
    reason: str,
) -> None:
    """The certificate of server or client may be outdated, or the clock may be wrong."""
    etcd = secure_etcd(mutual=True)
    reason = reason.replace("DATE", r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC")
    good = identity(certificates)
    certificates.issue(certificates.client, "client", days=days)
    found = said(etcd.endpoint, **good)
    refused = re.escape(f"it refused the client certificate in {good['cert']}, which ")
    assert re.fullmatch(refused + reason, found), found

    certificates.issue(certificates.client, "client")
    certificates.issue(certificates.server, "127.0.0.1", days=days)
    etcd.kill()
    etcd.launch()  # without its own health check, which the certificate would fail
    wait_until(lambda: listens(etcd.endpoint), timeout=30)
    found = said(etcd.endpoint, **good)
    assert re.fullmatch(f"its certificate {reason}", found), found


@pytest.mark.server
def test_key_of_another_certificate_and_damaged_files_are_reported(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """Defects that only the TLS library detects are reported when the connection fails."""
    etcd, good = secure_etcd(mutual=True), identity(certificates)
    other = str(certificates.other_client.key)
    assert said(etcd.endpoint, **{**good, "key": other}) == (
        f"{other}: the key of another certificate than {good['cert']}"
    )
    for name, what in (("ca", "certificate"), ("key", "private key")):
        path = certificates.ca.with_name(f"damaged-{name}.pem")
        label = what.upper()
        path.write_text(f"-----BEGIN {label}-----\nMAA=\n-----END {label}-----\n")
        setting = {"ca": "cacert"}.get(name, name)
        found = said(etcd.endpoint, **{**good, setting: str(path)})
        assert found in {
            f"{path}: a certificate in it is damaged",
            f"{path}: the private key in it is damaged",
        }


@pytest.mark.server
def test_system_cas_are_read_from_ssl_cert_file_and_ssl_cert_dir(
    secure_etcd: Callable[..., Etcd],
    certificates: Certificates,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in Go's programs, one of the two variables may name a missing file or directory."""
    endpoint = f"https://{secure_etcd().endpoint}"
    for name in ("empty", "one"):
        (tmp_path / name).mkdir()
    (tmp_path / "one" / "garbage.pem").write_text("garbage")
    os.mkfifo(tmp_path / "one" / "fifo")
    broken = certificates.other_ca.read_bytes()[:300] + b"\n-----END CERTIFICATE-----\n"
    (tmp_path / "one" / "ca.pem").write_bytes(broken + certificates.ca.read_bytes())
    ca, one, empty = str(certificates.ca), str(tmp_path / "one"), str(tmp_path / "empty")
    for file, directory in (
        (ca, ""),
        ("", one),
        ("/nowhere", f"/nowhere:{empty}:{one}"),
        (ca, empty),
        (str(certificates.other_ca), one),
    ):
        monkeypatch.setenv("SSL_CERT_FILE", file)
        monkeypatch.setenv("SSL_CERT_DIR", directory)
        with Client([endpoint]) as client:
            assert listed(client) == []
    with Client([endpoint.removeprefix("https://")], insecure_transport=False) as client:
        assert listed(client) == []
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere")
    monkeypatch.setenv("SSL_CERT_DIR", empty)
    with (
        Client([endpoint]) as client,
        pytest.raises(TLSError, match="SSL_CERT_FILE and SSL_CERT_DIR lead to no certificate"),
    ):
        listed(client)


@pytest.mark.server
def test_certificate_for_another_name_is_refused(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """A certificate of the right CA must also match the host name."""
    certificates.renew("other.example")
    etcd = secure_etcd()
    assert said(etcd.endpoint, cacert=str(certificates.ca)) == (
        "its certificate is for another name"
    )


@pytest.mark.server
def test_tls_files_are_read_again_for_every_new_connection(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """A client that runs for months continues when its certificates and its CA are replaced."""
    etcd = secure_etcd(mutual=True)
    with Client(
        [etcd.endpoint],
        cacert=str(certificates.ca),
        cert=str(certificates.client.cert),
        key=str(certificates.client.key),
        dial_timeout=10,
    ) as client:
        for _ in range(3):
            assert listed(client) == []
            etcd.stop()
            certificates.renew()
            etcd.start()
        assert listed(client) == []


@pytest.mark.server
def test_error_names_a_tls_file_that_was_deleted(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """The call fails with this error, and no thread of gRPC prints a traceback."""
    etcd = secure_etcd()
    with Client([etcd.endpoint], cacert=str(certificates.ca)) as client:
        certificates.ca.unlink()
        with pytest.raises(ConnectionFailedError, match=r"ca.pem: No such file"):
            listed(client)


@pytest.mark.server
def test_unusable_tls_settings_are_refused_before_any_connection_attempt(
    tmp_path: Path,
) -> None:
    """Examples are a missing file, and a certificate without its key."""
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(InvalidSettingError, match=r"missing.pem: No such file"):
        Client(cacert=missing)
    with pytest.raises(InvalidSettingError, match="cacert: an empty file name"):
        Client(cacert="")
    with pytest.raises(InvalidSettingError, match="cert and key go together: key is missing"):
        Client(cert=missing)
    with pytest.raises(InvalidSettingError, match="cert and key go together: cert is missing"):
        Client(key=missing)
