"""The command ``etcdnaming services``."""

from __future__ import annotations

import click

from ...errors import PermissionDeniedError
from ...model import Services
from .. import stderr
from ..app import App, pass_app
from ..click_extension import Command
from ..failures import NotFoundError
from ..options import CONSISTENCY, REVISION, TARGET_SLASH, flag
from ..output.spelling import counted

__all__ = ["command", "report_others"]


HELP = """
List the services in etcd and count their endpoints.

$ etcdnaming services foo/
foo/bar/svc  1

Without PREFIX/, all of etcd is read. Keys that are not endpoints are only counted, on stderr.
"""


@click.command(cls=Command, help=HELP)
@click.argument("prefix", type=TARGET_SLASH, required=False, metavar="[PREFIX/]")
@click.option("--rev", type=REVISION, metavar="N", help="List the services as of revision N.")
@CONSISTENCY
@flag("--fail-if-empty", "Fail if nothing is found.")
@pass_app
def command(
    app: App, *, prefix: str | None, rev: int | None, consistency: str, fail_if_empty: bool
) -> None:
    """Run ``etcdnaming services``."""
    printer = app.printer()
    with app.time_limit():
        try:
            found = app.services(prefix, revision=rev or 0, serializable=consistency == "s")
        except PermissionDeniedError as exc:
            if prefix is None:
                raise PermissionDeniedError(f"{exc}; add a PREFIX/ that the user may read") from exc
            raise
    printer.services(found)
    report_others(found)
    if fail_if_empty and not found.counts:
        raise NotFoundError(f"no service found{'' if prefix is None else f' under {prefix}/'}")


def report_others(found: Services) -> None:
    """Print on stderr how many keys are not endpoints, if there are any."""
    if found.others:
        stderr.say(f"not counted: {counted(found.others, 'key')} without an endpoint")
