"""TLS: which connections have it, and the files it is made from."""

from __future__ import annotations

import grpc

from ..errors import ConnectionFailedError, InvalidSettingError
from .addresses import Address

__all__ = ["Security"]


class Security:
    """
    Credentials for every new connection, from files as they are then.

    Raises:
        InvalidSettingError: A file can't be read, or a certificate lacks its key.
    """

    def __init__(
        self, *, cacert: str | None, cert: str | None, key: str | None, insecure_transport: bool
    ) -> None:
        self._files = (cacert, key, cert)
        self._by_default = bool(cacert or cert or key) or not insecure_transport
        if bool(cert) != bool(key):
            raise InvalidSettingError("--cert and --key go together: one of them is missing")
        try:
            self._read()
        except OSError as exc:
            raise InvalidSettingError(f"{exc.filename}: {exc.strerror}") from exc

    def is_tls(self, address: Address) -> bool:
        """Say whether *address* is spoken to by TLS."""
        return self._by_default if address.tls is None else address.tls

    def credentials(self) -> grpc.ChannelCredentials:
        """Read the files again: certificates are replaced while we run."""
        try:
            roots, key, chain = self._read()
        except OSError as exc:
            raise ConnectionFailedError(f"{exc.filename}: {exc.strerror}") from exc
        return grpc.ssl_channel_credentials(roots or _system_roots(), key, chain)

    def _read(self) -> tuple[bytes | None, bytes | None, bytes | None]:
        cacert, key, cert = (_content(name) if name else None for name in self._files)
        return cacert, key, cert


def _system_roots() -> bytes | None:
    """Return the machine's own CAs, as Go does; without them gRPC takes those it brings."""
    import ssl  # only where TLS is used without --cacert

    cafile = ssl.get_default_verify_paths().cafile
    return _content(cafile) if cafile else None


def _content(name: str) -> bytes:
    with open(name, "rb") as file:
        return file.read()
