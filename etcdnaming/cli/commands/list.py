"""The command ``etcdnaming list``."""

from __future__ import annotations

import click

from ...model import Listing
from .. import stderr
from ..app import App, pass_app
from ..failures import InputError, NotFoundError
from ..following.notes import unreadable
from ..grammar.options import REVISION, TARGET, TARGET_SLASH, flag
from ..grammar.tree import Command
from ..output.printers import Printer
from ..query import Query

__all__ = ["command"]

EXCLUSIVE = (
    ("target", "services"),
    ("services", "keys_only", "addrs_only", "count_only"),
    # Nothing can be said about values that are not read.
    *((name, "strict") for name in ("services", "keys_only", "count_only")),
    # A limit says how many keys are read, so nobody could tell what was left out.
    *((name, "limit") for name in ("services", "count_only", "no_lease")),
    ("services", "no_lease"),
)


HELP = """
List the endpoints of a target.

$ etcdnaming list foo/bar/svc
foo/bar/svc/e1  1.2.3.4:80  {"zone":"a"}
"""


@click.command(cls=Command, exclusive=EXCLUSIVE, help=HELP)
@click.argument("target", type=TARGET, required=False, metavar="TARGET")
@flag("--keys-only", "Only the keys; values are not read.")
@flag("--addrs-only", "Only the addresses.")
@flag("--count-only", "Only the number of keys.")
@click.option(
    "--services",
    type=TARGET_SLASH,
    metavar="PREFIX/",
    help="Instead, the targets under PREFIX/ and the number of keys of each.",
)
@flag("--no-lease", "Only what no lease will ever remove.")
@click.option("--limit", type=REVISION, metavar="N", help="Read N keys at most.")
@click.option("--rev", type=REVISION, metavar="N", help="As it was at revision N.")
@click.option(
    "--consistency",
    type=click.Choice(["l", "s"]),
    default="l",
    help="l: linearizable, the default. s: serializable, what one member knows.",
)
@flag("--strict", "Fail if a value can't be read.")
@flag("--fail-if-empty", "Fail if there is nothing to list.")
@pass_app
def command(
    app: App,
    *,
    target: str | None,
    keys_only: bool,
    addrs_only: bool,
    count_only: bool,
    services: str | None,
    no_lease: bool,
    limit: int | None,
    rev: int | None,
    consistency: str,
    strict: bool,
    fail_if_empty: bool,
) -> None:
    """Run ``etcdnaming list``."""
    where = target if services is None else services
    if where is None:
        raise click.UsageError("Missing argument 'TARGET', or --services PREFIX/")
    printer = app.printer()
    query = Query(
        app,
        revision=rev or 0,
        limit=limit or 0,
        serializable=consistency == "s",
        no_lease=no_lease,
    )
    with app.time_limit():
        if services is not None:
            number = _services(printer, query, where)
        elif count_only:
            number = _count(printer, query, where)
        elif keys_only:
            number = _keys(printer, query, where)
        else:
            number = _endpoints(printer, query, where, addrs_only=addrs_only, strict=strict)
    if fail_if_empty and not number:
        raise NotFoundError(f"nothing under {where}/")


def _services(printer: Printer, query: Query, prefix: str) -> int:
    found = query.services(prefix)
    printer.services(found)
    return len(found.counts)


def _count(printer: Printer, query: Query, target: str) -> int:
    found = query.count(target)
    printer.count(found)
    return found.count


def _keys(printer: Printer, query: Query, target: str) -> int:
    found = query.keys(target, leases=printer.wants_leases)
    printer.keys(found)
    return len(found.keys)


def _endpoints(
    printer: Printer, query: Query, target: str, *, addrs_only: bool, strict: bool
) -> int:
    listing = query.listing(target)
    _tell_invalid(listing, strict=strict)
    if addrs_only:
        printer.addrs(listing)
    else:
        remaining = query.remaining(listing) if printer.wants_remaining else {}
        printer.listing(listing, remaining)
    return len(listing.endpoints)


def _tell_invalid(listing: Listing, *, strict: bool) -> None:
    reasons = [*map(unreadable, listing.invalid)]
    if reasons and strict:
        raise InputError("; ".join(reasons))
    for reason in reasons:
        stderr.warn(reason)
