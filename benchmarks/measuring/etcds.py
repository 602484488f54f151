"""An etcd that can be stopped and continued, and that is reached with TLS and without."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from etcdnaming.sandbox import Server, etcd_command, find_etcd, free_port

__all__ = ["RunningEtcd", "running_etcd"]


class RunningEtcd(NamedTuple):
    """Its process, its addresses, and the file of the CA that has signed its certificate."""

    pid: int
    endpoint: str
    tls_endpoint: str
    ca: Path

    def environment(self, base: Mapping[str, str], *, tls: bool) -> dict[str, str]:
        """Return *base*, changed so that etcdnaming uses this etcd."""
        if not tls:
            return {**base, "ETCDNAMING_ENDPOINTS": self.endpoint}
        endpoints = f"https://{self.tls_endpoint}"
        return {**base, "ETCDNAMING_ENDPOINTS": endpoints, "ETCDNAMING_CACERT": str(self.ca)}


@contextmanager
def running_etcd(*, tls: bool = False) -> Iterator[RunningEtcd]:
    """Run an etcd of its own; with *tls* it also listens on an address with TLS."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        plain, secure, ca = free_port(), free_port(), directory / "ca.pem"
        command = etcd_command(find_etcd(), directory, plain, free_port())
        if tls:
            urls = f"http://127.0.0.1:{plain},https://127.0.0.1:{secure}"
            command += [f"--listen-client-urls={urls}", *_certificate(directory, ca)]
        with Server(command, directory) as server:
            yield RunningEtcd(server.pid, f"127.0.0.1:{plain}", f"127.0.0.1:{secure}", ca)


def _certificate(directory: Path, ca: Path) -> list[str]:
    """Make a certificate, and return the flags of etcd for it."""
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(ca)
    issued = authority.issue_cert("127.0.0.1")
    cert, key = directory / "cert.pem", directory / "key.pem"
    issued.private_key_pem.write_to_path(key)
    cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return [f"--cert-file={cert}", f"--key-file={key}"]
