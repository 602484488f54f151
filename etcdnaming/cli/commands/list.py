"""The command ``etcdnaming list``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import click

from ...errors import EtcdError
from ...model import Keys, Listing
from .. import stderr
from ..app import App, pass_app
from ..click_extension import Command
from ..failures import InputError, NotFoundError
from ..options import CONSISTENCY, REVISION, TARGET, TARGET_SLASH, flag
from ..output.order import ORDERS, sort
from ..output.printers import Printer
from ..output.spelling import counted, unreadable
from ..selector import SELECTOR, Selector
from .services import report_others

__all__ = ["command"]

EXCLUSIVE = (
    ("target", "services"),
    # These read no metadata; a limit bounds the keys that are read, so a selection would be wrong.
    *((name, "selector") for name in ("services", "keys_only", "count_only", "limit")),
    *((name, "sort_by") for name in ("services", "count_only")),
    *(
        (name, "watched")
        for name in (
            *("services", "keys_only", "addrs_only", "count_only", "no_lease", "limit", "rev"),
            *("sort_by", "strict", "fail_if_empty"),
        )
    ),
    ("services", "keys_only", "addrs_only", "count_only"),
    # These don't read values, so they can't check them.
    *((name, "strict") for name in ("services", "keys_only", "count_only")),
    # A limit bounds the keys that are read, so these results would be wrong without a warning.
    *((name, "limit") for name in ("services", "count_only", "no_lease")),
    ("services", "no_lease"),
)

HELP = """
List the endpoints of targets.

$ etcdnaming list foo/bar/svc
foo/bar/svc/e1  1.2.3.4:80  {"zone":"a"}
"""


@click.command(cls=Command, exclusive=EXCLUSIVE, help=HELP)
@click.argument("target", type=TARGET, nargs=-1, metavar="TARGET...")
@flag("--keys-only", "Print only the keys, without reading values.")
@flag("--addrs-only", "Print only the addresses.")
@flag("--count-only", "Print only the number of keys.")
@click.option(
    "--services",
    type=TARGET_SLASH,
    metavar="PREFIX/",
    help="List the services under PREFIX/, as the command services does.",
)
@SELECTOR
@click.option(
    "--sort",
    "sort_by",
    type=click.Choice([*ORDERS]),
    help="Order of the endpoints; numbers in keys and addresses are sorted by value.",
)
@flag("--watch", "Print every change from now on, as the command watch does.", "watched")
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
    target: Sequence[str],
    keys_only: bool,
    addrs_only: bool,
    count_only: bool,
    services: str | None,
    selector: Selector | None,
    sort_by: str | None,
    watched: bool,
    no_lease: bool,
    limit: int | None,
    rev: int | None,
    consistency: str,
    strict: bool,
    fail_if_empty: bool,
) -> int:
    """Run ``etcdnaming list``."""
    targets = target if services is None else (services,)
    if not targets:
        raise click.UsageError("Missing argument 'TARGET', or --services PREFIX/")
    if watched:
        return _watch(targets, selector)
    if keys_only and sort_by == "addr":
        raise click.UsageError("--keys-only and --sort addr can't be combined")
    printer = app.printer()
    # A table is for users, the other formats are in the order of etcd.
    order = sort_by or ("key" if app.format() == "table" else "")
    empty = list[str]()
    with app.time_limit():
        for where in targets:
            query = _Query(
                app, where, rev or 0, limit or 0, consistency == "s", no_lease, selector, order
            )
            if services is not None:
                found = app.services(services, revision=rev or 0, serializable=query.serializable)
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
                query.report_cut(listed)
                number = len(listed.keys)
            else:
                number = _list_endpoints(printer, query, addrs_only=addrs_only, strict=strict)
            if not number:
                empty.append(f"{where}/")
    if fail_if_empty and empty:
        raise NotFoundError(f"nothing found under {', '.join(empty)}")
    return 0


def _watch(targets: Sequence[str], selector: Selector | None) -> int:
    from .watch import command as watch  # only for this flag

    context = click.get_current_context()
    status: int = context.invoke(watch, target=targets, cmd=(), selector=selector)
    return status


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
        wants = printer.wants_remaining
        printer.listing(listing, query.app.remaining(listing.endpoints) if wants else {})
    query.report_cut(listing)
    return len(listing.endpoints)


class _Query(NamedTuple):
    """
    The requests for *target*; *limit* is the maximum number of keys (0: no limit).

    *revision* 0 is the current one. *no_lease* leaves out keys with a lease, and *selector* the
    endpoints that it does not match; neither can be combined with a limit. *order* is one of
    `ORDERS`; "" is that of the keys' bytes.
    """

    app: App
    target: str
    revision: int
    limit: int
    serializable: bool
    no_lease: bool
    selector: Selector | None
    order: str

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
        if self.no_lease:
            kept = [each for each in found.keys if not each.lease]
            found = found._replace(keys=kept, count=len(kept))
        return found._replace(keys=sort(found.keys, self.order)) if self.order else found

    def listing(self) -> Listing:
        """Return the endpoints of the target."""
        found = self.app.manager(self.target).list(
            revision=self.revision, limit=self.limit, serializable=self.serializable
        )
        kept, invalid, selector = found.endpoints, found.invalid, self.selector
        if self.no_lease:
            kept = [each for each in kept if not each.lease]
            invalid = [each for each in invalid if not each.lease]
        if selector:
            kept = [each for each in kept if selector.matches(each.endpoint)]
        if self.no_lease or selector:
            found = found._replace(endpoints=kept, invalid=invalid, count=len(kept) + len(invalid))
        return found._replace(endpoints=sort(kept, self.order)) if self.order else found

    def report_cut(self, found: Listing | Keys) -> None:
        """If the limit has left keys out, say so."""
        if found.more:
            of = counted(found.count, "key")
            stderr.say(f"--limit {self.limit}: read {self.limit} of {of} under {self.target}/")

    def report_key(self) -> None:
        """If the target, under which nothing was found, is itself a key, say so."""
        try:
            (found,) = self.app.get([self.target])[1]
        except EtcdError:
            return  # such as a role that may read only what is under the target
        if found is not None:
            stderr.say(f"{self.target} is a key: use etcdnaming get {self.target}")
