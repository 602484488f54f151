"""Give each command the client for etcd and the printer for stdout."""

from __future__ import annotations

import functools
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TextIO, TypeVar

import click

from ..errors import EndpointNotFoundError, EtcdError, InvalidSettingError
from ..printable import printable
from .failures import UnsupportedFormatError
from .output import FORMATS, printer
from .output.streams import check_open, is_terminal
from .settings import (
    CONNECTION,
    CREDENTIALS,
    DEBUG,
    NO_HEADERS,
    PREFIXES,
    QUIET,
    REFUSED,
    WRITE_OUT,
    find,
    find_credentials,
    settings_given,
)
from .signals import pulsing, unwinding
from .stderr import DebugReport, quiet, say, warn

if TYPE_CHECKING:
    from types import TracebackType

    from ..endpoints.manager import EndpointManager
    from ..etcd import Client
    from ..etcd.deadline import Deadline
    from ..model import (
        Condition,
        Endpoint,
        Header,
        InvalidValue,
        MemberStatus,
        Services,
        StoredEndpoint,
        Update,
        UpdateResult,
    )
    from .output.printers import Printer
    from .settings import Setting, Value

__all__ = ["App", "pass_app"]

Arguments = ParamSpec("Arguments")
Status = TypeVar("Status")


MAX_TTL_REQUESTS = 100
"""Leases whose remaining time is requested; each needs a request of its own."""

MAX_TARGETS = 10
"""Missing keys of which etcd is asked whether they are targets; each needs a request of its own."""

VERSION_TIMEOUT = 1.0
"""Seconds to learn the version of etcd."""


def _ask_password(user: str) -> str:
    """
    Prompt for a password on the terminal, without echo. A signal restores the echo first.

    Raises:
        InvalidSettingError: Stdin is not a terminal, or nothing was typed.
    """
    if not is_terminal(sys.stdin):
        raise InvalidSettingError(
            f"the user {user!r} needs a password: use --password-file or ETCDNAMING_PASSWORD; "
            "stdin is not a terminal"
        )
    import getpass  # rarely needed

    with unwinding(signal.SIGINT, signal.SIGTERM, signal.SIGHUP), pulsing():
        try:
            return getpass.getpass(printable(f"etcd password for {user}: "))
        except EOFError:
            raise InvalidSettingError(f"no password was typed for the user {user!r}") from None


class App:
    """
    Creates what a command needs. Expensive modules are imported by the method that needs them.

    Args:
        flags: The settings on the command line, parsed.

        environ: The environment, for the other settings.

        ask: Prompts for the password of a user.
    """

    def __init__(
        self,
        flags: Mapping[str, Any],
        environ: Mapping[str, str],
        ask: Callable[[str], str] = _ask_password,
    ) -> None:
        self._flags, self._environ, self._ask = flags, environ, ask
        self._client: Client | None = None
        self._login: Mapping[str, Any] | None = None
        self._debug_report = DebugReport() if find(DEBUG, flags, environ)[0] else None

    @property
    def flags(self) -> Mapping[str, Any]:
        """The settings on the command line."""
        return self._flags

    def refuse_flags(self, reason: str, *allowed: str) -> None:
        """
        Make sure that the command line has no settings but *allowed*, ``debug`` and ``quiet``.

        Raises:
            click.UsageError: It has others, which would have no effect.
        """
        if others := [name for name in self._flags if name not in ("debug", "quiet", *allowed)]:
            flags = ", ".join(f"--{name.replace('_', '-')}" for name in others)
            raise click.UsageError(f"{flags}: not supported: {reason}")

    def printer(self) -> Printer:
        """
        Return the printer of the output format. Commands call this before they change anything.

        Raises:
            UnsupportedFormatError: There is no such format.
            OSError: Stdout is closed.
        """
        return printer(self.format(), headers=self.headers)

    @property
    def headers(self) -> bool:
        """Whether tables have a header line."""
        return not find(NO_HEADERS, self._flags, self._environ)[0]

    def format(self) -> str:
        """
        Return the name of the output format on stdout.

        Raises:
            UnsupportedFormatError, OSError: As `printer`.
        """
        check_open()
        return self.format_of(sys.stdout)

    def format_of(self, stream: TextIO | None) -> str:
        """
        Return the name of the output format on *stream*.

        Raises:
            UnsupportedFormatError: There is no such format.
        """
        default = "table" if is_terminal(stream) else "simple"
        name, source = find(WRITE_OUT, self._flags, self._environ)
        if name and name not in FORMATS:
            raise UnsupportedFormatError(name, FORMATS, source)
        return name or default

    def log_in(self) -> Mapping[str, Any]:
        """
        Return the credentials for etcd; the first call may prompt for the password.

        Raises:
            InvalidSettingError: Something is missing, or there are two passwords.
        """
        if self._login is None:
            self._login = find_credentials(self._flags, self._environ, self._ask)
        return self._login

    def client(self, *, quiet: bool = False) -> Client:
        """
        Return the client for the settings. It connects on first use.

        *quiet* counts in the first call only; see `Client`.

        Raises:
            InvalidSettingError: A setting is invalid.
        """
        if self._client is None:
            self._client = self._new_client(self.log_in, quiet=quiet)
        return self._client

    def etcd_version(self) -> str:
        """
        Return the version of the first member that answers. There is no login, thus no prompt.

        Raises:
            InvalidSettingError, ConnectionFailedError, OSError: Etcd can't be asked.
        """
        client = self._new_client(dict)
        from ..etcd import within  # gRPC is imported by `_new_client`

        with within(VERSION_TIMEOUT), client:
            return client.status().version

    def members(self) -> Sequence[tuple[str, Callable[[], MemberStatus]]]:
        """Return each given endpoint of etcd, and a function that asks it for its status."""
        client = self.client()
        from ..etcd import addresses_of  # gRPC is imported by `client`

        settings = {**_arguments(self._found(CONNECTION)), **self.log_in()}
        for name in ("discovery_srv", "discovery_srv_name", "insecure_discovery"):
            settings.pop(name, None)
        return [
            (each.text, functools.partial(_ask_status, {**settings, "endpoints": [each]}))
            for each in addresses_of(client)
        ]

    def _new_client(
        self, log_in: Callable[[], Mapping[str, Any]], *, quiet: bool = False
    ) -> Client:
        self._found(REFUSED)
        found = self._found(CONNECTION)
        login = log_in()
        if self._debug_report is not None:
            self._debug_report.settings(found, login)
        from .grpc_import import importing_grpc  # only here

        with importing_grpc():
            from ..etcd import Client
        if found["discovery_srv"][0]:
            from ..log import report_to

            report_to("etcdnaming.etcd.discovery", warn)
        try:
            return Client(**_arguments(found), **login, quiet=quiet)
        except InvalidSettingError as exc:
            # The variable is named, because it may be set far away; a flag is in sight.
            used = self._found(each for each in CREDENTIALS if each.key in login)
            source = {**found, **used}.get(exc.setting, ("", ""))[1]
            if source.startswith(PREFIXES):
                raise InvalidSettingError(f"{source}: {exc}", setting=exc.setting) from exc
            raise

    def _found(self, settings: Iterable[Setting]) -> dict[str, Value]:
        return {each.key: find(each, self._flags, self._environ) for each in settings}

    @contextmanager
    def time_limit(self) -> Iterator[Deadline]:
        """
        Limit all requests in the block, together, to the dial and the command timeout.

        Without the block each request has this limit for itself. A block that waits for something
        else (such as an answer at a prompt) renews the limit.
        """
        client = self.client()
        from ..etcd import within  # gRPC is imported by `client`

        with within(client.timeout) as deadline:
            yield deadline

    def local_address(self) -> str:
        """Return this machine's address as etcd sees it."""
        return self.client().local_address()

    def manager(self, target: str, *, max_txn_ops: int = 128) -> EndpointManager:
        """Return the manager for the endpoints of *target*."""
        client = self.client()
        from ..endpoints.manager import EndpointManager  # gRPC is imported by `client`

        return EndpointManager(client, target, max_txn_ops=max_txn_ops)

    def services(self, prefix: str | None, *, revision: int, serializable: bool) -> Services:
        """Return the targets under *prefix*; ``None``: all of etcd."""
        client = self.client()
        from ..endpoints.manager import services  # gRPC is imported by `client`

        return services(client, prefix, revision=revision, serializable=serializable)

    def get(
        self, keys: Sequence[str]
    ) -> tuple[Header, Sequence[StoredEndpoint | InvalidValue | None]]:
        """Return the header of the answer, and what is stored at each of *keys*."""
        client = self.client()
        from ..endpoints.modification import get  # gRPC is imported by `client`

        return get(client, keys)

    def report_targets(self, missing: Sequence[str], instead: str) -> None:
        """
        Say which of the *missing* keys are targets with endpoints; `MAX_TARGETS` are looked up.

        *instead* is the command for a target, with ``{}`` in its place.
        """
        for target in (key.removesuffix("/") for key in missing[:MAX_TARGETS]):
            try:
                found = self.manager(target).count().count
            except EtcdError:
                return  # such as a role that may read only this key
            if found:
                say(f"{target} is a target: use etcdnaming {instead.format(target)}")

    def remaining(self, endpoints: Iterable[StoredEndpoint]) -> Mapping[int, int]:
        """Return the remaining seconds of the first leases of *endpoints*, by lease ID."""
        client = self.client()
        leases = dict.fromkeys(each.lease for each in endpoints if each.lease)
        remaining: dict[int, int] = {}
        try:
            for lease in islice(leases, MAX_TTL_REQUESTS):
                remaining[lease] = client.lease_time_to_live(lease)
        except EtcdError:
            pass  # the endpoints are the result; an unknown time is shown as "-"
        return remaining

    def modify(
        self, keys: Sequence[str], change: Callable[[StoredEndpoint], Endpoint], *, previous: bool
    ) -> UpdateResult:
        """Replace the endpoints at *keys* by what *change* returns, by compare-and-swap."""
        client = self.client()
        from ..endpoints.modification import modify  # gRPC is imported by `client`

        with self._reporting_targets():
            return modify(client, keys, change, previous=previous)

    def plan_changes(
        self, keys: Sequence[str], change: Callable[[StoredEndpoint], Endpoint]
    ) -> tuple[Sequence[Update], Sequence[Condition]]:
        """Return the updates and the conditions that `modify` would send first."""
        _, found = self.get(keys)
        from ..endpoints.modification import plan  # gRPC is imported by `client`

        with self._reporting_targets():
            return plan(keys, found, change)

    @contextmanager
    def _reporting_targets(self) -> Iterator[None]:
        try:
            yield
        except EndpointNotFoundError as exc:
            self.report_targets(exc.keys, "list {}")
            raise

    def update(
        self,
        updates: Sequence[Update],
        conditions: Sequence[Condition] = (),
        *,
        previous: bool = False,
        max_txn_ops: int = 128,
    ) -> UpdateResult:
        """Apply all of *updates* in one transaction; the caller has checked their keys."""
        client = self.client()
        from ..endpoints.transaction import update  # gRPC is imported by `client`

        return update(
            client, updates, conditions=conditions, previous=previous, max_txn_ops=max_txn_ops
        )

    def __enter__(self) -> App:
        self._quiet = quiet(find(QUIET, self._flags, self._environ)[0])
        self._quiet.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._quiet.__exit__(kind, exc, trace)
        if self._client is not None:
            self._client.close()
        if self._debug_report is not None:
            self._debug_report.end(exc)


def pass_app(command: Callable[Concatenate[App, Arguments], Status]) -> Callable[Arguments, Status]:
    """Call *command* with an `App` for its command line and environment."""

    @functools.wraps(command)
    def with_app(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Status:
        with App(settings_given(click.get_current_context()), os.environ) as app:
            return command(app, *args, **kwargs)

    return with_app


def _ask_status(settings: Mapping[str, Any]) -> MemberStatus:
    from ..etcd import Client  # gRPC is imported by `client`

    with Client(**settings) as client:
        return client.status()


def _arguments(found: Mapping[str, Value]) -> dict[str, Any]:
    """
    Return the arguments of `Client` for the settings that have an effect.

    Raises:
        InvalidSettingError: A flag is of no use without another.
    """
    if found["discovery_srv"][0]:
        unused = {"endpoints"} if not found["endpoints"][1] else set()
    else:
        unused = {"discovery_srv", "discovery_srv_name", "insecure_discovery"}
        for value, source in (found[name] for name in sorted(unused)):
            if source == "--discovery-srv-name" or (source == "--insecure-discovery" and not value):
                raise InvalidSettingError(f"{source} needs a --discovery-srv")
    return {name: value for name, (value, _) in found.items() if name not in unused}
