"""The command ``etcdnaming list``."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import NamedTuple

import click

from ...errors import EtcdError
from ...model import Keys, Listing
from .. import stderr
from ..app import App, pass_app
from ..click_extension.command import Command
from ..failures import InputError, NotFoundError
from ..options import CONSISTENCY, REVISION, TARGET, TARGET_SLASH, flag
from ..output.printers import Printer
from ..output.spelling import unreadable
from .services import report_others

__all__ = ["command"]

EXCLUSIVE = (
    ("target", "services"),
    ("services", "keys_only", "addrs_only", "count_only"),
    # These don't read values, so they can't check them.
    *((name, "strict") for name in ("services", "keys_only", "count_only")),
    # A limit bounds the keys that are read, so these results would be wrong without a warning.
    *((name, "limit") for name in ("services", "count_only", "no_lease")),
    ("services", "no_lease"),
)

MAX_TTL_REQUESTS = 100
"""Leases whose remaining time is requested; each needs a request of its own."""


HELP = """
List the endpoints of a target.

$ etcdnaming list foo/bar/svc
foo/bar/svc/e1  1.2.3.4:80  {"zone":"a"}
"""


@click.command(cls=Command, exclusive=EXCLUSIVE, help=HELP)
@click.argument("target", type=TARGET, required=False, metavar="TARGET")
@flag("--keys-only", "Print only the keys, without reading values.")
@flag("--addrs-only", "Print only the addresses.")
@flag("--count-only", "Print only the number of keys.")
@click.option(
    "--services",
    type=TARGET_SLASH,
    metavar="PREFIX/",
    help="List the services under PREFIX/, as the command services does.",
)
@flag("--no-lease", "Only permanent endpoints (no lease).")
@click.option("--limit", type=REVISION, metavar="N", help="Read at most N keys.")
@click.option("--rev", type=REVISION, metavar="N", help="List the endpoints as of revision N.")
@CONSISTENCY
@flag("--strict", "Fail if a value is not an endpoint.")
@flag("--fail-if-empty", "Fail if nothing is found.")
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
    query = _Query(app, where, rev or 0, limit or 0, consistency == "s", no_lease)
    with app.time_limit():
        if services is not None:
            found = app.services(services, revision=query.revision, serializable=query.serializable)
            printer.services(found)
            report_others(found)
            number = len(found.counts)
        elif count_only:
            counted = query.key_count()
            printer.count(counted)
            number = counted.count
        elif keys_only:
            listed = query.keys(leases=printer.wants_leases)
            printer.keys(listed)
            number = len(listed.keys)
        else:
            number = _list_endpoints(printer, query, addrs_only=addrs_only, strict=strict)
    if fail_if_empty and not number:
        raise NotFoundError(f"nothing found under {where}/")


def _list_endpoints(printer: Printer, query: _Query, *, addrs_only: bool, strict: bool) -> int:
    listing = query.listing()
    reasons = [*map(unreadable, listing.invalid)]
    if reasons and strict:
        raise InputError("; ".join(reasons))
    for reason in reasons:
        stderr.warn(reason)
    if not listing.count:
        query.report_key()
    if addrs_only:
        printer.addrs(listing)
    else:
        printer.listing(listing, query.remaining(listing) if printer.wants_remaining else {})
    return len(listing.endpoints)


class _Query(NamedTuple):
    """
    The requests for *target*; *limit* is the maximum number of keys (0: no limit).

    *revision* 0 is the current one. *no_lease* leaves out keys with a lease; it can't be combined
    with a limit.
    """

    app: App
    target: str
    revision: int
    limit: int
    serializable: bool
    no_lease: bool

    def key_count(self) -> Keys:
        """Return the number of keys under the target."""
        if self.no_lease:
            return self.keys(leases=True)
        manager = self.app.manager(self.target)
        return manager.count(revision=self.revision, serializable=self.serializable)

    def keys(self, *, leases: bool) -> Keys:
        """Return the keys under the target, with their leases if *leases* is set."""
        found = self.app.manager(self.target).list_keys(
            revision=self.revision,
            limit=self.limit,
            serializable=self.serializable,
            leases=leases or self.no_lease,
        )
        if not self.no_lease:
            return found
        kept = [each for each in found.keys if not each.lease]
        return found._replace(keys=kept, count=len(kept))

    def listing(self) -> Listing:
        """Return the endpoints of the target."""
        found = self.app.manager(self.target).list(
            revision=self.revision, limit=self.limit, serializable=self.serializable
        )
        if not self.no_lease:
            return found
        kept = [each for each in found.endpoints if not each.lease]
        invalid = [each for each in found.invalid if not each.lease]
        return found._replace(endpoints=kept, invalid=invalid, count=len(kept) + len(invalid))

    def report_key(self) -> None:
        """If the target, under which nothing was found, is itself a key, say so."""
        try:
            (found,) = self.app.get([self.target])[1]
        except EtcdError:
            return  # such as a role that may read only what is under the target
        if found is not None:
            stderr.say(f"{self.target} is a key: use etcdnaming get {self.target}")

    def remaining(self, listing: Listing) -> Mapping[int, int]:
        """Return the remaining seconds of the first leases in *listing*, by lease ID."""
        client = self.app.client()
        leases = dict.fromkeys(each.lease for each in listing.endpoints if each.lease)
        remaining: dict[int, int] = {}
        try:
            for lease in islice(leases, MAX_TTL_REQUESTS):
                remaining[lease] = client.lease_time_to_live(lease)
        except EtcdError:
            pass  # the endpoints are the result; an unknown time is shown as "-"
        return remaining
