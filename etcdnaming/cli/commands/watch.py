"""The command ``etcdnaming watch``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import click

from ...errors import ClosedError, PermissionDeniedError, RefusedError
from ...model import ChangeBatch, StoredEndpoint, WatchState
from ..app import App, pass_app
from ..child import check_command, environment
from ..failures import WatchCanceledError
from ..following.follow import follow
from ..following.handler import Handler, Policy
from ..following.notes import Notes
from ..following.reader import Reader
from ..following.runner import Runner
from ..grammar.durations import parse_duration, parse_timeout
from ..grammar.options import POSITIVE, TARGET, flag
from ..grammar.parsed import Parsed
from ..grammar.wrapping import WrappingCommand
from ..output.terminal import can_animate, is_terminal
from ..output.watch import LinePrinter, WatchPrinter, live_printer
from ..signals import ENDING, ending

__all__ = ["command"]


HELP = """
Follow the endpoints of a target: what is there, then every change.

$ etcdnaming watch foo/bar/svc
PUT  foo/bar/svc/e1  1.2.3.4:80  {"zone":"a"}

$ etcdnaming watch foo/bar/svc -- sh -c 'cat > endpoints.json'

It goes on through outages and says so on stderr. CMD runs for what is there and then for
changes, never twice at the same time, with {"revision":N,"events":[...],"endpoints":[...]} on
stdin, and about the last event ETCDNAMING_WATCH_EVENT, _KEY, _ADDR, _METADATA, _COUNT,
_REVISION and _TARGET in its environment, and etcdctl's ETCD_WATCH_*.
"""


@click.command(cls=WrappingCommand, help=HELP)
@click.argument("target", type=TARGET)
@click.argument("cmd", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD ARGS...]")
@flag("--watch-only", "Leave out what is there at first.")
@click.option("--rev", type=POSITIVE, metavar="N", help="Only the changes of revision N and later.")
@click.option("--count", type=POSITIVE, metavar="N", help="End after N changes.")
@click.option(
    "--timeout",
    type=Parsed("duration", parse_timeout),
    metavar="TIME",
    help="End after 30s, 5m, ... with exit code 124, or 0 if --count was met before.",
)
@click.option(
    "--debounce",
    type=Parsed("duration", parse_duration),
    metavar="TIME",
    help="Run CMD when nothing has changed for 500ms, 2s, ...; after ten times that anyway.",
)
@click.option(
    "--on-error",
    type=click.Choice(["stop", "continue"]),
    help="If CMD fails: stop with its exit code, the default, or warn and continue.",
)
@pass_app
def command(
    app: App,
    *,
    target: str,
    cmd: Sequence[str],
    watch_only: bool,
    rev: int | None,
    count: int | None,
    timeout: float | None,
    debounce: float | None,
    on_error: str | None,
) -> int:
    """Run ``etcdnaming watch``."""
    _check(cmd, debounce, on_error)
    live = app.format() == "table" and can_animate(sys.stdout) and not cmd
    manager = app.manager(target)
    printer = _printer(app, target, live=live)
    audience = _Audience(printer, Notes(quiet=live and is_terminal(sys.stderr)))
    with ExitStack() as stack:
        if live or cmd:
            stack.enter_context(ending(audience.interrupt, *ENDING))
        stack.callback(printer.end)
        printer.begin()
        watch = stack.enter_context(manager.watch(revision=rev or 0, on_state=audience.state))
        reader = Reader(watch.close)
        if cmd:
            policy = Policy(debounce or 0.0, on_error != "continue")
            handler = Handler(Runner(cmd, environment()), target, policy, watch.close)
            audience.handler = stack.enter_context(handler)
        with _told_why_it_ends(reader):
            follow(watch, audience, first=not watch_only, count=count, timeout=timeout)
        return audience.handler.finish() if audience.handler else 0


def _check(cmd: Sequence[str], debounce: float | None, on_error: str | None) -> None:
    if cmd:
        check_command(cmd[0])
    elif debounce is not None or on_error is not None:
        raise click.UsageError("--debounce and --on-error need a command: -- CMD")


def _printer(app: App, target: str, *, live: bool) -> WatchPrinter:
    if live:
        return live_printer(target, app.client().lease_time_to_live)
    return LinePrinter(app.format(), target)


@contextmanager
def _told_why_it_ends(reader: Reader) -> Iterator[None]:
    try:
        yield
    except ClosedError:
        if reader.has_left:
            raise BrokenPipeError from None
    except PermissionDeniedError:
        raise
    except RefusedError as exc:
        raise WatchCanceledError(f"the watch was canceled: {exc}") from exc


class _Audience:
    """Who is told: stdout, then stderr, then the command."""

    def __init__(self, printer: WatchPrinter, notes: Notes) -> None:
        self._printer, self._notes = printer, notes
        self.handler: Handler | None = None

    def interrupt(self, signum: int) -> None:
        """Leave nothing behind, before *signum* ends us."""
        if self.handler:
            self.handler.interrupt(signum)
        self._printer.end()

    def state(self, state: WatchState) -> None:
        """Take the state of the connection."""
        self._printer.print_state(state)
        self._notes.state(state)

    def tell(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> None:
        """Take a batch."""
        self._printer.print_batch(batch, endpoints)
        self._notes.tell(batch)
        if self.handler:
            self.handler.offer(batch, endpoints)
