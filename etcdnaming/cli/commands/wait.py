"""The command ``etcdnaming wait``."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from typing import NamedTuple

import click

from ...addresses import parse_address
from ...errors import InvalidEndpointError
from ...model import ChangeBatch, StoredEndpoint, WatchState
from .. import stderr
from ..app import App, pass_app
from ..candidates import complete_addrs
from ..click_extension import Command
from ..failures import TimedOutError
from ..following.follow import SelectedWatch, StateMessages, batches_until
from ..options import DURATION, REVISION, TARGET
from ..output.printers import FoundEndpoints
from ..output.progress import StatusLine
from ..output.spelling import counted, unreadable
from ..parsing import Parsed, parse_text
from ..selector import SELECTOR, Selector
from ..signals import ENDING, ending

__all__ = ["command"]


ADDR = Parsed("text", parse_text, complete_addrs)

HELP = """
Wait until the endpoints of a target meet conditions.

$ etcdnaming wait foo/bar/svc --min 2 --gone 1.2.3.4:80 --timeout 5m
foo/bar/svc/e2  1.2.3.5:80  null
foo/bar/svc/e3  1.2.3.6:80  null

Prints the endpoints, as list does, once all conditions are met at the same time. If they are
not met in time, the exit code is 124 and stderr shows what is missing.
"""


@click.command(cls=Command, help=HELP)
@click.argument("target", type=TARGET)
@SELECTOR
@click.option(
    "--min",
    "at_least",
    type=REVISION,
    metavar="N",
    help="At least N endpoints (default 1 if no other condition is given).",
)
@click.option("--max", "at_most", type=REVISION, metavar="N", help="At most N endpoints.")
@click.option(
    "--addr", type=ADDR, multiple=True, metavar="ADDR", help="An endpoint has this address."
)
@click.option(
    "--gone", type=ADDR, multiple=True, metavar="ADDR", help="No endpoint has this address."
)
@click.option(
    "--timeout",
    type=DURATION,
    default="30s",
    metavar="TIME",
    help="Maximum time to wait (default 30s); 0 checks once.",
)
@pass_app
def command(
    app: App,
    *,
    target: str,
    selector: Selector | None,
    at_least: int | None,
    at_most: int | None,
    addr: Sequence[str],
    gone: Sequence[str],
    timeout: float,
) -> None:
    """Run ``etcdnaming wait``."""
    wanted = _conditions(at_least, at_most, addr, gone)
    printer = app.printer()
    if timeout:
        found = _wait(app, target, selector, wanted, timeout)
    else:
        found = _check_once(app, target, selector, wanted)
    with app.time_limit():
        remaining = app.remaining(found.endpoints) if printer.wants_remaining else {}
    printer.found(found, remaining)


class _Conditions(NamedTuple):
    """
    The number of endpoints, the addresses that must exist and those that must not.

    >>> _Conditions(2, None, ("10.0.0.1:80",), ()).missing(())
    '0 of at least 2 endpoints; 10.0.0.1:80 is missing'
    """

    at_least: int
    at_most: int | None
    there: Sequence[str]
    gone: Sequence[str]

    def missing(self, endpoints: Collection[StoredEndpoint]) -> str:
        """Return which conditions are not met; "" if all are."""
        return "; ".join(self._missing(len(endpoints), {each.endpoint.addr for each in endpoints}))

    def _missing(self, count: int, addrs: Collection[str]) -> Iterator[str]:
        if count < self.at_least:
            yield f"{count} of at least {self.at_least} endpoints"
        if self.at_most is not None and count > self.at_most:
            yield f"{counted(count, 'endpoint')}, more than {self.at_most}"
        for addr in self.there:
            if addr not in addrs:
                yield f"{addr} is missing"
        for addr in self.gone:
            if addr in addrs:
                yield f"{addr} is still there"


def _conditions(
    at_least: int | None, at_most: int | None, addr: Sequence[str], gone: Sequence[str]
) -> _Conditions:
    if at_least is not None and at_most is not None and at_least > at_most:
        raise click.UsageError("--min is more than --max")
    for each in set(addr) & set(gone):
        raise click.UsageError(f"--addr {each} and --gone {each} can't be combined")
    _check_addrs("--addr", addr)
    _check_addrs("--gone", gone)
    if at_least is None:
        at_least = 0 if addr or gone or at_most is not None else 1
    return _Conditions(at_least, at_most, tuple(addr), tuple(gone))


def _check_addrs(option: str, addrs: Sequence[str]) -> None:
    """
    Warn of addresses that no endpoint of a gRPC client has: a typo would count as gone.

    Raises:
        click.UsageError: One is empty, as an unset variable of a script is.
    """
    for each in addrs:
        if not each:
            raise click.UsageError(f"{option}: the address is empty")
        try:
            parse_address(each)
        except InvalidEndpointError as exc:
            stderr.warn(f"{option}: {exc}")


def _check_once(
    app: App, target: str, selector: Selector | None, wanted: _Conditions
) -> FoundEndpoints:
    listing = app.manager(target).list()
    for each in listing.invalid:
        stderr.warn(unreadable(each))
    endpoints = listing.endpoints
    if selector:
        endpoints = [each for each in endpoints if selector.matches(each.endpoint)]
    if missing := wanted.missing(endpoints):
        raise TimedOutError(missing)
    return FoundEndpoints(target, listing.header.revision, endpoints)


def _wait(
    app: App, target: str, selector: Selector | None, wanted: _Conditions, timeout: float
) -> FoundEndpoints:
    manager, line = app.manager(target), StatusLine()
    progress = _Progress(target, line)
    with ExitStack() as stack:
        stack.enter_context(ending(lambda _: line.clear(), *ENDING))
        stack.callback(line.clear)
        progress.show()
        watch = stack.enter_context(manager.watch(on_state=progress.state))
        selected = SelectedWatch(watch, selector) if selector else watch
        for batch in batches_until(selected, timeout):
            endpoints = selected.endpoints
            missing = wanted.missing(endpoints.values())
            progress.batch(batch, missing)
            if not missing:
                there = [endpoints[key] for key in sorted(endpoints)]
                return FoundEndpoints(target, batch.revision, there)
    raise TimedOutError(f"timed out after {timeout:g}s: {progress.missing}")


class _Progress:
    """Shows what is missing: in a status line on a terminal, below the messages."""

    def __init__(self, target: str, line: StatusLine) -> None:
        self._target, self._line = target, line
        self._messages = StateMessages()
        self._unmet, self._outage = "", ""

    @property
    def missing(self) -> str:
        """The conditions that are not met, and an outage."""
        return "; ".join(filter(None, (self._unmet, self._outage))) or "no response from etcd"

    def state(self, state: WatchState) -> None:
        """Report whether the watch is connected."""
        self._outage = "" if state.connected else f"not connected: {state.detail}"
        self._line.clear()
        self._messages.state(state)
        self.show()

    def batch(self, batch: ChangeBatch, missing: str) -> None:
        """Report what is missing after *batch*."""
        self._unmet = missing
        self._line.clear()
        self._messages.batch(batch)
        self.show()

    def show(self) -> None:
        """Show the status line."""
        self._line.show(f"waiting for {self._target}: {self.missing}")
