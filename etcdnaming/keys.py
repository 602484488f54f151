"""
Targets, keys, and the range of a target: the only module that knows about "/".

etcd's keys are bytes. Here they are ``str``: UTF-8, with other bytes as lone surrogates
(``surrogateescape``, as in file names), so that every key is written back unchanged.
"""

from __future__ import annotations

from .errors import InvalidEndpointError, InvalidKeyError, InvalidTargetError

__all__ = [
    "ALL_KEYS",
    "Target",
    "check_key",
    "check_target",
    "complete_key",
    "decode",
    "encode",
    "parse_target",
    "range_of",
    "target_of",
]

ALL_KEYS = (b"\0", b"\0")
"""The range of every key: one zero byte is the lowest key, and as an end it means none."""


class Target(str):
    """A target as `parse_target` returns it. Parsed again it stays the same, even ``foo/``."""

    __slots__ = ()


def encode(key: str) -> bytes:
    r"""
    Return the bytes of *key*.

    >>> encode("svc/\udcff")
    b'svc/\xff'
    """
    return key.encode("utf-8", "surrogateescape")


def decode(key: bytes) -> str:
    """Return *key* as text; each byte that is not UTF-8 becomes a lone surrogate."""
    return key.decode("utf-8", "surrogateescape")


def range_of(target: str) -> tuple[bytes, bytes]:
    """
    Return first key and end (exclusive) of the keys under *target*; ``foo`` is not ``foo_other``.

    >>> range_of("foo/bar")
    (b'foo/bar/', b'foo/bar0')

    Raises:
        InvalidTargetError: *target* is empty or only slashes; its range would be all of etcd.
    """
    name = encode(check_target(target))
    return name + b"/", name + b"0"  # "0" is the byte after "/"


def check_target(target: str) -> str:
    """Return *target* if it names a service, else raise `InvalidTargetError`."""
    if not target.strip("/"):
        raise InvalidTargetError(target)
    return target


def parse_target(text: str) -> Target:
    """
    Return the target that *text* names: ``foo/svc``, ``foo/svc/`` or ``etcd:///foo/svc``.

    The command line, `EndpointManager` and channels all parse a target here.

    etcd's own guide writes ``etcd://foo/svc``, which means ``foo/svc`` too.

    >>> parse_target("etcd:///foo/svc"), parse_target("etcd://foo/svc/"), parse_target("/foo")
    ('foo/svc', 'foo/svc', '/foo')

    Raises:
        InvalidTargetError: *text* names no service, or it names a host.
    """
    if isinstance(text, Target):
        return text
    is_url = text.startswith("etcd://")
    target = (_path_of_url(text.removeprefix("etcd://")) if is_url else text).removesuffix("/")
    if not target.strip("/"):
        raise InvalidTargetError(text)  # as it was written, without anything removed
    return Target(target)


def _path_of_url(rest: str) -> str:
    authority, slash, path = rest.partition("/")
    if ":" in authority or "@" in authority:
        # A target must not decide where a password is sent. The authority may hold a password
        # itself, so it is not repeated in the message.
        raise InvalidTargetError(
            f"etcd://…/{path}", f"it must not name a host: write etcd:///{path}"
        )
    if "%" in rest:
        from urllib.parse import unquote  # rarely needed, and slow to import

        authority, path = (
            unquote(authority, errors="surrogateescape"),
            unquote(path, errors="surrogateescape"),
        )
    return authority + slash + path if authority else path


def target_of(key: str) -> Target:
    """
    Return the target that *key* belongs to by default: the part before its last "/".

    >>> target_of("foo/bar/svc/e1")
    'foo/bar/svc'

    Raises:
        InvalidTargetError: That part is empty.
    """
    target = key.rpartition("/")[0]
    if not target.strip("/"):
        raise InvalidTargetError(target, f"the key {key!r} needs one: write TARGET/NAME")
    return Target(target)


def check_key(key: str, target: str) -> str:
    """Return *key* if it lies under *target*, else raise `InvalidKeyError`."""
    if not key.startswith(check_target(target) + "/"):
        raise InvalidKeyError(key, target)
    return key


def complete_key(key: str, addr: str) -> str:
    """
    Return *key*, with *addr* added if it ends in "/".

    >>> complete_key("foo/svc/", "10.0.0.1:80")
    'foo/svc/10.0.0.1:80'

    Raises:
        InvalidEndpointError: *addr* is empty, or contains a "/", so that the key would belong to
            another target.
    """
    if not key.endswith("/"):
        return key
    if not addr:
        raise InvalidEndpointError(f"the key {key!r} has no name, and the address is empty")
    if "/" in addr:
        raise InvalidEndpointError(f"the address {addr!r} has a '/': write the KEY in full")
    return key + addr
