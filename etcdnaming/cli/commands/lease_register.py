"""The command ``etcdnaming lease-register``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from ...model import JSON, Endpoint, Update
from ...registration.rules import OnConflict, OnDelete
from ..app import App, pass_app
from ..child import check_command
from ..click_extension import WrappingCommand
from ..entrypoint.options import (
    Check,
    CheckTiming,
    OnLost,
    Options,
    Start,
    parse_check,
    read_endpoints,
)
from ..options import (
    DURATION,
    FORCE,
    KEY,
    METADATA_OPTIONS,
    POSITIVE,
    TEXT,
    TTL,
    metadata_options,
    target_option,
)
from ..output import printer
from ..output.streams import check_open
from ..parsing import FILE, Parsed
from ..updates import Notifier, complete
from ..updates import check as check_update

if TYPE_CHECKING:
    from ...listening import ListenAddress
    from ...monitoring.pages import PageThread
    from ...registration.registration import Registration
    from ...registration.status import RegistrationEvent
    from ..entrypoint.reporter import Reporter, Status

__all__ = ["command"]


def _listen_address(text: str) -> ListenAddress:
    from ...listening import parse_listen_address  # only where it is used

    return parse_listen_address(text)


EXCLUSIVE = (
    METADATA_OPTIONS,
    ("file", "key"),
    ("file", "addr"),
    *(("file", name) for name in METADATA_OPTIONS),
)


HELP = """
Keep endpoints registered while this process runs.

$ etcdnaming lease-register foo/bar/svc/e1 --addr 10.0.0.1:80 -- server
lease 7ffaa20539177e6e granted with TTL(10s)
registered foo/bar/svc/e1 10.0.0.1:80
OK

Each new state of an endpoint is one line on stderr, with key and address: registered, unhealthy,
healthy, draining, deregistered, lost, regained.

Works as the entrypoint of a container: CMD inherits stdin, stdout and stderr, signals are
forwarded to CMD, and its exit code is returned. SIGTERM and SIGINT first delete the endpoints and
revoke the lease; CMD gets the signal after --drain. A second signal skips the drain, a third
kills CMD. Ctrl-C at a terminal reaches CMD at once; with --drain it acts as SIGTERM does, until
CMD reads from the terminal. CMD keeps running if etcd fails; the endpoints are registered again
when etcd is back. With CMD, messages go to stderr. -w json prints one object per state change.
"""


@click.command(cls=WrappingCommand, exclusive=EXCLUSIVE, help=HELP)
@click.argument("key", type=KEY, required=False)
@click.argument("cmd", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD ARGS...]")
@click.option("--addr", type=TEXT, metavar="HOST:PORT", help="Address for clients.")
@metadata_options
@click.option(
    "--file",
    "-f",
    type=FILE,
    metavar="FILE",
    help='Register the endpoints in an update file (only "add" lines); - is stdin.',
)
@target_option
@FORCE
@click.option(
    "--ttl",
    type=TTL,
    default="10",
    metavar="TIME",
    help="Lease TTL: how long endpoints stay if this process dies (default 10s).",
)
@click.option(
    "--start",
    type=click.Choice(get_args(Start)),
    help="Start CMD now (default) or once all endpoints are registered.",
)
@click.option(
    "--on-conflict",
    type=click.Choice(get_args(OnConflict)),
    default="takeover",
    help="If another lease holds KEY: takeover (default); wait until it is released; or fail with "
    "exit code 8 (CMD then starts once registered).",
)
@click.option(
    "--on-delete",
    type=click.Choice(get_args(OnDelete)),
    default="restore",
    help="If another client deletes KEY: restore it (default) or leave it deleted.",
)
@click.option(
    "--on-lost",
    type=click.Choice(get_args(OnLost)),
    default="retry",
    help="If the lease is lost: retry until it works (default) or exit with code 5.",
)
@click.option(
    "--check",
    type=Parsed("check", parse_check),
    metavar="CHECK",
    help="Register only while this check passes: tcp://HOST:PORT, grpc://HOST:PORT[/SERVICE] or "
    "exec:CMD.",
)
@click.option(
    "--check-interval", type=DURATION, metavar="TIME", help="Time between checks (default 5s)."
)
@click.option(
    "--check-failures",
    type=POSITIVE,
    metavar="N",
    help="Deregister after N failures in a row (default 3).",
)
@click.option(
    "--check-timeout",
    type=DURATION,
    metavar="TIME",
    help="Exit with code 124 if the check never passes in this time (default 60s; 0: no limit).",
)
@click.option(
    "--drain",
    type=DURATION,
    metavar="TIME",
    help="Wait this long after deregistering before signalling CMD (default 0s).",
)
@click.option(
    "--stop-timeout",
    type=DURATION,
    metavar="TIME",
    help="Send SIGKILL if CMD still runs after this time (default 5s).",
)
@click.option(
    "--ready-file",
    type=FILE,
    metavar="FILE",
    help="FILE exists only while all endpoints are registered and the check passes.",
)
@click.option(
    "--metrics",
    type=Parsed("address", _listen_address),
    metavar="ADDR",
    help="Serve /metrics for Prometheus and /healthz by HTTP on HOST:PORT, [IPV6]:PORT, :PORT (all "
    "addresses) or unix:PATH.",
)
@pass_app
def command(
    app: App,
    *,
    key: str | None,
    cmd: Sequence[str],
    addr: str | None,
    metadata: JSON,
    file: str | None,
    target: str | None,
    force: bool,
    ttl: int,
    start: Start | None,
    on_conflict: OnConflict,
    on_delete: OnDelete,
    on_lost: OnLost,
    check: Check | None,
    check_interval: float | None,
    check_failures: int | None,
    check_timeout: float | None,
    drain: float | None,
    stop_timeout: float | None,
    ready_file: str | None,
    metrics: ListenAddress | None,
) -> int:
    """Run ``etcdnaming lease-register``."""
    _require(cmd, "a command: -- CMD", start=start, drain=drain, stop_timeout=stop_timeout)
    times = {"check_interval": check_interval, "check_failures": check_failures}
    _require(check, "--check", **times, check_timeout=check_timeout)
    timing = CheckTiming(
        _default(check_interval, 5.0), check_failures or 3, _default(check_timeout, 60.0)
    )
    options = Options(
        cmd=cmd,
        start=_start(start, on_conflict, check),
        drain=drain or 0.0,
        stop_timeout=_default(stop_timeout, 5.0),
        on_lost=on_lost,
        check=check,
        timing=timing,
        ready_file=None if ready_file is None else Path(ready_file),
    )
    _check_options(options)
    check_add = partial(check_update, target=target, force=force)
    updates = _updates(key, addr, metadata, file, check_add)
    settings = {"ttl": ttl, "on_conflict": on_conflict, "on_delete": on_delete}
    return _run(app, options, updates, settings, metrics)


def _require(required: object, name: str, **options: object) -> None:
    for option, value in options.items():
        if not required and value is not None:
            raise click.UsageError(f"--{option.replace('_', '-')} needs {name}")


def _default(value: float | None, default: float) -> float:
    return default if value is None else value


def _start(start: Start | None, on_conflict: OnConflict, check: Check | None) -> Start:
    if start is not None:
        return start
    # A conflict does not end a command that runs already: so it starts after the registration.
    return "registered" if on_conflict == "fail" and check is None else "now"


def _check_options(options: Options) -> None:
    if options.check and options.timing.interval <= 0:
        raise click.UsageError("--check-interval must be more than 0")
    if options.cmd:
        check_command(options.cmd[0])
    if options.cmd and options.check and options.start == "registered":
        raise click.UsageError("--start registered and --check together would deadlock")


def _updates(
    key: str | None,
    addr: str | None,
    metadata: JSON,
    file: str | None,
    check: Callable[[Update], None],
) -> Sequence[Update]:
    if file is not None:
        return read_endpoints(file, check)
    if key is None:
        raise click.UsageError("nothing to register: give a KEY, or a file of endpoints (-f)")
    if addr is None:
        raise click.UsageError("--addr is missing: give the address for clients")
    update = Update.add(key, Endpoint(addr, metadata))
    check(update)
    return [update]


def _run(
    app: App,
    options: Options,
    updates: Sequence[Update],
    settings: dict[str, Any],
    metrics: ListenAddress | None,
) -> int:
    stream = sys.stderr if options.cmd else sys.stdout
    if not options.cmd:
        check_open()
    name = app.format_of(stream)
    app.log_in()
    serve, url = _listen(metrics) if metrics else (None, "")
    from ..entrypoint.loop import Loop

    loop = Loop()  # from here on the loop receives all signals
    from ..entrypoint.entrypoint import Entrypoint
    from ..entrypoint.reporter import EndpointStates, Reporter

    app.client(quiet=True)  # reports wrong settings before the command starts
    from ...etcd.grpc_tuning import let_grpc_sleep  # the lazy import of gRPC

    let_grpc_sleep()
    states = EndpointStates({each.key: each.endpoint.addr for each in updates if each.endpoint})
    reporter = Reporter(
        printer(name, stream),
        stream,
        states,
        # Nothing between the lines of a format on stderr, or beside a table with the same facts.
        verbose=name == "simple" or not (options.cmd or name == "table"),
        with_states=name == "simple",
    )
    if url:
        reporter.report_metrics(url)
    create = partial(_create_registration, app, updates, settings, reporter)
    return Entrypoint(options, loop, create, reporter, serve).run()


def _create_registration(
    app: App,
    updates: Sequence[Update],
    settings: Mapping[str, Any],
    reporter: Reporter,
    on_state: Callable[[RegistrationEvent], None],
) -> Registration:
    """
    Return a registration of *updates*, not started, that calls *on_state* with its events.

    *reporter* gets the complete endpoints, and the warnings about them.

    Raises:
        EtcdnamingError, click.UsageError: An address has no host, and this machine's is unknown.
    """
    from ...log import silent
    from ...registration.registration import Registration  # the lazy import of gRPC

    endpoints = _complete(updates, app.local_address, reporter)
    reporter.set_endpoints(endpoints)
    with silent("etcdnaming.addresses"):  # `complete` has warned already
        return Registration(app.client(), endpoints, on_state=on_state, **settings)


def _complete(
    updates: Iterable[Update], local_address: Callable[[], str], notifier: Notifier
) -> dict[str, Endpoint]:
    """
    Return the endpoints by key, with complete keys and addresses.

    *local_address* may have to connect to etcd.

    Raises:
        click.UsageError: An address has no host and this machine's address is unusable for others;
            or two endpoints get the same key, as :80 and this host with that port may.
    """
    endpoints: dict[str, Endpoint] = {}
    for update in updates:
        full = complete(update, local_address, notifier)
        if full.key in endpoints:
            raise click.UsageError(f"duplicate key {full.key}")
        if full.endpoint is not None:
            endpoints[full.key] = full.endpoint
    return endpoints


def _listen(address: ListenAddress) -> tuple[Callable[[Status], PageThread], str]:
    """
    Listen on *address*; return what creates the server of ``--metrics``, and its URL.

    Raises:
        click.UsageError: The library is not installed.
        InvalidSettingError: The address can't be listened on.
    """
    from ...listening import listen_on

    try:
        from ..entrypoint.metrics import metrics_server
    except ModuleNotFoundError as exc:
        from ...extras import missing

        raise click.UsageError(f"no --metrics: {missing('metrics')}") from exc
    sockets, taken = listen_on(address)
    host = "" if address.host else "localhost"
    url = taken if address.path else f"http://{host}{taken}/metrics"
    return partial(metrics_server, sockets), url
