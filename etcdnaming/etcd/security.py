"""
The endpoints of etcd as people write them and as gRPC dials them, and which of them have TLS.

The files that TLS is made from, as passwords, may change, or can be read only once. The
certificates of the system's CAs are found where Go finds them.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from stat import S_ISREG
from typing import TYPE_CHECKING, NamedTuple

import grpc

from ..errors import InvalidSettingError, TLSError
from .deadline import Deadline, within

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "Address",
    "Content",
    "File",
    "Security",
    "TLSFiles",
    "parse_addresses",
    "read_pem",
]

LARGEST = 16 << 20
"""Bytes. No certificate, key or password is larger; ``/dev/zero`` has no end."""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"

# Those of Go's crypto/x509. Of the bundles the first one counts, of the directories every one.
_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
_DIRECTORIES = ("/etc/ssl/certs", "/etc/pki/tls/certs")

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)

_AROUND = " \t\r\n\"'"

# scheme -> (what it says about TLS, is it a path)
_SCHEMES = {
    "http": (False, False),
    "https": (True, False),
    "unix": (None, True),
    "unixs": (True, True),
}


class Address(NamedTuple):
    """
    Where one member listens.

    *text* is for people, *target* for gRPC. *tls* is what the scheme says; ``None``: it says
    nothing, the other settings decide (as in Go's client). *server_name* is what its certificate
    has to be for; empty: its host.
    """

    text: str
    target: str
    tls: bool | None
    server_name: str = ""


def parse_addresses(endpoints: str | Sequence[str | Address]) -> tuple[Address, ...]:
    """
    Return the addresses of *endpoints*, in order, each once; a text may hold several, with commas.

    Blanks and quotes around an item, which configuration files leave there, are not part of it,
    and empty items, as after a trailing comma, are none. An `Address` stays as it is.

    Raises:
        InvalidSettingError: There are none, or one is not host:port, a URL or a socket.
    """
    items = endpoints.split(",") if isinstance(endpoints, str) else endpoints
    stripped = (item if isinstance(item, Address) else item.strip(_AROUND) for item in items)
    addresses = tuple(dict.fromkeys(_parse(item) for item in stripped if item))
    if not addresses:
        raise _invalid("no etcd endpoints given")
    return addresses


def _parse(text: str | Address) -> Address:
    if isinstance(text, Address):
        return text
    before, colon, rest = text.partition(":")
    scheme = before.lower()
    if colon and scheme in _SCHEMES and (rest.startswith("/") or scheme.startswith("unix")):
        tls, is_path = _SCHEMES[scheme]
        rest = rest.removeprefix("//")
        return _absolute(Address(text, (_socket if is_path else _host_port)(text, rest), tls))
    if "://" in text:
        # The rest is not echoed: it may hold a password.
        raise _invalid(f"etcd endpoint {before}://…: the schemes are http, https, unix and unixs")
    return _absolute(Address(text, _host_port(text, text), None))


def _absolute(address: Address) -> Address:
    # With the dot of an absolute name, servers written in Go end the TLS handshake.
    host, _, _ = address.target.removeprefix("dns:///").rpartition(".:")
    return address._replace(server_name=host)


def _socket(text: str, path: str) -> str:
    if not path:
        raise _invalid(f"etcd endpoint {text!r}: a socket needs a path")
    return f"unix:{path}"


def _host_port(text: str, rest: str) -> str:
    if "@" in rest:
        # Not echoed: what stands before the @ may be a password.
        raise _invalid("an etcd endpoint takes no user name: set user")
    host, _, port = rest.removesuffix("/").rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65536:
        raise _invalid(f"etcd endpoint {text!r} is not HOST:PORT")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise _invalid(f"etcd endpoint {text!r}: an IPv6 address stands in [brackets]")
    return f"dns:///{host}:{port}"


def _invalid(text: str) -> InvalidSettingError:
    return InvalidSettingError(text, setting="endpoints")


class File:
    """
    A file that is read again each time its content is needed.

    What is no regular file (a pipe as of ``<(…)``, a fifo, ``/dev/stdin``) can be read only once:
    its content is kept. Reads of one `File` must not overlap.
    """

    def __init__(self, name: str, timeout: float) -> None:
        self.name = name
        self._timeout = timeout
        self._kept: bytes | None = None

    def read(self) -> bytes:
        """
        Return the content, without a byte order mark.

        Raises:
            OSError: The file can't be read, is too large, or does not end within the timeout.
        """
        if self._kept is not None:
            return self._kept
        # Without O_NONBLOCK a fifo that has no writer would block in open(), for ever.
        descriptor = os.open(self.name, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            if S_ISREG(os.fstat(descriptor).st_mode):
                return self._content(descriptor, None)
            with within(self._timeout) as deadline:
                self._kept = self._content(descriptor, deadline)
            return self._kept
        finally:
            os.close(descriptor)

    def _content(self, descriptor: int, deadline: Deadline | None) -> bytes:
        data = bytearray()
        while piece := self._piece(descriptor, len(data), deadline):
            data += piece
            if len(data) > LARGEST:
                raise OSError(errno.EFBIG, f"larger than {LARGEST >> 20} MiB", self.name)
        return bytes(data.removeprefix(_BYTE_ORDER_MARK))

    def _piece(self, descriptor: int, position: int, deadline: Deadline | None) -> bytes:
        if deadline is None:
            # From its beginning, even where opening /dev/stdin shares the position of stdin.
            return os.pread(descriptor, 1 << 16, position)
        from select import POLLIN, poll  # only for what is no regular file

        waiting = poll()
        waiting.register(descriptor, POLLIN)
        while waiting.poll(1000 * deadline.left()):
            try:
                return os.read(descriptor, 1 << 16)
            except BlockingIOError:
                continue  # another process that reads it was faster
        raise OSError(
            errno.ETIMEDOUT, f"not read to its end within {deadline.seconds:g}s", self.name
        )


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
        name = os.environ.get("SSL_CERT_FILE")
        if name and self._bundle is None:
            self._bundle = File(name, self._timeout)
        roots = _system_roots(self._bundle)
        return Content("", roots) if roots else None


def _system_roots(bundle: File | None) -> bytes | None:
    """
    Return the certificates as PEM; ``None`` if there are none, for which gRPC has its own.

    *bundle* is the file that ``SSL_CERT_FILE`` names, if it names one.

    Raises:
        ValueError: ``SSL_CERT_FILE`` or ``SSL_CERT_DIR`` is set, and no certificate was found.
    """
    from pathlib import Path  # only where TLS is used without a CA

    directories = os.environ.get("SSL_CERT_DIR")
    contents = [
        _content(bundle) if bundle else next(filter(None, map(_regular, map(Path, _BUNDLES))), b""),
        *_in_directories(map(Path, directories.split(":") if directories else _DIRECTORIES)),
    ]
    found = dict.fromkeys(each for content in contents for each in _CERTIFICATE.findall(content))
    roots = b"\n".join(each for each in found if _is_readable(each))
    if not roots and (bundle or directories):
        raise ValueError("SSL_CERT_FILE and SSL_CERT_DIR lead to no certificate of a CA")
    return roots or None


def _in_directories(directories: Iterable[Path]) -> Iterator[bytes]:
    for directory in directories:
        with suppress(OSError):
            for file in directory.iterdir():
                # OpenSSL's links from hashes to files beside them would bring the same once more.
                if not (file.is_symlink() and "/" not in str(file.readlink())):
                    yield _regular(file)


def _regular(file: Path) -> bytes:
    return _content(File(str(file), 0)) if file.is_file() else b""


def _content(file: File) -> bytes:
    try:
        return file.read()
    except OSError:
        return b""  # as for Go: what is elsewhere may do


def _is_readable(certificate: bytes) -> bool:
    from .pem import read_certificates

    # gRPC passes over all that follows one that it can't read.
    try:
        return bool(read_certificates(certificate))
    except ValueError:
        return False
