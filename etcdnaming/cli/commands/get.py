"""The command ``etcdnaming get``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import click

from ...addresses import parse_address
from ...errors import EtcdError, InvalidEndpointError
from ...model import InvalidValue, LeaseTTL, StoredEndpoint
from .. import stderr
from ..app import App, pass_app
from ..click_extension import Command
from ..failures import NotFoundError
from ..options import KEY, target_option
from ..output.printers import EndpointDetails, GotEndpoints
from ..output.spelling import lease_id, unreadable
from ..updates import check_place

__all__ = ["command"]


HELP = """
Print endpoints in full.

$ etcdnaming get foo/bar/svc/e1
KEY              foo/bar/svc/e1
ADDR             1.2.3.4:80
METADATA         {"zone":"a"}
LEASE            -
TTL              -
...

Lease and revisions are etcd's. DIALABLE is whether gRPC clients accept the address: nothing is
dialled. If a KEY does not exist, the others are printed, and the exit code is 7.
"""


@click.command(cls=Command, help=HELP)
@click.argument("key", type=KEY, nargs=-1, required=True, metavar="KEY...")
@target_option
@pass_app
def command(app: App, *, key: Sequence[str], target: str | None) -> None:
    """Run ``etcdnaming get``."""
    keys = list(dict.fromkeys(key))
    for each in keys:
        check_place(each, target)
    printer = app.printer()
    with app.time_limit():
        header, found = app.get(keys)
        endpoints = [each for each in found if isinstance(each, StoredEndpoint)]
        ttls = dict(_ttls(app, dict.fromkeys(each.lease for each in endpoints if each.lease)))
        missing = [each for each, stored in zip(keys, found, strict=True) if stored is None]
        app.report_targets(missing, "list {}")
    invalid = [each for each in found if isinstance(each, InvalidValue)]
    for reason in map(unreadable, invalid):
        stderr.warn(reason)
    details = [
        EndpointDetails(each, ttls.get(each.lease), _fault(each.endpoint.addr))
        for each in endpoints
    ]
    printer.got(GotEndpoints(header, details, invalid, missing))
    if missing:
        raise NotFoundError(f"not found: {', '.join(missing)}")


def _ttls(app: App, leases: Iterable[int]) -> Iterator[tuple[int, LeaseTTL]]:
    for lease in leases:
        try:
            yield lease, app.client().lease_ttl(lease)
        except EtcdError as exc:  # the endpoints are the result
            stderr.warn(f"the TTL of lease {lease_id(lease)} is unknown: {exc}")


def _fault(addr: str) -> str:
    """Return why gRPC clients can't dial *addr*; empty if they can."""
    try:
        parse_address(addr)
    except InvalidEndpointError as exc:
        return str(exc)
    return ""
