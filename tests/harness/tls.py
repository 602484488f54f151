"""Certificates as files, and an etcd that uses them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import trustme

from .etcd import Etcd
from .programs import Programs

__all__ = ["Certificates", "Pair", "secure_etcd"]

NAMES = ("127.0.0.1", "localhost")


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, PEM."""

    cert: Path
    key: Path


class Certificates:
    """
    A certificate authority and what it signed, as PEM files whose paths never change.

    ``ca`` signed ``server`` and ``client``. ``other_ca`` signed ``other_client``, and no
    server trusts it.
    """

    def __init__(self, directory: Path, *names: str) -> None:
        self.ca = directory / "ca.pem"
        self.other_ca = directory / "other-ca.pem"
        self.server = _pair(directory, "server")
        self.client = _pair(directory, "client")
        self.other_client = _pair(directory, "other-client")
        self.renew(*names)

    def renew(self, *names: str) -> None:
        """Replace every file, the authorities included. *names* are those of the server."""
        self._authority = _authority(self.ca)
        self.issue(self.server, *(names or NAMES))
        self.issue(self.client, "client")
        _issue(_authority(self.other_ca), self.other_client, "client")

    def issue(self, pair: Pair, *names: str, days: tuple[int, int] = (-1, 1)) -> None:
        """Replace *pair* by one that ``ca`` signed; *days*: its first and last day, from now."""
        _issue(self._authority, pair, *names, days=days)


def secure_etcd(
    programs: Programs, certificates: Certificates, *flags: str, mutual: bool = False
) -> Etcd:
    """Return an etcd with TLS; if *mutual*, clients need a certificate of its CA."""
    server, client = certificates.server, certificates.client
    etcd = Etcd(
        programs,
        ctl_flags=(
            f"--cert={client.cert}",
            f"--key={client.key}",
            "--insecure-transport=false",
            "--insecure-skip-tls-verify",  # the certificate may have any name
        ),
    )
    etcd.server_flags = (
        f"--listen-client-urls=https://{etcd.endpoint}",
        f"--advertise-client-urls=https://{etcd.endpoint}",
        f"--cert-file={server.cert}",
        f"--key-file={server.key}",
        *((f"--trusted-ca-file={certificates.ca}", "--client-cert-auth") if mutual else ()),
        *flags,
    )
    return etcd


def _pair(directory: Path, name: str) -> Pair:
    return Pair(directory / f"{name}.pem", directory / f"{name}.key")


def _authority(path: Path) -> trustme.CA:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(path)
    return authority


def _issue(authority: trustme.CA, pair: Pair, *names: str, days: tuple[int, int] = (-1, 1)) -> None:
    now = datetime.now(timezone.utc)
    begin, end = (now + timedelta(days=each) for each in days)
    leaf = authority.issue_cert(*names, not_before=begin, not_after=end)
    leaf.private_key_pem.write_to_path(pair.key)
    pair.cert.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
