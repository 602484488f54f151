"""The command ``etcdnaming txn-update``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import click

from ...endpoints.folding import fold
from ...errors import ConditionFailedError, TooManyOperationsError
from ...model import Condition, Update, UpdateResult
from .. import stderr
from ..app import App, pass_app
from ..files import name_of, read_bytes
from ..grammar.options import FORCE, KEY, LEASE, POSITIVE, flag, target_option
from ..grammar.parsed import FILE
from ..output.printers import Printer
from ..output.spelling import lease_id
from ..updates.batches import in_batches
from ..updates.endpoint import check, check_place, settle
from ..updates.file import parse
from ..updates.options import ADD, AT_REVISION, DELETE, InOrder, check_pair

__all__ = ["command"]

EXCLUSIVE = tuple(("batch_size", name) for name in ("if_absent", "if_exists", "if_mod_rev"))


HELP = """
Add and delete endpoints in one transaction.

$ etcdnaming txn-update - <<END
del foo/bar/svc/e1
add foo/bar/svc/e2 1.2.3.4:80 {"zone":"a"}
END
SUCCESS

All of it is done, or none. FILE (- is stdin) holds an update a line, or JSON objects such as
{"op":"add","key":"foo/bar/svc/e2","addr":"1.2.3.4:80"}.
"""


@click.command(cls=InOrder, exclusive=EXCLUSIVE, help=HELP)
@click.argument("file", type=FILE, required=False, metavar="[FILE|-]")
@click.option("--add", type=ADD, multiple=True, metavar="KEY=ADDR", help="Store an endpoint.")
@click.option("--del", "delete", type=DELETE, multiple=True, metavar="KEY", help="Delete one.")
@click.option(
    "--if-absent", type=KEY, multiple=True, metavar="KEY", help="Only if it is not there."
)
@click.option("--if-exists", type=KEY, multiple=True, metavar="KEY", help="Only if it is there.")
@click.option(
    "--if-mod-rev",
    type=AT_REVISION,
    multiple=True,
    metavar="KEY=N",
    help="Only if it was last changed at revision N; 0: only if it is not there.",
)
@click.option("--lease", type=LEASE, metavar="HEX", help="Hang all on this lease; 0 is none.")
@target_option
@FORCE
@click.option(
    "--batch-size",
    type=POSITIVE,
    metavar="N",
    help="Use a transaction for every N keys: no longer all or nothing.",
)
@click.option(
    "--max-txn-ops",
    type=POSITIVE,
    default="128",
    metavar="N",
    help="What etcd was told to take in one transaction (128).",
)
@flag("--dry-run", "Only print what would be done, as a file that can be given here.")
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
    if batch_size and batch_size > max_txn_ops:
        raise click.UsageError("--batch-size is more than --max-txn-ops")
    printer = app.printer()
    absent = [Condition(key, 0) for key in if_absent]
    existing = [Condition(key, None) for key in if_exists]
    conditions = [*absent, *existing, *if_mod_rev]
    for condition in conditions:
        check_place(condition.key, target)
    found = _read(file, changes, partial(check, target=target, force=force), force=force)
    updates = [_on(lease, update) for update in found]
    if dry_run:
        settled = [settle(update, app.local_address) for update in updates]
        _plan(printer, settled, conditions, max_txn_ops if batch_size is None else None)
        return
    with app.time_limit() as deadline:
        updates = [settle(update, app.local_address) for update in updates]
        if batch_size is not None:
            results = in_batches(
                app,
                printer,
                updates,
                size=batch_size,
                max_txn_ops=max_txn_ops,
                renew_time_limit=deadline.renew,
            )
        else:
            results = [_at_once(app, printer, updates, conditions, max_txn_ops)]
    for result in results:
        for key, left in result.detached.items():
            stderr.warn(f"{key} leaves lease {lease_id(left)}: nothing removes it any more")
    printer.transaction(results)


def _read(
    file: str | None,
    changes: Sequence[Update],
    check: Callable[[Update], None],
    *,
    force: bool,
) -> Sequence[Update]:
    if file is None and not changes:
        raise click.UsageError("nothing to do: name a FILE (- is stdin), --add or --del")
    for update in changes:
        if not force:
            check_pair(update)
        check(update)
    if file is None:
        return changes
    in_file = parse(read_bytes(file), name_of(file), check)
    return [*in_file, *changes]


def _on(lease: int | None, update: Update) -> Update:
    if update.endpoint is None or update.lease is not None:
        return update
    return update._replace(lease=lease)


def _plan(
    printer: Printer,
    updates: Sequence[Update],
    conditions: Sequence[Condition],
    most: int | None,
) -> None:
    folded = fold(updates)
    if most is not None and len(folded) > most:
        raise TooManyOperationsError(len(folded), most)
    printer.plan(folded, conditions)


def _at_once(
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
