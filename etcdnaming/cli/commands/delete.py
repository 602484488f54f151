"""The command ``etcdnaming del``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from ... import keys as keyspace
from ...errors import ConditionFailedError, TooManyOperationsError
from ...model import Condition, Deletion, InvalidValue, Keys, StoredEndpoint, Update, UpdateResult
from ...printable import printable
from .. import stderr
from ..app import App, pass_app
from ..click_extension import Command
from ..failures import NotFoundError
from ..options import KEY, POSITIVE, TARGET_SLASH, flag, target_option
from ..output.spelling import counted, lease_id
from ..output.streams import is_terminal
from ..updates import check

__all__ = ["command"]

EXCLUSIVE = tuple((name, "all_of") for name in ("key", "must_exist", "if_mod_rev", "target"))


INSTEAD = "del --all {}/"
"""For a KEY that is a target."""

HELP = """
Delete endpoints.

$ etcdnaming del foo/bar/svc/e1 foo/bar/svc/e2
2

Several KEYs are deleted in one transaction: all of them, or none.
"""


@click.command(cls=Command, exclusive=EXCLUSIVE, help=HELP)
@click.argument("key", type=KEY, nargs=-1, metavar="KEY...")
@click.option(
    "--all",
    "all_of",
    type=TARGET_SLASH,
    metavar="TARGET/",
    help="Delete all keys under TARGET/, including deeper targets. Asks first.",
)
@flag("--yes", "Don't ask for confirmation of --all.")
@flag("--must-exist", "Fail, and delete nothing, unless every KEY exists.")
@click.option(
    "--if-mod-rev",
    type=POSITIVE,
    metavar="N",
    help="Only if KEY was last modified at revision N. Takes a single KEY.",
)
@flag("--prev-kv", "Print the deleted values.")
@target_option
@flag("--dry-run", "Print what would be deleted, without deleting it.")
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
        return _delete_all(app, all_of, ask=not yes, prev_kv=prev_kv, dry_run=dry_run)
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
    with app.time_limit():
        result = _delete(app, updates, conditions)
        deleted = list(result.previous.values())
        _warn(app, keys, deleted)
    printer.deleted(Deletion(result.header, len(deleted), deleted), prev_kv)
    return 0


def _check_number(keys: Sequence[str], if_mod_rev: int | None) -> None:
    if not keys:
        raise click.UsageError("Missing argument 'KEY...', or --all TARGET/")
    if if_mod_rev and len(keys) > 1:
        raise click.UsageError("--if-mod-rev takes a single KEY")


def _delete(app: App, updates: Sequence[Update], conditions: Sequence[Condition]) -> UpdateResult:
    try:
        return app.update(updates, conditions)
    except ConditionFailedError as exc:
        missing = [each.key for each in exc.failed if each.mod_revision is None]
        if not missing:
            raise
        app.report_targets(missing, INSTEAD)
        raise NotFoundError(f"not found: {', '.join(missing)}: nothing was deleted") from exc
    except TooManyOperationsError as exc:
        raise click.UsageError(
            f"{exc.count} KEYs are more than the {exc.limit} that etcd takes in one transaction: "
            "nothing was deleted; use txn-update --batch-size N"
        ) from exc


def _warn(app: App, keys: Sequence[str], deleted: Sequence[StoredEndpoint | InvalidValue]) -> None:
    for each in deleted:
        if each.lease:
            holder = f"{each.key} was attached to lease {lease_id(each.lease)}"
            stderr.warn(f"{holder}; its owner may register it again")
    there = {each.key for each in deleted}
    missing = [key for key in keys if key not in there]
    for key in missing:
        if key.endswith("/"):
            stderr.warn(f"{key} is a single key, and not found; use --all {key} for all under it")
    app.report_targets([key for key in missing if not key.endswith("/")], INSTEAD)


def _delete_all(app: App, target: str, *, ask: bool, prev_kv: bool, dry_run: bool) -> int:
    """Delete all keys under *target*, after confirmation; return the exit code."""
    printer = app.printer()
    if ask and not dry_run and not is_terminal(sys.stdin):
        raise click.UsageError("--all asks first, but stdin is not a terminal: use --yes")
    with app.time_limit() as deadline:
        manager = app.manager(target)
        found = manager.list_keys(leases=True)
        if dry_run:
            printer.plan([Update.delete(each.key) for each in found.keys], [])
            return 0
        if ask and found.count:
            if not _confirm(f"Delete {_summary(found)}?"):
                stderr.say("nothing was deleted")
                return 1
            deadline.renew()  # the time for the answer does not count
        deletion = manager.delete_all(previous=prev_kv)
    printer.deleted(deletion, prev_kv)
    if attached := sum(1 for each in found.keys if each.lease):
        stderr.warn(
            f"{counted(attached, 'key')} attached to leases; their owners may register them again"
        )
    return 0


def _summary(found: Keys) -> str:
    """Return what would be deleted: ``3 keys under foo/, 2 of them under foo/bar``."""
    deeper = [keyspace.target_of(each.key) for each in found.keys]
    deeper = [target for target in deeper if target != found.target]
    text = f"{counted(found.count, 'key')} under {found.target}/"
    if not deeper:
        return text
    where = deeper[0] if len(set(deeper)) == 1 else f"{len(set(deeper))} deeper targets"
    return f"{text}, {len(deeper)} of them under {where}"


def _confirm(question: str) -> bool:
    """Ask *question* on the terminal; return whether the answer is yes (the default is no)."""
    print(f"{printable(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer:  # a Ctrl-D does not end the line
        stderr.say("")
    return answer.strip().lower() in ("y", "yes")
