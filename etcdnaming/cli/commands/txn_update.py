"""The command ``etcdnaming txn-update``."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain, islice

import click

from ...errors import (
    ConditionFailedError,
    InvalidEndpointError,
    OutcomeUnknownError,
    TooManyOperationsError,
)
from ...model import Condition, Endpoint, Update, UpdateResult, fold
from .. import stderr
from ..app import App, pass_app
from ..candidates import complete_keys
from ..click_extension import Command, options_used
from ..options import FORCE, KEY, LEASE, batch_options, flag, target_option
from ..output.printers import Printer
from ..output.progress import progress
from ..output.spelling import lease_id
from ..parsing import FILE, Parsed, parse_key, parse_number, parse_text
from ..signals import unwinding
from ..update_file import read_updates
from ..updates import check, check_place, complete

__all__ = ["command"]

_NOT_IN_ADDRESS = re.compile("[={ ]")

EXCLUSIVE = tuple(("batch_size", name) for name in ("if_absent", "if_exists", "if_mod_rev"))


def _parse_add(text: str) -> Update:
    key, equals, addr = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not KEY=ADDR")
    return Update.add(parse_key(key), Endpoint(parse_text(addr)))


def _parse_delete(text: str) -> Update:
    return Update.delete(parse_key(text))


def _parse_condition(text: str) -> Condition:
    key, equals, revision = text.rpartition("=")
    if not equals:
        raise ValueError(f"{text!r} is not KEY=N")
    return Condition(parse_key(key), parse_number(revision))


ADD = Parsed("add", _parse_add)
DELETE = Parsed("key", _parse_delete, complete_keys)
AT_REVISION = Parsed("condition", _parse_condition)


class _InOrder(Command):
    """Passes ``--add`` and ``--del`` on as one list, because the last update of a key counts."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the updates of both options in the order of the command line."""
        rest = super().parse_args(ctx, args)
        given = {"--add": iter(ctx.params.pop("add")), "--del": iter(ctx.params.pop("delete"))}
        used = options_used(args, self.get_params(ctx), interspersed=ctx.allow_interspersed_args)
        if not ctx.resilient_parsing:
            ctx.params["changes"] = [next(given[name]) for name in used if name in given]
        return rest


HELP = """
Add and delete endpoints in one transaction.

$ etcdnaming txn-update - <<END
del foo/bar/svc/e1
add foo/bar/svc/e2 1.2.3.4:80 {"zone":"a"}
END
SUCCESS

All updates are made, or none. FILE ("-" reads stdin) has one update per line, or JSON objects
such as {"op":"add","key":"foo/bar/svc/e2","addr":"1.2.3.4:80"}.
"""


@click.command(cls=_InOrder, exclusive=EXCLUSIVE, help=HELP)
@click.argument("file", type=FILE, required=False, metavar="[FILE|-]")
@click.option("--add", type=ADD, multiple=True, metavar="KEY=ADDR", help="Store an endpoint.")
@click.option(
    "--del", "delete", type=DELETE, multiple=True, metavar="KEY", help="Delete an endpoint."
)
@click.option(
    "--if-absent", type=KEY, multiple=True, metavar="KEY", help="Only if KEY does not exist."
)
@click.option("--if-exists", type=KEY, multiple=True, metavar="KEY", help="Only if KEY exists.")
@click.option(
    "--if-mod-rev",
    type=AT_REVISION,
    multiple=True,
    metavar="KEY=N",
    help="Only if KEY was last modified at revision N; 0: if it does not exist.",
)
@click.option(
    "--lease", type=LEASE, metavar="HEX", help="Attach to this lease ID (hex); 0 means no lease."
)
@target_option
@FORCE
@batch_options
@flag("--dry-run", "Print the updates as a FILE for this command, without making them.")
@pass_app
def command(
    app: App,
    *,
    file: str | None,
    changes: Sequence[Update],
    if_absent: Sequence[str],
    if_exists: Sequence[str],
    if_mod_rev: Sequence[Condition],
    lease: int | None,
    target: str | None,
    force: bool,
    batch_size: int | None,
    max_txn_ops: int,
    dry_run: bool,
) -> None:
    """Run ``etcdnaming txn-update``."""
    printer = app.printer()
    absent = [Condition(key, 0) for key in if_absent]
    existing = [Condition(key, None) for key in if_exists]
    conditions = [*absent, *existing, *if_mod_rev]
    for condition in conditions:
        check_place(condition.key, target)
    found = _read(file, changes, partial(check, target=target, force=force), force=force)
    updates = [_with_lease(lease, update) for update in found]
    if dry_run:
        completed = [complete(update, app.local_address) for update in updates]
        _plan(printer, completed, conditions, max_txn_ops if batch_size is None else None)
        return
    with app.time_limit() as deadline:
        updates = [complete(update, app.local_address) for update in updates]
        if batch_size is not None:
            apply = partial(app.update, max_txn_ops=max_txn_ops)
            results = _apply_batches(apply, updates, batch_size, deadline.renew)
        else:
            results = [_apply(app, printer, updates, conditions, max_txn_ops)]
    for result in results:
        for key, left in result.detached.items():
            stderr.warn(f"{key} was detached from lease {lease_id(left)} and is permanent now")
    printer.transaction(results)


def _read(
    file: str | None, changes: Sequence[Update], check: Callable[[Update], None], *, force: bool
) -> Sequence[Update]:
    if file is None and not changes:
        raise click.UsageError("nothing to do: use FILE (- reads stdin), --add or --del")
    for update in changes:
        if not force:
            _check_pair(update)
        check(update)
    if file is None:
        return changes
    return [*read_updates(file, check), *changes]


def _check_pair(update: Update) -> None:
    """
    Check that the ADDR of a ``KEY=ADDR`` is not followed by metadata.

    Raises:
        InvalidEndpointError: It seems to be.
    """
    addr = update.endpoint.addr if update.endpoint else ""
    if found := _NOT_IN_ADDRESS.search(addr):
        raise InvalidEndpointError(
            f"the address {addr!r} has a {found[0]!r}: KEY=ADDR takes no metadata, use a FILE; "
            "--force stores it anyway"
        )


def _with_lease(lease: int | None, update: Update) -> Update:
    if update.endpoint is None or update.lease is not None:
        return update
    return update._replace(lease=lease)


def _plan(
    printer: Printer,
    updates: Sequence[Update],
    conditions: Sequence[Condition],
    max_txn_ops: int | None,
) -> None:
    folded = fold(updates)
    if max_txn_ops is not None and len(folded) > max_txn_ops:
        raise TooManyOperationsError(len(folded), max_txn_ops)
    printer.plan(folded, conditions)


def _apply(
    app: App,
    printer: Printer,
    updates: Sequence[Update],
    conditions: Sequence[Condition],
    max_txn_ops: int,
) -> UpdateResult:
    try:
        return app.update(updates, conditions, max_txn_ops=max_txn_ops)
    except ConditionFailedError as exc:
        printer.failure(exc, fold(updates))
        raise


def _apply_batches(
    apply: Callable[[Sequence[Update]], UpdateResult],
    updates: Sequence[Update],
    size: int,
    renew_time_limit: Callable[[], None],
) -> list[UpdateResult]:
    """
    Make *updates* in transactions of *size* keys, and show the progress.

    Each transaction has the time of one command. After an error or a signal, a warning says how
    many updates were made; they are not undone.
    """
    total = len({each.key for each in updates})
    written = 0
    results: list[UpdateResult] = []
    with unwinding(signal.SIGINT, signal.SIGTERM):
        try:
            with progress(total) as show:
                for batch in [*split(updates, size)] or [[]]:  # an empty one has a result, too
                    results.append(apply(batch))
                    written += len(results[-1].updates)
                    show(written)
                    renew_time_limit()
        except BaseException as exc:
            at_least = "at least " if isinstance(exc, OutcomeUnknownError) else ""
            stderr.warn(f"{at_least}{written} of {total} updates were written")
            raise
    return results


def split(updates: Sequence[Update], size: int) -> Iterator[list[Update]]:
    """
    Yield *updates* in batches of *size* keys; all updates of a key are in one batch.

    >>> a, b = Update.delete("svc/a"), Update.delete("svc/b")
    >>> [len(batch) for batch in split([a, b, a, b], 1)]
    [2, 2]
    """
    by_key: dict[str, list[Update]] = {}
    for update in updates:
        by_key.setdefault(update.key, []).append(update)
    groups = iter(by_key.values())
    while batch := list(islice(groups, size)):
        yield list(chain.from_iterable(batch))
