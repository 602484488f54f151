"""The server's certificate, from files that are read again when they change."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

from ...errors import InvalidSettingError
from ..notice import Notice, Notify

if TYPE_CHECKING:
    import grpc

__all__ = ["ServerFiles"]


class ServerFiles:
    """
    A certificate and its key and, for mutual TLS, the CA of the clients; PEM.

    Raises:
        InvalidSettingError: A file is missing or is not what it should be.
    """

    def __init__(self, cert: str, key: str, client_ca: str | None) -> None:
        self._cert, self._key, self._client_ca = cert, key, client_ca
        self._check()
        self._seen = self._signature()
        self._content = self._read()
        self._complaint = ""

    def credentials(self, notify: Notify) -> grpc.ServerCredentials:
        """Return what reads the files again for a new connection, if they have changed."""
        import grpc

        def configuration() -> grpc.ServerCertificateConfiguration:
            cert, key, roots = self._content
            return grpc.ssl_server_certificate_configuration([(key, cert)], roots)

        def renewed() -> grpc.ServerCertificateConfiguration | None:
            return configuration() if self._has_changed(notify) else None

        return grpc.dynamic_ssl_server_credentials(
            configuration(),
            renewed,  # type: ignore[arg-type]  # None: as before
            require_client_authentication=self._client_ca is not None,
        )

    def _has_changed(self, notify: Notify) -> bool:
        """Read changed files. Bad ones are reported once, and the ones before stay in use."""
        try:
            signature = self._signature()
            if signature == self._seen:
                return False
            self._check()
            self._content = self._read()
        except (OSError, InvalidSettingError) as exc:
            if str(exc) != self._complaint:
                self._complaint = str(exc)
                text = f"the new certificate is not used: {exc}"
                notify(Notice("tls", text, {"reason": str(exc)}))
            return False
        self._seen, self._complaint = signature, ""
        notify(Notice("tls", f"using the new certificate in {self._cert}", {"file": self._cert}))
        return True

    def _files(self) -> list[str]:
        return [self._cert, self._key, *([self._client_ca] if self._client_ca else [])]

    def _signature(self) -> list[tuple[int, int, int]]:
        found = (os.stat(name) for name in self._files())
        return [(each.st_ino, each.st_size, each.st_mtime_ns) for each in found]

    def _read(self) -> tuple[bytes, bytes, bytes | None]:
        cert, key, *rest = (_content(name) for name in self._files())
        return cert, key, rest[0] if rest else None

    def _check(self) -> None:
        """Let OpenSSL read them first: what gRPC can't read could end the process."""
        for name in self._files():
            if not os.path.isfile(name):
                raise InvalidSettingError(f"{name}: no such file")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            context.load_cert_chain(self._cert, self._key, password=lambda: "")
        except (OSError, ValueError) as exc:
            raise InvalidSettingError(_reason(exc, f"{self._cert}, {self._key}")) from exc
        if self._client_ca:
            try:
                context.load_verify_locations(self._client_ca)
            except (OSError, ValueError) as exc:
                raise InvalidSettingError(_reason(exc, self._client_ca)) from exc


def _reason(exc: Exception, names: str) -> str:
    if isinstance(exc, ssl.SSLError):
        if exc.reason == "KEY_VALUES_MISMATCH":
            return f"{names}: the key is not that of the certificate"
        return f"{names}: not PEM, empty, or an encrypted key"
    if isinstance(exc, OSError) and exc.strerror:
        return f"{exc.filename or names}: {exc.strerror}"
    return f"{names}: {exc}"


def _content(name: str) -> bytes:
    with open(name, "rb") as file:
        return file.read()
