"""TLS: which connections have it, and the files it is made from."""

from __future__ import annotations

import os
from typing import NamedTuple

import grpc

from ..errors import InvalidSettingError, TLSError
from .addresses import Address
from .files import File

__all__ = ["Content", "Security", "TLSFiles", "read_pem"]


class Content(NamedTuple):
    """The name of a file, and what was in it."""

    name: str
    data: bytes


class TLSFiles(NamedTuple):
    """
    What a connection is made from.

    *roots* without a name are the system's CAs, ``None`` those that gRPC brings.
    """

    roots: Content | None
    cert: Content | None
    key: Content | None

    def credentials(self) -> grpc.ChannelCredentials:
        """Return gRPC's form of them. Its core aborts the process if the cert or key is empty."""
        roots, cert, key = (each.data if each else None for each in self)
        return grpc.ssl_channel_credentials(roots, key, cert)


def read_pem(file: File, *, is_key: bool, setting: str = "") -> Content:
    """
    Return the certificates in *file*, or the private key.

    Raises:
        InvalidSettingError: It can't be read, or gRPC could not use what is in it; *setting* is
            that of the error.
    """
    from .pem import check_key, read_certificates  # only where TLS is used

    try:
        data = file.read()
        (check_key if is_key else read_certificates)(data)
    except OSError as exc:
        raise InvalidSettingError(f"{file.name}: {exc.strerror}", setting=setting) from exc
    except ValueError as exc:
        raise InvalidSettingError(f"{file.name}: {exc}", setting=setting) from exc
    return Content(file.name, data)


class Security:
    """
    The files of new connections, read for each of them: certificates are replaced while we run.

    *timeout*: seconds that a pipe may take.

    Raises:
        InvalidSettingError: A file can't be used, or a certificate lacks its key.
    """

    def __init__(
        self,
        *,
        cacert: str | None,
        cert: str | None,
        key: str | None,
        insecure_transport: bool,
        timeout: float,
    ) -> None:
        names = {"cacert": cacert, "cert": cert, "key": key}
        given = {setting: name for setting, name in names.items() if name is not None}
        # A pipe that brings both a certificate and its key is one file.
        files = {name: File(name, timeout) for name in given.values()}
        self._files = {setting: files[name] for setting, name in given.items()}
        self._bundle: File | None = None
        self._timeout = timeout
        self._by_default = bool(given) or not insecure_transport
        if (cert is None) != (key is None):
            missing, there = ("cert", "key") if cert is None else ("key", "cert")
            raise InvalidSettingError(
                f"cert and key go together: {missing} is missing", setting=there
            )
        for setting in [setting for setting, name in given.items() if not name]:
            raise InvalidSettingError(f"{setting}: an empty file name", setting=setting)
        self._read()

    def is_tls(self, address: Address) -> bool:
        """Say whether *address* is spoken to by TLS."""
        return self._by_default if address.tls is None else address.tls

    def files(self) -> TLSFiles:
        """
        Read the files again.

        Raises:
            TLSError: One can't be used now.
        """
        try:
            files = self._read()
            return files if files.roots else files._replace(roots=self._system_roots())
        except ValueError as exc:
            raise TLSError(str(exc)) from exc

    def _read(self) -> TLSFiles:
        return TLSFiles(*(self._content(each) for each in ("cacert", "cert", "key")))

    def _content(self, setting: str) -> Content | None:
        file = self._files.get(setting)
        return read_pem(file, is_key=setting == "key", setting=setting) if file else None

    def _system_roots(self) -> Content | None:
        from .system_roots import system_roots  # only where TLS is used without a CA

        name = os.environ.get("SSL_CERT_FILE")
        if name and self._bundle is None:
            self._bundle = File(name, self._timeout)
        roots = system_roots(self._bundle)
        return Content("", roots) if roots else None
