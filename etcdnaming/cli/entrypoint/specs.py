"""What ``--check`` says."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from ...addresses import HostPort, parse_address
from ...errors import InvalidEndpointError
from ..child import is_command
from ..parsing import parse_text

__all__ = ["ExecSpec", "GrpcSpec", "Spec", "TcpSpec", "parse_spec"]


class TcpSpec(NamedTuple):
    """Somebody listens there."""

    host: str
    port: int


class GrpcSpec(NamedTuple):
    """The server there says that *service*, or all of it, is SERVING."""

    address: str
    service: str


class ExecSpec(NamedTuple):
    """The command ends with exit code 0."""

    argv: Sequence[str]


Spec: TypeAlias = TcpSpec | GrpcSpec | ExecSpec


def parse_spec(text: str) -> Spec:
    """
    Return what is to be checked.

    >>> parse_spec("tcp://[::1]:80"), parse_spec("grpc://127.0.0.1:80/foo.Bar")
    (TcpSpec(host='::1', port=80), GrpcSpec(address='127.0.0.1:80', service='foo.Bar'))
    """
    kind, colon, rest = text.partition(":")
    if colon and kind == "exec":
        return _exec(rest)
    rest = parse_text(rest)
    if kind == "tcp" and rest.startswith("//"):
        return TcpSpec(*_address(text, rest[2:]))
    if kind == "grpc" and rest.startswith("//"):
        address, _, service = rest[2:].partition("/")
        _address(text, address)
        return GrpcSpec(address, service)
    raise ValueError(f"{text!r} is not tcp://HOST:PORT, grpc://HOST:PORT[/SERVICE] or exec:CMD")


def _address(text: str, address: str) -> HostPort:
    try:
        found = parse_address(address)
    except InvalidEndpointError as exc:
        raise ValueError(f"{text!r} needs a HOST:PORT: {exc}") from exc
    if not isinstance(found, HostPort):
        raise ValueError(f"{text!r} needs a HOST:PORT")  # noqa: TRY004 - click's word for it
    return found


def _exec(words: str) -> ExecSpec:
    try:
        argv = shlex.split(words)
    except ValueError as exc:
        raise ValueError(f"exec:{words}: {exc}") from exc
    if not argv:
        raise ValueError("exec: needs a command")
    if not is_command(argv[0]):
        raise ValueError(f"exec:{words}: {argv[0]}: command not found")
    return ExecSpec(argv)
