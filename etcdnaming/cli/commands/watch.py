"""The command ``etcdnaming watch``."""

from __future__ import annotations

import os
import select
import stat
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import click

from ...errors import ClosedError, PermissionDeniedError, RefusedError
from ...model import ChangeBatch, StoredEndpoint, WatchState
from ..app import App, pass_app
from ..child import check_command, environment
from ..click_extension import WrappingCommand
from ..failures import WatchCanceledError
from ..following.follow import SelectedWatch, StateMessages, follow
from ..options import DURATION, POSITIVE, TARGET, TIMEOUT, flag
from ..output.printers import Printer
from ..output.streams import can_animate, flush, is_terminal, write
from ..selector import SELECTOR, Selector
from ..signals import ENDING, ending

if TYPE_CHECKING:
    from ...endpoints.manager import EndpointManager
    from ...endpoints.watch import Watch
    from ..following.handler import Handler
    from ..following.merged import MergedWatch
    from ..output.live_table import LiveTable

__all__ = ["command"]


HELP = """
Print the endpoints of a target, then every change.

$ etcdnaming watch foo/bar/svc
PUT  foo/bar/svc/e1  1.2.3.4:80  {"zone":"a"}

$ etcdnaming watch foo/bar/svc -- sh -c 'cat > endpoints.json'

The watch continues through outages, which are reported on stderr. Several targets are one stream
and one table: the changes of each target are in order, those of different targets as they arrive.
--count counts them together, and --rev is for all. On a terminal, arrow keys scroll; q or
Ctrl-C ends it.

CMD runs for the initial endpoints and then for changes, one run at a time. Its stdin
is {"revision":N,"events":[...],"endpoints":[...]}. Its environment describes the last event:
ETCDNAMING_WATCH_EVENT, _KEY, _ADDR, _METADATA, _COUNT, _REVISION and _TARGET, and etcdctl's
ETCD_WATCH_*.
"""


@click.command(cls=WrappingCommand, help=HELP)
@click.argument("target", type=TARGET, nargs=-1, required=True, metavar="TARGET...")
@SELECTOR
@flag("--watch-only", "Only changes, without the initial endpoints.")
@click.option("--rev", type=POSITIVE, metavar="N", help="Only changes from revision N on.")
@click.option(
    "--count",
    type=POSITIVE,
    metavar="N",
    help="Exit after N changes; the initial endpoints don't count.",
)
@click.option(
    "--timeout",
    type=TIMEOUT,
    metavar="TIME",
    help="Exit with code 124 after this time, unless --count is reached before.",
)
@click.option(
    "--debounce",
    type=DURATION,
    metavar="TIME",
    help="Run CMD once there was no change for this time, or after ten times this time.",
)
@click.option(
    "--on-error",
    type=click.Choice(["stop", "continue"]),
    help="If CMD fails: exit with its code (stop, the default), or print a warning (continue).",
)
@pass_app
def command(
    app: App,
    *,
    target: Sequence[str],
    cmd: Sequence[str],
    selector: Selector | None,
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
    targets = _distinct(target)
    managers = [app.manager(each) for each in targets]
    printer = _printer(app, ", ".join(targets), live=live)
    outputs = _Outputs(printer, StateMessages(quiet=live and is_terminal(sys.stderr)))
    with ExitStack() as stack:
        if live or cmd:
            stack.enter_context(ending(outputs.interrupt, *ENDING))
        stack.callback(printer.end)
        printer.begin()
        watch = _watch(managers, rev or 0, outputs.state)
        stack.callback(watch.close)
        reader = _PipeReader(watch.close)
        printer.read_keys(watch.close)
        if cmd:
            from ..following.handler import CommandRunner, Handler, HandlerOptions

            options = HandlerOptions(debounce or 0.0, on_error != "continue")
            handler = Handler(CommandRunner(cmd, environment()), targets, options, watch.close)
            outputs.handler = stack.enter_context(handler)
        with _translating_the_end(reader):
            selected = SelectedWatch(watch, selector) if selector else watch
            follow(selected, outputs.batch, first=not watch_only, count=count, timeout=timeout)
        return outputs.handler.finish() if outputs.handler else 0


def _check(cmd: Sequence[str], debounce: float | None, on_error: str | None) -> None:
    if cmd:
        check_command(cmd[0])
    elif debounce is not None or on_error is not None:
        raise click.UsageError("--debounce and --on-error need a command: -- CMD")


def _distinct(targets: Sequence[str]) -> Sequence[str]:
    """Return *targets* without those that are below another one, whose watch shows them."""
    return [
        each
        for each in dict.fromkeys(targets)
        if not any(each.startswith(f"{other}/") for other in targets)
    ]


def _watch(
    managers: Sequence[EndpointManager], revision: int, on_state: Callable[[WatchState], None]
) -> Watch | MergedWatch:
    if len(managers) == 1:
        return managers[0].watch(revision=revision, on_state=on_state)
    from ..following.merged import MergedWatch

    open_each = [
        lambda state, manager=each: manager.watch(revision=revision, on_state=state)
        for each in managers
    ]
    return MergedWatch(open_each, on_state)


def _printer(app: App, target: str, *, live: bool) -> _LinePrinter | LiveTable:
    if live:
        from ..output.live_table import LiveTable  # imports rich

        return LiveTable(target, app.client().lease_time_to_live, headers=app.headers)
    return _LinePrinter(app.printer(), target)


class _LinePrinter:
    """Prints each batch with *printer*, and flushes, where `LiveTable` draws it."""

    def __init__(self, printer: Printer, target: str) -> None:
        self._printer, self._target = printer, target

    def print_batch(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> None:
        """Write the lines of *batch*, unless it is empty; *endpoints*: those after it, by key."""
        if batch.first or batch.changes or batch.invalid:
            write(self._printer.batch_lines(self._target, batch, endpoints))
            flush()

    def print_state(self, state: WatchState) -> None:
        """Do nothing: the state is reported on stderr."""

    def begin(self) -> None:
        """Do nothing: a line printer does not own the terminal."""

    def read_keys(self, on_quit: Callable[[], None]) -> None:
        """Do nothing: stdin belongs to CMD, or to the shell."""

    def end(self) -> None:
        """Do nothing: there is no terminal to restore."""


class _PipeReader:
    """
    Calls *gone*, in its own thread, when the reader of the pipe on stdout has closed it.

    ``watch | head -1`` ends when head does, not at the next change.
    """

    def __init__(self, gone: Callable[[], None]) -> None:
        self.is_gone = False
        self._gone = gone
        mode = os.fstat(sys.stdout.fileno()).st_mode
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            threading.Thread(target=self._wait, name="etcdnaming-reader", daemon=True).start()

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)  # the kernel always reports a hangup
        poll.poll()
        self.is_gone = True
        self._gone()


@contextmanager
def _translating_the_end(reader: _PipeReader) -> Iterator[None]:
    try:
        yield
    except ClosedError:
        if reader.is_gone:
            raise BrokenPipeError from None
    except PermissionDeniedError:
        raise
    except RefusedError as exc:
        raise WatchCanceledError(f"the watch was canceled: {exc}") from exc


class _Outputs:
    """Passes each batch to stdout, then to stderr, then to CMD."""

    def __init__(self, printer: _LinePrinter | LiveTable, messages: StateMessages) -> None:
        self._printer, self._messages = printer, messages
        self.handler: Handler | None = None

    def interrupt(self, signum: int) -> None:
        """Stop CMD and restore the terminal, before *signum* ends this process."""
        if self.handler:
            self.handler.interrupt(signum)
        self._printer.end()

    def state(self, state: WatchState) -> None:
        """Report whether the watch is connected."""
        self._printer.print_state(state)
        self._messages.state(state)

    def batch(self, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]) -> None:
        """Pass *batch* on; *endpoints* are those after it."""
        self._printer.print_batch(batch, endpoints)
        self._messages.batch(batch)
        if self.handler:
            self.handler.offer(batch, endpoints)
