"""The command ``etcdnaming undrain``."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ..app import App, pass_app
from ..click_extension import Command
from ..options import DRY_RUN_CHANGE, KEY, flag, target_option
from .drain import merge_all

__all__ = ["command"]


HELP = """
Mark endpoints as no longer draining.

$ etcdnaming undrain foo/bar/svc/e1
OK

Removes "draining" from the metadata of each KEY, in one transaction.
"""


@click.command(cls=Command, help=HELP)
@click.argument("key", type=KEY, nargs=-1, required=True, metavar="KEY...")
@flag("--prev-kv", "Print the previous values.")
@target_option
@DRY_RUN_CHANGE
@pass_app
def command(
    app: App, *, key: Sequence[str], prev_kv: bool, target: str | None, dry_run: bool
) -> None:
    """Run ``etcdnaming undrain``."""
    merge_all(app, key, {"draining": None}, prev_kv=prev_kv, target=target, dry_run=dry_run)
