"""The command ``etcdnaming check``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import click

from ...addresses import Address, parse_address
from ...errors import InvalidEndpointError, InvalidSettingError
from ...model import StoredEndpoint
from .. import stderr
from ..app import App, pass_app
from ..click_extension import Command
from ..failures import NotFoundError, NotServingError
from ..options import TARGET, TEXT, TIMEOUT, flag
from ..output.printers import CheckedEndpoints, EndpointHealth
from ..output.progress import progress
from ..output.spelling import counted, unreadable
from ..parsing import FILE

if TYPE_CHECKING:
    from ...etcd.security import TLSFiles
    from ...probing import Health

__all__ = ["command"]

Probe: TypeAlias = Callable[[str, Address], "Health"]
"""Checks an endpoint, whose address it gets as it is stored and parsed."""

TLS_OPTIONS = ("tls", "tls_cacert", "tls_cert", "tls_key", "tls_server_name")

EXCLUSIVE = tuple(("tcp", name) for name in (*TLS_OPTIONS, "service"))


HELP = """
Check the health of all endpoints of a target.

$ etcdnaming check foo/bar/svc
foo/bar/svc/e1  127.0.0.1:50051  SERVING  1.9ms

Each endpoint is dialled from this machine and asked by grpc.health.v1.Health, many at a time.
NOT_SERVING is any other answer, UNREACHABLE an endpoint without an answer or with an address that
gRPC clients can't dial. The exit code is 0 if all endpoints serve, 1 if one does not, and 7 if the
target has no endpoints.
"""


@click.command(cls=Command, exclusive=EXCLUSIVE, help=HELP)
@click.argument("target", type=TARGET, metavar="TARGET")
@flag("--tcp", "Only connect to the port.")
@click.option(
    "--service",
    type=TEXT,
    metavar="NAME",
    help="Ask for the health of this gRPC service. Default: the server as a whole.",
)
@click.option(
    "--timeout",
    type=TIMEOUT,
    default="2s",
    metavar="TIME",
    help="Time for each endpoint to answer (default 2s).",
)
@flag("--tls", "Use TLS to the endpoints. Default: plain text.")
@click.option(
    "--tls-cacert",
    type=FILE,
    metavar="FILE",
    help="CA of the endpoints' certificates (default: the system's CAs). Enables TLS.",
)
@click.option(
    "--tls-cert", type=FILE, metavar="FILE", help="Client certificate (PEM). Enables TLS."
)
@click.option("--tls-key", type=FILE, metavar="FILE", help="Private key of --tls-cert (PEM).")
@click.option(
    "--tls-server-name",
    type=TEXT,
    metavar="NAME",
    help="Name in the endpoints' certificates. Default: the host of each address. Enables TLS.",
)
@pass_app
def command(
    app: App,
    *,
    target: str,
    tcp: bool,
    service: str | None,
    timeout: float,
    tls: bool,
    tls_cacert: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    tls_server_name: str | None,
) -> None:
    """Run ``etcdnaming check``."""
    if bool(tls_cert) != bool(tls_key):
        raise click.UsageError("--tls-cert and --tls-key go together: one of them is missing")
    printer = app.printer()
    manager = app.manager(target)
    if tcp:
        probe = _tcp_probe(timeout)
    else:
        with_tls = tls or tls_cacert or tls_cert or tls_server_name
        files = _tls_files(tls_cacert, tls_cert, tls_key, timeout) if with_tls else None
        probe = _grpc_probe(service or "", timeout, files, tls_server_name or "")
    with app.time_limit():
        listing = manager.list()
    for reason in map(unreadable, listing.invalid):
        stderr.warn(reason)
    with progress(len(listing.endpoints)) as report:
        found = _check(listing.endpoints, probe, report)
    checked = CheckedEndpoints(listing.header, target, found, listing.invalid)
    printer.checked(checked)
    if not found:
        raise NotFoundError(f"no endpoints under {target}/")
    if checked.serving < len(found):
        missing = len(found) - checked.serving
        raise NotServingError(f"not serving: {missing} of {counted(len(found), 'endpoint')}")


def _tls_files(cacert: str | None, cert: str | None, key: str | None, timeout: float) -> TLSFiles:
    from ...etcd.security import Security  # imports gRPC

    try:
        security = Security(
            cacert=cacert, cert=cert, key=key, insecure_transport=False, timeout=timeout
        )
    except InvalidSettingError as exc:
        raise InvalidSettingError(f"--tls-{exc.setting}: {exc}") from exc
    return security.files()


def _tcp_probe(timeout: float) -> Probe:
    from ...probing import check_connection  # imports gRPC

    return lambda _, address: check_connection(address, timeout)


def _grpc_probe(service: str, timeout: float, files: TLSFiles | None, server_name: str) -> Probe:
    from ...probing import check_grpc_health  # imports gRPC

    credentials = files.credentials() if files else None
    return lambda addr, _: check_grpc_health(
        addr, service, timeout, credentials=credentials, server_name=server_name
    )


def _check(
    endpoints: Sequence[StoredEndpoint], probe: Probe, report: Callable[[int], None]
) -> Sequence[EndpointHealth]:
    """Return the health of *endpoints*, in their order; *report* is called with the number done."""
    from ...probing import Health, check_many  # imports gRPC

    def check(addr: str) -> Health:
        try:
            address = parse_address(addr)
        except InvalidEndpointError as exc:
            return Health("UNREACHABLE", str(exc))
        return probe(addr, address)

    results: dict[int, Health] = {}
    for number, health in check_many([partial(check, each.endpoint.addr) for each in endpoints]):
        results[number] = health
        report(len(results))
    return [
        EndpointHealth(stored, status, None if status == "UNREACHABLE" else seconds, reason)
        for number, stored in enumerate(endpoints)
        for status, reason, seconds in [results[number]]
    ]
