"""What every command is handed: the way to etcd, and the way to stdout."""

from __future__ import annotations

import _thread
import errno
import functools
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TextIO, TypeVar

import click

from ..errors import InvalidSettingError
from .failures import UnsupportedFormatError
from .output.stdout import check_open
from .settings.credentials import credentials
from .settings.global_options import given
from .settings.known import CONNECTION, CREDENTIALS, DEBUG, REFUSED, WRITE_OUT
from .settings.setting import PREFIXES, find

if TYPE_CHECKING:
    from types import TracebackType

    from ..endpoints.manager import EndpointManager
    from ..etcd import Client
    from ..etcd.deadline import Deadline
    from ..model import Condition, Services, Update, UpdateResult
    from .debugging import Debugging
    from .output.printers import Printer
    from .settings.setting import Setting, Value

__all__ = ["App", "pass_app"]

Arguments = ParamSpec("Arguments")
Status = TypeVar("Status")


NEEDED = 8
"""How many descriptors, and how many threads, one call of gRPC takes on a small machine."""

# gRPC looks at these once, when it is imported. Its own log lines would stand between ours, and
# its way to deal with a fork has crashed the commands that we start.
GRPC = {"GRPC_VERBOSITY": "NONE", "GRPC_ENABLE_FORK_SUPPORT": "0"}


@contextmanager
def _unless_set(variables: Mapping[str, str]) -> Iterator[None]:
    """Set *variables* in the block only: they are not for the commands that we start."""
    ours = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]


def _ask_password(user: str) -> str:
    from .prompt import ask_password  # brings getpass, which hardly anybody needs

    return ask_password(user)


def _debugging() -> Debugging:
    from .debugging import Debugging  # brings traceback

    return Debugging()


def _check_limits() -> None:
    """
    Make sure that gRPC can begin: without descriptors it aborts, without threads it hangs.

    Raises:
        OSError: A limit of this process, of its user or of its container is too low.
    """
    opened, end = list[int](), _thread.allocate_lock()
    try:
        while len(opened) < NEEDED:
            opened.extend(os.pipe())
        with end:  # they live until then
            for _ in range(NEEDED):
                _thread.start_new_thread(_pass, (end,))
    except RuntimeError as exc:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from exc
    finally:
        for each in opened:
            os.close(each)


def _pass(gate: _thread.LockType) -> None:
    with gate:
        pass


class App:
    """
    The doors: what is behind them is expensive to import, so it is imported when they open.

    Args:
        flags: The settings on the command line, parsed.

        environ: Where the others may be.

        ask: How to get a user's password that is in neither.
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
        self._debugging = _debugging() if find(DEBUG, flags, environ)[0] else None

    @property
    def flags(self) -> Mapping[str, Any]:
        """The settings on the command line."""
        return self._flags

    def printer(self) -> Printer:
        """
        Return the format asked for. Commands open this door first, before they change anything.

        Raises:
            UnsupportedFormatError: There is no such format.
            OSError: There is no stdout.
        """
        from .output.printers import printer  # imports rich, for a table

        return printer(self.format())

    def format(self) -> str:
        """
        Return the name of the format asked for, for commands that print what no `Printer` does.

        Raises:
            UnsupportedFormatError, OSError: As of `printer`.
        """
        check_open()
        return self.format_of(sys.stdout)

    def format_of(self, stream: TextIO | None) -> str:
        """
        Return the name of the format asked for, for what is printed to *stream*.

        Raises:
            UnsupportedFormatError: There is no such format.
        """
        from .output import FORMATS

        default = "table" if stream is not None and stream.isatty() else "simple"
        name, source = find(WRITE_OUT, self._flags, self._environ)
        if name and name not in FORMATS:
            raise UnsupportedFormatError(name, FORMATS, source)
        return name or default

    def log_in(self) -> Mapping[str, Any]:
        """
        Return who we are to etcd, for which a user's password may have to be asked for; once.

        Raises:
            InvalidSettingError: Something is missing, or said twice.
        """
        if self._login is None:
            self._login = credentials(self._flags, self._environ, self._ask)
        return self._login

    def client(self, *, quiet: bool = False) -> Client:
        """
        Return the client that the settings describe. It connects when it is used.

        *quiet* is for who makes it, with the first call: see `Client`.

        Raises:
            InvalidSettingError: They describe none.
        """
        if self._client is None:
            self._client = self._new_client(quiet=quiet)
        return self._client

    def _new_client(self, *, quiet: bool) -> Client:
        self._found(REFUSED)
        found = self._found(CONNECTION)
        login = self.log_in()
        if self._debugging is not None:
            self._debugging.settings(found, login)
        _check_limits()
        with _unless_set(GRPC):
            from ..etcd import Client  # the door to gRPC
        values = {name: value for name, (value, _) in found.items()}
        try:
            return Client(**values, **login, quiet=quiet)
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
        Bound all calls of etcd in the block, together, by dial and command timeout.

        Each operation has such a limit anyway; in the block they share one. A block that waits for
        something else, as for a person's answer, renews it.
        """
        client = self.client()
        from ..etcd import within  # behind the door to gRPC

        with within(client.timeout) as deadline:
            yield deadline

    def local_address(self) -> str:
        """Return this machine's address as etcd sees it."""
        return self.client().local_address()

    def manager(self, target: str) -> EndpointManager:
        """Return what knows the endpoints of *target*."""
        client = self.client()
        from ..endpoints.manager import EndpointManager  # behind the door to gRPC

        return EndpointManager(client, target)

    def services(self, prefix: str, *, revision: int = 0, serializable: bool = False) -> Services:
        """Return the targets under *prefix*."""
        client = self.client()
        from ..endpoints.manager import services  # behind the door to gRPC

        return services(client, prefix, revision=revision, serializable=serializable)

    def keys_with_prefix(self, text: str) -> Iterator[str]:
        """Yield the keys that begin with *text*."""
        client = self.client()
        from ..endpoints.completion_queries import keys_with_prefix  # imports gRPC

        return keys_with_prefix(client, text)

    def targets_with_prefix(self, text: str) -> Iterator[str]:
        """Yield the targets that begin with *text*."""
        client = self.client()
        from ..endpoints.completion_queries import targets_with_prefix  # imports gRPC

        return targets_with_prefix(client, text)

    def update(
        self,
        updates: Sequence[Update],
        conditions: Sequence[Condition] = (),
        *,
        previous: bool = False,
        max_txn_ops: int = 128,
    ) -> UpdateResult:
        """Make all of *updates* or none. Their keys have been checked, each with its own target."""
        client = self.client()
        from ..endpoints.transaction import update  # behind the door to gRPC

        return update(
            client, updates, conditions=conditions, previous=previous, max_txn_ops=max_txn_ops
        )

    def __enter__(self) -> App:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._client is not None:
            self._client.close()
        if self._debugging is not None:
            self._debugging.end(exc)


def pass_app(
    command: Callable[Concatenate[App, Arguments], Status],
) -> Callable[Arguments, Status]:
    """Hand *command* the `App` that its command line and its environment describe."""

    @functools.wraps(command)
    def with_app(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Status:
        with App(given(click.get_current_context()), os.environ) as app:
            return command(app, *args, **kwargs)

    return with_app
