"""The command ``etcdnaming diff``."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click

from ..app import App, pass_app
from ..click_extension.command import Command
from ..failures import DiffFailedError
from ..options import TARGET
from ..updates.endpoint import complete
from ..updates.wanted import read_wanted, wanted_options, warn_of_kept

__all__ = ["command"]


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
