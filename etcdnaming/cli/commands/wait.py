"""The command ``etcdnaming wait``."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import click

from ...model import ChangeBatch, WatchState
from .. import stderr
from ..app import App, pass_app
from ..failures import TimedOutError
from ..following.conditions import Conditions
from ..following.follow import until
from ..following.notes import Notes, unreadable
from ..grammar.durations import parse_duration
from ..grammar.options import REVISION, TARGET, TEXT
from ..grammar.parsed import Parsed
from ..grammar.tree import Command
from ..output.printers import FoundEndpoints
from ..output.status_line import StatusLine
from ..signals import ENDING, ending

__all__ = ["command"]


HELP = """
Wait until a target has the endpoints it should have.

$ etcdnaming wait foo/bar/svc --min 2 --gone 1.2.3.4:80 --timeout 5m
foo/bar/svc/e2  1.2.3.5:80  null
foo/bar/svc/e3  1.2.3.6:80  null

All conditions must be met at the same time. What is there then is printed, as list does it.
If they are not met in time, the exit code is 124, and stderr says what is missing.
"""


@click.command(cls=Command, help=HELP)
@click.argument("target", type=TARGET)
@click.option(
    "--min",
    "at_least",
    type=REVISION,
    metavar="N",
    help="At least N endpoints; 1 if no other condition is given.",
)
@click.option("--max", "at_most", type=REVISION, metavar="N", help="At most N endpoints.")
@click.option(
    "--addr", type=TEXT, multiple=True, metavar="ADDR", help="An endpoint with this address."
)
@click.option(
    "--gone", type=TEXT, multiple=True, metavar="ADDR", help="No endpoint with this address."
)
@click.option(
    "--timeout",
    type=Parsed("duration", parse_duration),
    default="30s",
    metavar="TIME",
    help="How long to wait (30s); with 0 look once.",
)
@pass_app
def command(
    app: App,
    *,
    target: str,
    at_least: int | None,
    at_most: int | None,
    addr: Sequence[str],
    gone: Sequence[str],
    timeout: float,
) -> None:
    """Run ``etcdnaming wait``."""
    wanted = _conditions(at_least, at_most, addr, gone)
    printer = app.printer()
    found = _wait(app, target, wanted, timeout) if timeout else _look(app, target, wanted)
    printer.found(found)


def _conditions(
    at_least: int | None, at_most: int | None, addr: Sequence[str], gone: Sequence[str]
) -> Conditions:
    if at_least is not None and at_most is not None and at_least > at_most:
        raise click.UsageError("--min is more than --max")
    for each in set(addr) & set(gone):
        raise click.UsageError(f"{each} can't be there and gone")
    if at_least is None:
        at_least = 0 if addr or gone or at_most is not None else 1
    return Conditions(at_least, at_most, tuple(addr), tuple(gone))


def _look(app: App, target: str, wanted: Conditions) -> FoundEndpoints:
    listing = app.manager(target).list()
    for each in listing.invalid:
        stderr.warn(unreadable(each))
    if missing := wanted.missing(listing.endpoints):
        raise TimedOutError(missing)
    return FoundEndpoints(target, listing.header.revision, listing.endpoints)


def _wait(app: App, target: str, wanted: Conditions, timeout: float) -> FoundEndpoints:
    manager, line = app.manager(target), StatusLine()
    progress = _Progress(target, line)
    with ExitStack() as stack:
        stack.enter_context(ending(lambda _: line.wipe(), *ENDING))
        stack.callback(line.wipe)
        progress.show()
        watch = stack.enter_context(manager.watch(on_state=progress.state))
        for batch in until(watch, timeout):
            missing = wanted.missing(watch.endpoints.values())
            progress.tell(batch, missing)
            if not missing:
                there = [watch.endpoints[key] for key in sorted(watch.endpoints)]
                return FoundEndpoints(target, batch.revision, there)
    raise TimedOutError(f"timed out after {timeout:g}s: {progress.missing}")


class _Progress:
    """What is missing so far: on a terminal always to be seen, below what is worth a line."""

    def __init__(self, target: str, line: StatusLine) -> None:
        self._target, self._line = target, line
        self._notes = Notes()
        self._counted, self._trouble = "", ""

    @property
    def missing(self) -> str:
        """Why it can't end yet."""
        return "; ".join(filter(None, (self._counted, self._trouble))) or "etcd has not answered"

    def state(self, state: WatchState) -> None:
        """Take the state of the connection."""
        self._trouble = "" if state.connected else f"not connected: {state.detail}"
        self._line.wipe()
        self._notes.state(state)
        self.show()

    def tell(self, batch: ChangeBatch, missing: str) -> None:
        """Take what was still missing after *batch*."""
        self._counted = missing
        self._line.wipe()
        self._notes.tell(batch)
        self.show()

    def show(self) -> None:
        """Show it."""
        self._line.show(f"waiting for {self._target}: {self.missing}")
