"""The command ``etcdnaming del``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ...errors import ConditionFailedError, TooManyOperationsError
from ...model import Condition, Deletion, InvalidValue, StoredEndpoint, Update, UpdateResult
from .. import stderr
from ..app import App, pass_app
from ..clear import clear
from ..failures import NotFoundError
from ..grammar.options import KEY, POSITIVE, TARGET_SLASH, flag, target_option
from ..grammar.tree import Command
from ..output.spelling import lease_id
from ..updates.endpoint import check

__all__ = ["command"]

EXCLUSIVE = tuple((name, "all_of") for name in ("key", "must_exist", "if_mod_rev", "target"))


HELP = """
Delete endpoints.

$ etcdnaming del foo/bar/svc/e1 foo/bar/svc/e2
2

Several KEYs are one transaction: all are deleted at once, or none is.
"""


@click.command(cls=Command, exclusive=EXCLUSIVE, help=HELP)
@click.argument("key", type=KEY, nargs=-1, metavar="KEY...")
@click.option(
    "--all",
    "all_of",
    type=TARGET_SLASH,
    metavar="TARGET/",
    help="Delete all that is under TARGET/, deeper targets included.",
)
@flag("--yes", "Don't ask before --all.")
@flag("--must-exist", "Fail, and delete none, unless every KEY is there.")
@click.option(
    "--if-mod-rev",
    type=POSITIVE,
    metavar="N",
    help="Only if the one KEY was last changed at N.",
)
@flag("--prev-kv", "Print what was deleted.")
@target_option
@flag("--dry-run", "Only print what would be done.")
@pass_app
def command(
    app: App,
    *,
    key: Sequence[str],
    all_of: str | None,
    yes: bool,
    must_exist: bool,
    if_mod_rev: int | None,
    prev_kv: bool,
    target: str | None,
    dry_run: bool,
) -> int:
    """Run ``etcdnaming del``."""
    if all_of is not None:
        return clear(app, all_of, ask=not yes, prev_kv=prev_kv, dry_run=dry_run)
    keys = list(dict.fromkeys(key))
    _check_number(keys, if_mod_rev)
    printer = app.printer()
    updates = [Update.delete(each) for each in keys]
    for update in updates:
        check(update, target)
    conditions = [Condition(each, None) for each in keys if must_exist]
    conditions += [Condition(keys[0], if_mod_rev)] if if_mod_rev else []
    if dry_run:
        printer.plan(updates, conditions)
        return 0
    result = _delete(app, updates, conditions)
    gone = list(result.previous.values())
    _warn(keys, gone)
    printer.deleted(Deletion(result.header, len(gone), gone), prev_kv)
    return 0


def _check_number(keys: Sequence[str], if_mod_rev: int | None) -> None:
    if not keys:
        raise click.UsageError("Missing argument 'KEY...', or --all TARGET/")
    if if_mod_rev and len(keys) > 1:
        raise click.UsageError("--if-mod-rev takes one KEY")


def _delete(app: App, updates: Sequence[Update], conditions: Sequence[Condition]) -> UpdateResult:
    try:
        return app.update(updates, conditions)
    except ConditionFailedError as exc:
        missing = [each.key for each in exc.failed if each.mod_revision is None]
        if not missing:
            raise
        raise NotFoundError(f"not found: {', '.join(missing)}: nothing was deleted") from exc
    except TooManyOperationsError as exc:
        raise click.UsageError(
            f"{exc.count} KEYs are more than the {exc.limit} that etcd takes in one transaction: "
            "nothing was deleted; txn-update --batch-size N deletes them in several"
        ) from exc


def _warn(keys: Sequence[str], gone: Sequence[StoredEndpoint | InvalidValue]) -> None:
    for each in gone:
        if each.lease:
            holder = f"{each.key} was held by lease {lease_id(each.lease)}"
            stderr.warn(f"{holder}; its holder may put it back")
    for key in set(keys) - {each.key for each in gone}:
        if key.endswith("/"):
            stderr.warn(f"{key} is one key, which was not there; all under it is --all {key}")
