"""What the user has asked for: the endpoints, the check, and how the entrypoint behaves."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from ... import keys
from ...addresses import HostPort, parse_address
from ...errors import InvalidEndpointError
from ...model import Update
from ..child import is_command
from ..failures import InputError
from ..parsing import display_name, parse_text

__all__ = [
    "Check",
    "CheckTiming",
    "ExecCheck",
    "GrpcCheck",
    "OnLost",
    "Options",
    "Start",
    "TcpCheck",
    "parse_check",
    "read_endpoints",
]

OnLost: TypeAlias = Literal["retry", "exit"]
Start: TypeAlias = Literal["now", "registered"]


class TcpCheck(NamedTuple):
    """Pass if a TCP connection to this address succeeds."""

    host: str
    port: int


class GrpcCheck(NamedTuple):
    """Pass if the server at *address* reports SERVING for *service* (empty: the whole server)."""

    address: str
    service: str


class ExecCheck(NamedTuple):
    """Pass if this command exits with code 0."""

    argv: Sequence[str]


Check: TypeAlias = TcpCheck | GrpcCheck | ExecCheck


class CheckTiming(NamedTuple):
    """
    When to run the check, in seconds.

    *failures* in a row make the service unhealthy. *timeout* limits the time until the check passes
    for the first time; 0 means no limit.
    """

    interval: float
    failures: int
    timeout: float


class Options(NamedTuple):
    """
    How the entrypoint behaves.

    *cmd* is the command to run; it may be empty. *drain* is the time in seconds between
    deregistration and the signal to the command, *stop_timeout* the time between that signal and
    SIGKILL.
    """

    cmd: Sequence[str]
    start: Start
    drain: float
    stop_timeout: float
    on_lost: OnLost
    check: Check | None
    timing: CheckTiming
    ready_file: Path | None


def parse_check(text: str) -> Check:
    """
    Return the check that the value of ``--check`` describes.

    >>> parse_check("tcp://[::1]:80"), parse_check("grpc://127.0.0.1:80/foo.Bar")
    (TcpCheck(host='::1', port=80), GrpcCheck(address='127.0.0.1:80', service='foo.Bar'))

    Raises:
        ValueError: *text* is not a check.
    """
    kind, colon, rest = text.partition(":")
    if colon and kind == "exec":
        return _parse_exec(rest)
    rest = parse_text(rest)
    if kind == "tcp" and rest.startswith("//"):
        return TcpCheck(*_parse_host_port(text, rest[2:]))
    if kind == "grpc" and rest.startswith("//"):
        address, _, service = rest[2:].partition("/")
        _parse_host_port(text, address)
        return GrpcCheck(address, service)
    raise ValueError(f"{text!r} is not tcp://HOST:PORT, grpc://HOST:PORT[/SERVICE] or exec:CMD")


def _parse_host_port(text: str, address: str) -> HostPort:
    try:
        found = parse_address(address)
    except InvalidEndpointError as exc:
        raise ValueError(f"{text!r} needs a HOST:PORT: {exc}") from exc
    if not isinstance(found, HostPort):
        raise ValueError(f"{text!r} needs a HOST:PORT")  # noqa: TRY004 - the type click expects
    return found


def _parse_exec(words: str) -> ExecCheck:
    try:
        argv = shlex.split(words)
    except ValueError as exc:
        raise ValueError(f"exec:{words}: {exc}") from exc
    if not argv:
        raise ValueError("exec: needs a command")
    if not is_command(argv[0]):
        raise ValueError(f"exec:{words}: {argv[0]}: command not found")
    return ExecCheck(argv)


def read_endpoints(file: str, check: Callable[[Update], None]) -> Sequence[Update]:
    """
    Return the endpoints in *file*: at least one, all with different keys, each passed to *check*.

    Raises:
        InputError: The content is wrong.
        click.UsageError: The file can't be read.
    """
    from ..update_file import read_updates  # only for --file

    found: set[str] = set()

    def check_add(update: Update) -> None:
        if update.endpoint is None:
            raise ValueError('only "add" lines can be registered')
        check(update)
        key = keys.complete_key(update.key, update.endpoint.addr)
        if key in found:
            raise ValueError(f"duplicate key {key}")
        found.add(key)

    updates = read_updates(file, check_add)
    if not updates:
        raise InputError(f"{display_name(file)}: no endpoints in the file")
    return updates
