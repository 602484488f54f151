"""TLS: who is trusted, what is said when somebody is not, and files that change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Certificates, Etcd

from etcdnaming.endpoints.manager import EndpointManager
from etcdnaming.errors import ConnectionFailedError, InvalidSettingError, TLSError
from etcdnaming.etcd import Client


def listed(client: Client) -> list[str]:
    """Return the keys there are."""
    return list(EndpointManager(client, "svc").list().by_key())


@pytest.mark.server
def test_a_server_of_the_ca_is_trusted(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """With a scheme, and without one: a CA switches TLS on."""
    etcd = secure_etcd()
    for endpoint in (
        etcd.endpoint,
        f"https://{etcd.endpoint}",
        f"localhost:{etcd.port}",
    ):
        with Client([endpoint], cacert=str(certificates.ca)) as client:
            assert listed(client) == []


@pytest.mark.server
def test_both_sides_show_a_certificate(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """Mutual TLS."""
    etcd = secure_etcd(mutual=True)
    with Client(
        [etcd.endpoint],
        cacert=str(certificates.ca),
        cert=str(certificates.client.cert),
        key=str(certificates.client.key),
    ) as client:
        assert listed(client) == []


def said(endpoint: str, **settings: str) -> str:
    """Return the error of a client that can't get in."""
    with Client([endpoint], **settings) as client, pytest.raises(TLSError) as refused:  # type: ignore[arg-type]
        listed(client)
    return str(refused.value).partition(f"{endpoint}: ")[2]


@pytest.mark.server
def test_what_is_wrong_with_tls_is_told_apart(
    etcd: Etcd, secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """Each has another cure."""
    secure = secure_etcd(mutual=True)
    ca = str(certificates.ca)
    other = certificates.other_client
    assert said(secure.endpoint) == "it speaks TLS: write https://, or give --cacert"
    assert said(f"https://{etcd.endpoint}", cacert=ca) == (
        "it does not speak TLS: http:// is what it takes"
    )
    assert said(secure.endpoint, cacert=str(certificates.other_ca)) == (
        "its certificate is not one that the CA vouches for (--cacert)"
    )
    assert said(f"https://{secure.endpoint}") == (
        "its certificate is not one that the CA vouches for (--cacert)"
    )
    for pair in ({}, {"cert": str(other.cert), "key": str(other.key)}):
        assert said(secure.endpoint, cacert=ca, **pair) == (
            "it refused our certificate: it wants one it trusts (--cert, --key)"
        )


@pytest.mark.server
def test_a_certificate_for_another_name_is_refused(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """The right CA is not enough."""
    certificates.renew("other.example")
    etcd = secure_etcd()
    assert said(etcd.endpoint, cacert=str(certificates.ca)) == (
        "its certificate is for another name"
    )


@pytest.mark.server
def test_files_are_read_again_for_every_new_connection(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """A client that runs for months outlives its certificates, and its CA."""
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
def test_a_file_that_is_gone_when_it_is_needed_is_named(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """Not a stack trace from a thread of gRPC's."""
    etcd = secure_etcd()
    with Client([etcd.endpoint], cacert=str(certificates.ca)) as client:
        certificates.ca.unlink()
        with pytest.raises(ConnectionFailedError, match=r"ca.pem: No such file"):
            listed(client)


@pytest.mark.server
def test_what_can_never_work_is_refused_before_anything_is_dialled(
    tmp_path: Path,
) -> None:
    """A missing file, half a pair."""
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(InvalidSettingError, match=r"missing.pem: No such file"):
        Client(cacert=missing)
    with pytest.raises(InvalidSettingError, match="--cert and --key go together"):
        Client(cert=missing)
