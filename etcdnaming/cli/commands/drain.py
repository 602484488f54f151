"""The command ``etcdnaming drain``, and what it shares with ``undrain``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import click

from ...errors import InvalidValueError
from ...metadata import merge_patch
from ...model import JSON, Endpoint, StoredEndpoint
from ..app import App, pass_app
from ..click_extension import Command
from ..options import DRY_RUN_CHANGE, KEY, flag, target_option
from ..updates import check_place

__all__ = ["command", "merging_command"]


HELP = """
Mark endpoints as draining.

$ etcdnaming drain foo/bar/svc/e1 foo/bar/svc/e2
OK

Sets {"draining":true} in the metadata of each KEY, in one transaction: clients that follow the
target send them no new calls. The other metadata and the lease stay; undrain is the opposite.
"""


def merging_command(help_text: str, patch: Mapping[str, JSON]) -> click.Command:
    """Return the command that merges *patch* into the metadata of each KEY."""

    @click.command(cls=Command, help=help_text)
    @click.argument("key", type=KEY, nargs=-1, required=True, metavar="KEY...")
    @flag("--prev-kv", "Print the previous values.")
    @target_option
    @DRY_RUN_CHANGE
    @pass_app
    def command(
        app: App, *, key: Sequence[str], prev_kv: bool, target: str | None, dry_run: bool
    ) -> None:
        _merge(app, key, patch, prev_kv=prev_kv, target=target, dry_run=dry_run)

    return command


def _merge(
    app: App,
    keys: Sequence[str],
    patch: Mapping[str, JSON],
    *,
    prev_kv: bool,
    target: str | None,
    dry_run: bool,
) -> None:
    """
    Merge *patch* into the metadata of the endpoints at *keys*, all or none.

    Raises:
        InvalidValueError: The metadata of one is not an object. Nothing was written.
    """
    keys = list(dict.fromkeys(keys))
    for each in keys:
        check_place(each, target)
    printer = app.printer()

    def change(stored: StoredEndpoint) -> Endpoint:
        addr, metadata = stored.endpoint
        if metadata is not None and not isinstance(metadata, Mapping):
            raise InvalidValueError(
                f"{stored.key}: its metadata is not an object: nothing was written"
            )
        return Endpoint(addr, merge_patch(metadata, patch))

    with app.time_limit():
        if dry_run:
            printer.plan(*app.plan_changes(keys, change))
        else:
            printer.changed(app.modify(keys, change, previous=prev_kv), prev_kv)


command = merging_command(HELP, {"draining": True})
