"""The command ``etcdnaming xds-bridge``."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Literal

import click

from ...listening import ListenAddress, parse_listen_address
from ...model import JSON
from .. import stderr
from ..app import App, pass_app
from ..click_extension import Command
from ..options import DURATION, POSITIVE, TARGET, TEXT, flag
from ..output.spelling import quote_go, safe_json
from ..parsing import FILE, Parsed, parse_number
from ..signals import die_by

if TYPE_CHECKING:
    from ...etcd import Client
    from ...xds.bridge.bridge import BridgeSettings
    from ...xds.notice import Notice, Notify

__all__ = ["command"]

ADDRESS = Parsed("address", parse_listen_address)

DEFAULT = "127.0.0.1:18000"

MAX_RETRIES = 100
"""gRPC makes five attempts at most, Envoy as many as it is asked for."""


def _parse_retries(text: str) -> int:
    number = parse_number(text)
    if number > MAX_RETRIES:
        raise ValueError(f"the maximum is {MAX_RETRIES}")
    return number


HELP = """
Serve endpoints to gRPC clients in any language, and to Envoy, as an xDS server.

$ etcdnaming xds-bridge foo
serving 12 services with 40 endpoints below foo, as of ...

Clients start with the file that xds-bootstrap prints, and dial xds:///foo/bar/svc. They see the
targets at and below each PREFIX, and every change as it happens. While etcd is away they keep
the endpoints they have. It listens once etcd was read, and not before. Messages are on stderr, one
line each; with -w json or yaml one object each, with -w fields one block each.
"""


@click.command(cls=Command, help=HELP)
@click.argument("prefixes", type=TARGET, nargs=-1, required=True, metavar="PREFIX...")
@click.option(
    "--listen",
    type=ADDRESS,
    multiple=True,
    metavar="ADDR",
    help="Listen on HOST:PORT, [IPV6]:PORT, :PORT (all addresses) or unix:PATH "
    f"(default {DEFAULT}); may be repeated.",
)
@click.option("--tls-cert", type=FILE, metavar="FILE", help="The server's certificate (PEM).")
@click.option("--tls-key", type=FILE, metavar="FILE", help="The key of the certificate (PEM).")
@click.option(
    "--tls-client-ca",
    type=FILE,
    metavar="FILE",
    help="Accept only clients with a certificate of this CA (PEM).",
)
@flag("--plaintext", "Allow addresses that other machines can reach without TLS.")
@click.option(
    "--zones",
    type=click.Choice(["off", "spread", "prefer"]),
    default="off",
    help="Ignore zones (off, the default), make each a locality (spread), or send calls to the "
    "client's own zone first (prefer).",
)
@click.option(
    "--weight-key",
    type=TEXT,
    default="weight",
    metavar="KEY",
    help="Metadata member with the weight (default weight).",
)
@click.option(
    "--zone-key",
    type=TEXT,
    default="zone",
    metavar="KEY",
    help="Metadata member with the zone (default zone).",
)
@click.option(
    "--drain-key",
    type=TEXT,
    default="draining",
    metavar="KEY",
    help="Metadata member that is true while the endpoint drains (default draining).",
)
@click.option(
    "--retry",
    type=Parsed("number", _parse_retries),
    default="0",
    metavar="N",
    help="Let clients retry a call that fails as UNAVAILABLE up to N times (default 0).",
)
@click.option(
    "--resync-hold",
    type=DURATION,
    default="30s",
    metavar="TIME",
    help="Keep endpoints that a re-read of etcd does not find for this time (default 30s).",
)
@click.option(
    "--settle",
    type=DURATION,
    default="10ms",
    metavar="TIME",
    help="Minimum time between two changes of a service (default 10ms).",
)
@click.option(
    "--max-streams",
    type=POSITIVE,
    default="10000",
    metavar="N",
    help="Maximum number of open streams (default 10000).",
)
@click.option(
    "--max-names",
    type=POSITIVE,
    default="1000",
    metavar="N",
    help="Maximum number of names of a type on one stream (default 1000).",
)
@click.option(
    "--max-age",
    type=DURATION,
    default="30m",
    metavar="TIME",
    help="Ask clients to reconnect after this time (default 30m); 0 is never.",
)
@click.option(
    "--drain",
    type=DURATION,
    default="5s",
    metavar="TIME",
    help="Time for clients to leave after SIGTERM (default 5s).",
)
@click.option(
    "--admin",
    type=ADDRESS,
    metavar="ADDR",
    help="Serve /metrics, /healthz, /readyz, /streams and /names by HTTP on HOST:PORT, "
    "[IPV6]:PORT, :PORT (all addresses) or unix:PATH.",
)
@flag("--admin-public", "Allow an --admin address that other machines can reach.")
@click.option(
    "--log",
    type=click.Choice(["nacks", "streams", "all"]),
    default="nacks",
    help="Log refused responses (nacks, the default), also streams, or also every response (all).",
)
@pass_app
def command(
    app: App,
    *,
    prefixes: Sequence[str],
    listen: Sequence[ListenAddress],
    tls_cert: str | None,
    tls_key: str | None,
    tls_client_ca: str | None,
    plaintext: bool,
    zones: Literal["off", "spread", "prefer"],
    weight_key: str,
    zone_key: str,
    drain_key: str,
    retry: int,
    resync_hold: float,
    settle: float,
    max_streams: int,
    max_names: int,
    max_age: float,
    drain: float,
    admin: ListenAddress | None,
    admin_public: bool,
    log: Literal["nacks", "streams", "all"],
) -> None:
    """See `HELP`."""
    listen = listen or [parse_listen_address(DEFAULT)]
    _check_tls(tls_cert, tls_key, tls_client_ca, plaintext=plaintext)
    if not (tls_cert or plaintext):
        _refuse_public(listen, "--listen", "use --tls-cert and --tls-key, or --plaintext")
    if admin and not admin_public:
        _refuse_public([admin], "--admin", "use --admin-public")
    output_format = app.format_of(None)
    client = app.client()

    # Behind the door to gRPC.
    from ...xds.attributes import AttributeKeys
    from ...xds.bridge.bridge import BridgeSettings
    from ...xds.bridge.server import Limits
    from ...xds.bridge.tls import ServerFiles

    files = ServerFiles(tls_cert, tls_key, tls_client_ca) if tls_cert and tls_key else None
    settings = BridgeSettings(
        listen=listen,
        files=files,
        admin=admin,
        attribute_keys=AttributeKeys(weight_key, zone_key, drain_key),
        zones=zones,
        retries=retry,
        resync_hold=resync_hold,
        settle=settle,
        drain=drain,
        limits=Limits(max_streams, max_names, max_age),
        log=log,
    )
    _run(client, prefixes, settings, output_format)


def _check_tls(
    cert: str | None, key: str | None, client_ca: str | None, *, plaintext: bool
) -> None:
    if bool(cert) != bool(key):
        raise click.UsageError("--tls-cert and --tls-key go together: one of them is missing")
    if client_ca and not cert:
        raise click.UsageError("--tls-client-ca needs --tls-cert and --tls-key")
    if plaintext and cert:
        raise click.UsageError("--plaintext and --tls-cert can't be combined")


def _refuse_public(addresses: Sequence[ListenAddress], option: str, hint: str) -> None:
    for address in addresses:
        if not address.private:
            raise click.UsageError(
                f"{option} {address.text}: other machines could read the endpoints there: {hint}"
            )


def _run(
    client: Client, prefixes: Sequence[str], settings: BridgeSettings, output_format: str
) -> None:
    """Run until a signal, and end by that."""
    import asyncio
    import gc

    from ...xds.bridge.bridge import Bridge  # behind the door to gRPC

    # A thousand clients that connect at once are no garbage. Each makes many objects that stay,
    # and Python would look at them after every 700.
    gc.set_threshold(10_000)
    notify = _reporter(output_format)
    came: list[int] = []

    async def serve() -> None:
        stop, hurry = asyncio.Event(), asyncio.Event()

        def end(number: int) -> None:
            (hurry if came else stop).set()
            came.append(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) is not signal.SIG_IGN:
                asyncio.get_running_loop().add_signal_handler(number, end, number)
        await Bridge(client, prefixes, settings, notify).run(stop, hurry)

    asyncio.run(serve())
    die_by(came[0])


def _reporter(output_format: str) -> Notify:
    """Return what writes notices to stderr; the package's own log goes there, too."""
    import logging
    import threading

    from ...xds.notice import Notice

    spelled, lock = _notice_speller(output_format), threading.Lock()

    def report(notice: Notice) -> None:
        with lock:  # a notice of several lines stays in one piece
            for line in spelled(notice):
                _say(line)

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            report(Notice("warning", record.getMessage()))

    logging.getLogger("etcdnaming").addHandler(Handler(logging.WARNING))
    return report


def _say(text: str) -> None:
    try:
        stderr.say(text)
    except BrokenPipeError:  # a server goes on when its log is closed
        return


def _notice_speller(name: str) -> Callable[[Notice], Sequence[str]]:
    """
    Return what spells a notice in the output format *name*, as lines.

    A log has no columns, so ``table`` is the text, as ``simple`` is.
    """
    if name == "json":
        return lambda notice: [_dumps(_members(notice))]
    if name == "fields":
        return _fields
    if name == "yaml":
        from ..output.yaml import YAMLDocuments

        documents = YAMLDocuments()
        return lambda notice: "".join(documents.convert([_dumps(_members(notice))])).splitlines()
    return lambda notice: [notice.text]


def _members(notice: Notice) -> dict[str, JSON]:
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return {"time": now, "event": notice.event, "text": notice.text, **notice.fields}


def _fields(notice: Notice) -> Sequence[str]:
    """Return a block of lines, which ends in an empty one."""
    lines = []
    for name, value in _members(notice).items():
        spelled = quote_go(value) if isinstance(value, str) else _dumps(value)
        lines.append(f"{quote_go(name.title().replace('_', ''))} : {spelled}")
    return [*lines, ""]


def _dumps(value: JSON) -> str:
    return safe_json(json.dumps(value, default=list))
