"""The server's certificate, from files that are read again when they change."""

from __future__ import annotations

import os
import ssl
from typing import TYPE_CHECKING

from ...errors import InvalidSettingError
from ...etcd.security import File, read_pem
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
        self._current = self._read()
        self._seen: list[tuple[int, int, int]] = []  # so that the first connection looks again
        self._complaint = ""

    def credentials(self, notify: Notify) -> grpc.ServerCredentials:
        """Return what reads the files again for a new connection, if they have changed."""
        import grpc

        def configuration() -> grpc.ServerCertificateConfiguration:
            cert, key, roots = self._current
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
            contents = self._read()
        except (OSError, InvalidSettingError) as exc:
            if str(exc) != self._complaint:
                self._complaint = str(exc)
                text = f"the new certificate is not used: {exc}"
                notify(Notice("tls", text, {"reason": str(exc)}))
            return False
        self._seen, self._complaint = signature, ""
        if contents == self._current:
            return False
        self._current = contents
        notify(Notice("tls", f"using the new certificate in {self._cert}", {"file": self._cert}))
        return True

    def _files(self) -> list[str]:
        return [self._cert, self._key, *([self._client_ca] if self._client_ca else [])]

    def _signature(self) -> list[tuple[int, int, int]]:
        found = (os.stat(name) for name in self._files())
        return [(each.st_ino, each.st_size, each.st_mtime_ns) for each in found]

    def _read(self) -> tuple[bytes, bytes, bytes | None]:
        """
        Return the contents, which belong together: what gRPC can't use could end the process.

        OpenSSL reads files only. So they are read again afterwards, in case they were replaced
        while it did.
        """
        before = None
        while before != (contents := self._contents()):
            before = contents
            self._let_openssl_check()
        return contents

    def _contents(self) -> tuple[bytes, bytes, bytes | None]:
        cert, key, *rest = (self._content(name) for name in self._files())
        return cert, key, rest[0] if rest else None

    def _content(self, name: str) -> bytes:
        if os.path.exists(name) and not os.path.isfile(name):
            raise InvalidSettingError(f"{name}: not a regular file, which could be read again")
        return read_pem(File(name, 0), is_key=name == self._key).data

    def _let_openssl_check(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        names = f"{self._cert}, {self._key}"
        try:
            context.load_cert_chain(self._cert, self._key, password="")  # it never asks for one
            if self._client_ca:
                names = self._client_ca
                context.load_verify_locations(self._client_ca)
        except ssl.SSLError as exc:
            reason = "the key is not that of the certificate"
            if exc.reason != "KEY_VALUES_MISMATCH":
                reason = f"not usable: {exc.reason}"
            raise InvalidSettingError(f"{names}: {reason}") from exc
        except OSError as exc:
            raise InvalidSettingError(f"{names}: {exc.strerror}") from exc
