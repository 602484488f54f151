"""The command ``etcdnaming export``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import click

from ...errors import CompactedError
from ...model import InvalidValue, Listing
from .. import stderr
from ..app import App, pass_app
from ..click_extension import Command
from ..failures import InputError
from ..options import REVISION, TARGET, flag
from ..output.spelling import unreadable
from ..output.streams import write_whole

__all__ = ["command"]

ATTEMPTS = 4
"""How often the endpoints are read, if compaction overtakes it."""


HELP = """
Print the endpoints of a target as an update file.

$ etcdnaming export foo/bar/svc
add foo/bar/svc/e1 1.2.3.4:80 {"zone":"a"}

apply, diff and txn-update read it. Nothing is printed unless all endpoints were read. Leases are
not exported, nor values that are not endpoints; a warning names these. To copy the endpoints of
target T from etcd A to B:

etcdnaming --endpoints A export T | etcdnaming --endpoints B apply T -f -
"""


@click.command(cls=Command, help=HELP)
@click.argument("target", type=TARGET, metavar="TARGET")
@click.option("--rev", type=REVISION, metavar="N", help="Export the endpoints as of revision N.")
@flag("--strict", "Fail if a value is not an endpoint.")
@pass_app
def command(app: App, *, target: str, rev: int | None, strict: bool) -> None:
    """Run ``etcdnaming export``."""
    printer = app.printer()
    with app.time_limit():
        for attempt in range(ATTEMPTS):
            invalid: list[InvalidValue] = []
            pages = app.manager(target).pages(revision=rev or 0)
            try:
                found = _collected(pages, invalid, strict=strict)
                if app.format() != "json":  # keys in JSON are read as they are
                    found = _checked(found)
                write_whole(printer.export_lines(found))
                break
            except CompactedError:
                if rev or attempt == ATTEMPTS - 1:
                    raise
    for each in invalid:
        stderr.warn(f"{unreadable(each)}: not exported")


def _collected(
    pages: Iterable[Listing], invalid: list[InvalidValue], *, strict: bool
) -> Iterator[Listing]:
    """Yield *pages*, and append to *invalid* what can't be read; *strict*: fail at the end."""
    for page in pages:
        invalid += page.invalid
        yield page
    if strict and invalid:
        raise InputError("; ".join(map(unreadable, invalid)))


def _checked(pages: Iterable[Listing]) -> Iterator[Listing]:
    """Yield *pages*, and warn of keys that an update file does not preserve."""
    for page in pages:
        for each in page.endpoints:
            if each.key.endswith("/"):
                stderr.warn(f'{each.key} ends in "/": a reader completes it with the address')
        yield page
