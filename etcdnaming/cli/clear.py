"""Deleting all that is under a target: counted, asked about, and done."""

from __future__ import annotations

import click

from .. import keys
from ..model import Keys, Update
from . import prompt, stderr
from .app import App

__all__ = ["clear"]


def clear(app: App, target: str, *, ask: bool, prev_kv: bool, dry_run: bool) -> int:
    """Delete all that is under *target*; return the exit code."""
    printer = app.printer()
    if ask and not dry_run and not prompt.is_answered():
        raise click.UsageError("--all asks first, and nobody can answer here: add --yes")
    with app.time_limit() as deadline:
        manager = app.manager(target)
        found = manager.list_keys(leases=True)
        if dry_run:
            printer.plan([Update.delete(each.key) for each in found.keys], [])
            return 0
        if ask and found.count:
            if not prompt.confirm(f"Delete {_summary(found)}?"):
                stderr.say("nothing was deleted")
                return 1
            deadline.renew()  # the time that the answer took is not etcd's
        deletion = manager.delete_all(previous=prev_kv)
    printer.deleted(deletion, prev_kv)
    if held := sum(1 for each in found.keys if each.lease):
        stderr.warn(f"{held} of them were held by leases; their holders may put them back")
    return 0


def _summary(found: Keys) -> str:
    """Return what there is to delete: ``3 keys under foo/, 2 of them under foo/bar``."""
    deeper = [keys.target_of(each.key) for each in found.keys]
    deeper = [target for target in deeper if target != found.target]
    text = f"{found.count} {'key' if found.count == 1 else 'keys'} under {found.target}/"
    if not deeper:
        return text
    where = deeper[0] if len(set(deeper)) == 1 else f"{len(set(deeper))} deeper targets"
    return f"{text}, {len(deeper)} of them under {where}"
