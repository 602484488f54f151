"""The command ``etcdnaming add``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from ...errors import EtcdnamingError, OutcomeUnknownError
from ...model import JSON, Condition, Endpoint, Update
from .. import stderr
from ..app import App, pass_app
from ..click_extension import Command
from ..options import (
    FORCE,
    KEY,
    LEASE,
    METADATA_OPTIONS,
    REVISION,
    TEXT,
    TTL,
    flag,
    metadata_options,
    target_option,
)
from ..output.spelling import lease_id
from ..updates import check, complete

__all__ = ["command"]

EXCLUSIVE = (METADATA_OPTIONS, ("lease", "no_lease", "ttl"), ("if_absent", "if_mod_rev"))


HELP = """
Store an endpoint.

$ etcdnaming add foo/bar/svc/e1 --addr 1.2.3.4:80 --metadata zone-a
OK

A KEY that ends in "/" is completed with the address. If the host is omitted (":80"), this
machine's IP towards etcd is used.
"""


@click.command(cls=Command, exclusive=EXCLUSIVE, help=HELP)
@click.argument("key", type=KEY)
@click.option(
    "--addr", type=TEXT, required=True, metavar="HOST:PORT", help="Address that clients dial."
)
@metadata_options
@click.option(
    "--lease", type=LEASE, metavar="HEX", help="Attach to this lease ID (hex); 0 means no lease."
)
@flag("--no-lease", "Detach from its lease. Default: keep the current lease.")
@click.option(
    "--ttl",
    type=TTL,
    metavar="TIME",
    help="Attach to a new lease with this TTL. Nothing renews it.",
)
@flag("--if-absent", "Only if KEY does not exist.")
@click.option(
    "--if-mod-rev",
    type=REVISION,
    metavar="N",
    help="Only if KEY was last modified at revision N; 0: if it does not exist.",
)
@flag("--prev-kv", "Print the previous value of KEY.")
@target_option
@FORCE
@flag("--dry-run", "Print what would be stored, without storing it.")
@pass_app
def command(
    app: App,
    *,
    key: str,
    addr: str,
    metadata: JSON,
    lease: int | None,
    no_lease: bool,
    ttl: int | None,
    if_absent: bool,
    if_mod_rev: int | None,
    prev_kv: bool,
    target: str | None,
    force: bool,
    dry_run: bool,
) -> None:
    """Run ``etcdnaming add``."""
    printer = app.printer()
    update = Update.add(key, Endpoint(addr, metadata), lease=0 if no_lease else lease)
    check(update, target, force=force)
    revision = 0 if if_absent else if_mod_rev
    if dry_run:
        update = complete(update, app.local_address)
        if ttl is not None:
            stderr.say(f"would be attached to a new lease with TTL({ttl}s)")
        printer.plan([update], _conditions(update, revision))
        return
    with app.time_limit():
        update = complete(update, app.local_address)
        with _on_new_lease(app, update, ttl) as update:
            result = app.update([update], _conditions(update, revision), previous=prev_kv)
    printer.added(result, prev_kv)


def _conditions(update: Update, revision: int | None) -> Sequence[Condition]:
    return [] if revision is None else [Condition(update.key, revision)]


@contextmanager
def _on_new_lease(app: App, update: Update, ttl: int | None) -> Iterator[Update]:
    if ttl is None:
        yield update
        return
    lease = app.client().lease_grant(ttl)
    try:
        yield update._replace(lease=lease.id)
    except OutcomeUnknownError:
        # If the update was applied, revoking the lease would delete the endpoint, although the
        # previous value of the key is lost already.
        stderr.warn(f"lease {lease_id(lease.id)} with TTL({lease.ttl}s) remains until it expires")
        raise
    except EtcdnamingError:
        _revoke(app, lease.id)
        raise
    stderr.say(f"lease {lease_id(lease.id)} granted with TTL({lease.ttl}s)")


def _revoke(app: App, lease: int) -> None:
    try:
        app.client().lease_revoke(lease)
    except EtcdnamingError as exc:
        stderr.warn(f"lease {lease_id(lease)} remains until it expires: {exc}")
