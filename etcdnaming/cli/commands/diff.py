"""The command ``etcdnaming diff``, and what it shares with ``apply``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from ...model import InvalidValue, Plan, Update
from .. import stderr
from ..app import App, pass_app
from ..click_extension import Command
from ..failures import DiffFailedError, InputError
from ..options import TARGET, flag
from ..output.spelling import lease_id
from ..parsing import FILE, display_name
from ..update_file import read_updates
from ..updates import check, complete

__all__ = ["command", "read_wanted", "wanted_options", "warn_of_kept"]

Function = TypeVar("Function", bound=Callable[..., Any])

HELP = """
Print what apply would change.

$ etcdnaming diff foo/bar/svc -f - <<END
add foo/bar/svc/e1 1.2.3.9:80
END
- foo/bar/svc/e1 1.2.3.4:80 {"zone":"a"}
+ foo/bar/svc/e1 1.2.3.9:80 null

The exit code is 0 if nothing would change, 1 if something would, and 2 or more if the command
failed: 2 also where the other commands exit with 1. Nothing is written, so a role that may read
TARGET/ is enough.
"""


def wanted_options(function: Function) -> Function:
    """Add ``-f FILE``, ``--prune`` and ``--force``."""
    for option in (
        flag(
            "--force",
            "With --prune, also delete endpoints on leases and values that are not endpoints, and "
            "allow an empty FILE. Accept an address that clients can't dial.",
        ),
        flag(
            "--prune",
            "Delete endpoints under TARGET/ that FILE does not have, except those on leases.",
        ),
        click.option(
            "--file",
            "-f",
            type=FILE,
            required=True,
            metavar="FILE",
            help="The update file, or what export or list -w json printed; - is stdin.",
        ),
    ):
        function = option(function)
    return function


def _with_diff_status(command: Callable[..., int]) -> Callable[..., int]:
    @functools.wraps(command)
    def with_status(*args: Any, **kwargs: Any) -> int:
        try:
            return command(*args, **kwargs)
        except (BrokenPipeError, click.ClickException):
            raise
        except Exception as exc:
            raise DiffFailedError from exc

    return with_status


@click.command(cls=Command, help=HELP)
@click.argument("target", type=TARGET, metavar="TARGET")
@wanted_options
@_with_diff_status
@pass_app
def command(app: App, *, target: str, file: str, prune: bool, force: bool) -> int:
    """Run ``etcdnaming diff``."""
    printer = app.printer()
    found = read_wanted(file, target, prune=prune, force=force)
    with app.time_limit():
        wanted = [complete(each, app.local_address) for each in found]
        plan = app.manager(target).plan(wanted, prune=prune, prune_leased=force)
    warn_of_kept(plan)
    printer.differences(plan, done=False)
    return 1 if plan.differences else 0


def read_wanted(file: str, target: str, *, prune: bool, force: bool) -> Sequence[Update]:
    """
    Return the updates in *file*, checked.

    Raises:
        InputError: One is invalid, or a key is not under *target*, or *file* has no endpoint, so
            that pruning would delete everything.
    """
    updates = read_updates(file, functools.partial(check, target=target, force=force))
    if prune and not force and all(each.endpoint is None for each in updates):
        # The other side of the pipe may have failed.
        raise InputError(
            f"{display_name(file)}: no endpoints, so --prune would delete all of {target}/; "
            "--force does it"
        )
    return updates


def warn_of_kept(plan: Plan) -> None:
    """Name what ``--prune`` leaves without ``--force``."""
    for each in plan.kept:
        what = (
            "is not an endpoint"
            if isinstance(each, InvalidValue)
            else f"is attached to lease {lease_id(each.lease)}"
        )
        stderr.warn(f"{each.key} {what}: not pruned; --force deletes it")
