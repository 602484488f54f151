"""
Targets, keys, and the range of a target: the one place that knows about "/".

etcd's keys are bytes. Here they are ``str``, UTF-8 with what is not UTF-8 kept as lone
surrogates (``surrogateescape``, as in file names), so nothing is mangled on the way back.
"""

from __future__ import annotations

from .errors import InvalidEndpointError, InvalidKeyError, InvalidTargetError

__all__ = [
    "check_key",
    "check_target",
    "complete_key",
    "decode",
    "encode",
    "parse_target",
    "range_of",
    "target_of",
]


def encode(key: str) -> bytes:
    r"""
    Return the bytes of *key*.

    >>> encode("svc/\udcff")
    b'svc/\xff'
    """
    return key.encode("utf-8", "surrogateescape")


def decode(key: bytes) -> str:
    """Return *key* as text; what is not UTF-8 becomes lone surrogates, byte by byte."""
    return key.decode("utf-8", "surrogateescape")


def range_of(target: str) -> tuple[bytes, bytes]:
    """
    Return first key and end (exclusive) of the keys under *target*; ``foo`` is not ``foo_other``.

    >>> range_of("foo/bar")
    (b'foo/bar/', b'foo/bar0')

    Raises:
        InvalidTargetError: *target* is empty or only slashes, which would mean everything.
    """
    name = encode(check_target(target))
    return name + b"/", name + b"0"  # "0" is the byte after "/"


def check_target(target: str) -> str:
    """Return *target* if it names a service, else raise `InvalidTargetError`."""
    if not target.strip("/"):
        raise InvalidTargetError(target)
    return target


def parse_target(text: str) -> str:
    """
    Return the target that *text* names: ``foo/svc``, ``foo/svc/`` or ``etcd:///foo/svc``.

    etcd's own guide writes ``etcd://foo/svc``, which means ``foo/svc`` too.

    >>> parse_target("etcd:///foo/svc"), parse_target("etcd://foo/svc/"), parse_target("/foo")
    ('foo/svc', 'foo/svc', '/foo')

    Raises:
        InvalidTargetError: It names nothing, or another etcd than the one that is asked.
    """
    is_url = text.startswith("etcd://")
    target = (_path_of_url(text.removeprefix("etcd://")) if is_url else text).removesuffix("/")
    if not target.strip("/"):
        raise InvalidTargetError(text)  # as it was written, not what is left of it
    return target


def _path_of_url(rest: str) -> str:
    authority, slash, path = rest.partition("/")
    if ":" in authority or "@" in authority:
        # A target must not decide where a password is sent; nor may it be echoed.
        raise InvalidTargetError(
            f"etcd://…/{path}", "it must not name a host: use --endpoints, and etcd:///TARGET"
        )
    if "%" in rest:
        from urllib.parse import unquote  # rare, and not free

        authority, path = (
            unquote(authority, errors="surrogateescape"),
            unquote(path, errors="surrogateescape"),
        )
    return authority + slash + path if authority else path


def target_of(key: str) -> str:
    """
    Return the target *key* belongs to when nothing else is said: what stands before its last "/".

    >>> target_of("foo/bar/svc/e1")
    'foo/bar/svc'

    Raises:
        InvalidTargetError: Nothing stands there.
    """
    target = key.rpartition("/")[0]
    if not target.strip("/"):
        raise InvalidTargetError(target, f"the key {key!r} needs one: write TARGET/NAME")
    return target


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
        InvalidEndpointError: *addr* has a "/" of its own, which would name another target.
    """
    if not key.endswith("/"):
        return key
    if "/" in addr:
        raise InvalidEndpointError(f"the address {addr!r} has a '/': write the KEY in full")
    return key + addr
