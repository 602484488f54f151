"""The command ``etcdnaming set``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import click

from ... import wire
from ...metadata import merge_patch
from ...model import JSON, Endpoint, StoredEndpoint
from .. import stderr
from ..app import App, pass_app
from ..click_extension import Command
from ..options import DRY_RUN_CHANGE, FORCE, KEY, TEXT, flag, target_option
from ..parsing import Parsed
from ..updates import check_addr, check_place, complete_addr

__all__ = ["command"]

EXCLUSIVE = (("metadata_merge", "metadata_json"),)


HELP = """
Change the address or the metadata of an endpoint.

$ etcdnaming set foo/bar/svc/e1 --metadata-merge '{"weight":3}'
OK

KEY must exist and stays on its lease. A change that another client makes at the same time is not
lost: KEY is then read again. In --metadata-merge, null removes a member (RFC 7396).
"""


class _Given(NamedTuple):
    """The value of an option: null, too, is a value."""

    value: JSON


_JSON = Parsed("json", lambda text: _Given(wire.loads(text)))


@click.command(cls=Command, exclusive=EXCLUSIVE, help=HELP)
@click.argument("key", type=KEY)
@click.option("--addr", type=TEXT, metavar="HOST:PORT", help="New address that clients dial.")
@click.option(
    "--metadata-merge",
    type=_JSON,
    metavar="JSON",
    help="Merge this JSON object into the metadata; other members stay.",
)
@click.option("--metadata-json", type=_JSON, metavar="JSON", help="New metadata: any JSON value.")
@flag("--prev-kv", "Print the previous value of KEY.")
@target_option
@FORCE
@DRY_RUN_CHANGE
@pass_app
def command(
    app: App,
    *,
    key: str,
    addr: str | None,
    metadata_merge: _Given | None,
    metadata_json: _Given | None,
    prev_kv: bool,
    target: str | None,
    force: bool,
    dry_run: bool,
) -> None:
    """Run ``etcdnaming set``."""
    if addr is None and metadata_merge is None and metadata_json is None:
        raise click.UsageError("Missing option: --addr, --metadata-merge or --metadata-json")
    check_place(key, target)
    if addr is not None:
        check_addr(addr, force=force)
    for given in filter(None, (metadata_merge, metadata_json)):
        wire.encode(Endpoint("", given.value))
    printer = app.printer()
    replaced = False

    def change(stored: StoredEndpoint) -> Endpoint:
        nonlocal replaced
        before = metadata = stored.endpoint.metadata
        if metadata_json:
            metadata = metadata_json.value
        elif metadata_merge:
            metadata = merge_patch(before, metadata_merge.value)
            replaced = before is not None and not isinstance(before, Mapping)
        return Endpoint(stored.endpoint.addr if addr is None else addr, metadata)

    with app.time_limit():
        if addr is not None:
            addr = complete_addr(addr, app.local_address)
        if dry_run:
            printer.plan(*app.plan_changes([key], change))
        else:
            printer.changed(app.modify([key], change, previous=prev_kv), prev_kv)
    if replaced:
        stderr.warn(f"{key}: its metadata was not an object, and is replaced")
