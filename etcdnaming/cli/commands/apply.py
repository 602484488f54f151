"""The command ``etcdnaming apply``."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import click

from ...errors import OutcomeUnknownError, TooManyOperationsError
from ...model import Plan
from .. import stderr
from ..app import App, pass_app
from ..click_extension import Command
from ..options import TARGET, batch_options, flag
from ..output.progress import progress
from ..output.spelling import lease_id
from ..signals import unwinding
from ..updates import complete
from .diff import read_wanted, wanted_options, warn_of_kept

__all__ = ["command"]


HELP = """
Make a target hold the endpoints of a file.

$ etcdnaming apply foo/bar/svc -f - --prune <<END
add foo/bar/svc/e1 1.2.3.9:80
END
- foo/bar/svc/e1 1.2.3.4:80 {"zone":"a"}
+ foo/bar/svc/e1 1.2.3.9:80 null

Prints what it changed. Endpoints that are as in FILE are not written, and a changed endpoint stays
on its lease. A "del" line deletes its key; endpoints that FILE does not have stay, unless --prune
is given. All changes are made, or none: if another client changes one of the keys meanwhile (with
--prune, also if it adds a key), TARGET/ is read again.
"""


@click.command(cls=Command, help=HELP)
@click.argument("target", type=TARGET, metavar="TARGET")
@wanted_options
@flag("--dry-run", "Print what would be changed, as diff does, without changing it.")
@batch_options
@pass_app
def command(
    app: App,
    *,
    target: str,
    file: str,
    prune: bool,
    force: bool,
    dry_run: bool,
    batch_size: int | None,
    max_txn_ops: int,
) -> None:
    """Run ``etcdnaming apply``."""
    printer = app.printer()
    found = read_wanted(file, target, prune=prune, force=force)
    with app.time_limit():
        wanted = [complete(each, app.local_address) for each in found]
        manager = app.manager(target, max_txn_ops=max_txn_ops)
        if dry_run:
            plan = manager.plan(wanted, prune=prune, prune_leased=force)
            operations = len(plan.differences) + prune
            if batch_size is None and operations > max_txn_ops:
                raise TooManyOperationsError(operations, max_txn_ops)
        else:
            make = partial(manager.apply, wanted, prune=prune, prune_leased=force)
            plan = make() if batch_size is None else _in_batches(make, batch_size)
    warn_of_kept(plan)
    if not dry_run:
        _warn_of_owners(plan)
    printer.differences(plan, done=not dry_run)


def _in_batches(make: Callable[..., Plan], size: int) -> Plan:
    """
    Apply in transactions of *size* keys, and show the progress.

    After an error or a signal, a warning says how many updates were made.
    """
    made = total = 0
    show: Callable[[int], None] | None = None
    with unwinding(signal.SIGINT, signal.SIGTERM), ExitStack() as bar:

        def count(done: int, of: int) -> None:
            nonlocal made, total, show
            if show is None or of != total:  # there is a new plan after a conflict
                bar.close()
                show = bar.enter_context(progress(of))
            made, total = done, of
            show(done)

        try:
            return make(batch_size=size, on_batch=count)
        except BaseException as exc:
            bar.close()
            at_least = "at least " if isinstance(exc, OutcomeUnknownError) else ""
            if total:
                stderr.warn(f"{at_least}{made} of {total} updates were written")
            raise


def _warn_of_owners(plan: Plan) -> None:
    for update, before in plan.differences:
        if update.endpoint is None and before is not None and before.lease:
            stderr.warn(
                f"{update.key} was attached to lease {lease_id(before.lease)}; "
                "its owner may register it again"
            )
