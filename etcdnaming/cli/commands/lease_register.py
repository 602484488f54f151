"""The command ``etcdnaming lease-register``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from ...model import JSON, Endpoint, Update
from ...registration.event import RegistrationEvent
from ...registration.rules import OnConflict, OnDelete
from ..app import App, pass_app
from ..child import check_command
from ..entrypoint.endpoints import read_file, settled
from ..entrypoint.plan import OnLost, Plan, Start, Timing
from ..entrypoint.specs import Spec, parse_spec
from ..grammar.durations import parse_duration
from ..grammar.options import (
    FORCE,
    KEY,
    METADATA_OPTIONS,
    POSITIVE,
    TEXT,
    TTL,
    metadata_options,
    target_option,
)
from ..grammar.parsed import FILE, Parsed
from ..grammar.wrapping import WrappingCommand
from ..output.stdout import check_open
from ..updates.endpoint import Tells, check

if TYPE_CHECKING:
    from ...registration.registration import Registration

__all__ = ["command"]

DURATION = Parsed("duration", parse_duration)

EXCLUSIVE = (
    METADATA_OPTIONS,
    ("file", "key"),
    ("file", "addr"),
    *(("file", name) for name in METADATA_OPTIONS),
)


HELP = """
Keep endpoints registered while we run, or a command does.

$ etcdnaming lease-register foo/bar/svc/e1 --addr 10.0.0.1:80 -- server
lease 7ffaa20539177e6e granted with TTL(10s)
OK

The entrypoint of a container: CMD has our stdin, stdout and stderr, gets our signals, and its
exit code is ours. SIGTERM and SIGINT first delete the endpoints and revoke the lease, and reach
CMD after --drain; a second one skips that, a third kills. With --drain so does Ctrl-C at a
terminal, until CMD reads from it; otherwise Ctrl-C reaches CMD at once. Nothing that happens to
etcd stops CMD; the endpoints are registered again when it is back. What we say is on stderr if
there is a CMD; -w json says every change of state in a line.
"""


@click.command(cls=WrappingCommand, exclusive=EXCLUSIVE, help=HELP)
@click.argument("key", type=KEY, required=False)
@click.argument("cmd", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD ARGS...]")
@click.option("--addr", type=TEXT, metavar="HOST:PORT", help="What clients dial.")
@metadata_options
@click.option(
    "--file",
    "-f",
    type=FILE,
    metavar="FILE",
    help="Several endpoints: the add lines of an update file; - is stdin.",
)
@target_option
@FORCE
@click.option(
    "--ttl", type=TTL, default="10", metavar="TIME", help="How long they outlive us (10s)."
)
@click.option(
    "--start",
    type=click.Choice(get_args(Start)),
    help="Start CMD now, the default, or when everything is registered.",
)
@click.option(
    "--on-conflict",
    type=click.Choice(get_args(OnConflict)),
    default="takeover",
    help="If another lease holds KEY: takeover, the default; wait for its end; or fail with exit "
    "code 8, for which CMD starts only when registered.",
)
@click.option(
    "--on-delete",
    type=click.Choice(get_args(OnDelete)),
    default="restore",
    help="If somebody deletes KEY: restore it, the default, or leave it.",
)
@click.option(
    "--on-lost",
    type=click.Choice(get_args(OnLost)),
    default="retry",
    help="If the lease is lost: retry for ever, the default, or exit with code 5.",
)
@click.option(
    "--check",
    "spec",
    type=Parsed("check", parse_spec),
    metavar="CHECK",
    help="Register only while this passes: tcp://HOST:PORT, grpc://HOST:PORT[/SERVICE], exec:CMD.",
)
@click.option("--check-interval", type=DURATION, metavar="TIME", help="How often (5s).")
@click.option(
    "--check-failures", type=POSITIVE, metavar="N", help="Deregister after N failures (3)."
)
@click.option(
    "--check-timeout",
    type=DURATION,
    metavar="TIME",
    help="Exit with code 124 if it has not passed once in this time (60s); 0 is for ever.",
)
@click.option(
    "--drain", type=DURATION, metavar="TIME", help="From deregistration to CMD's signal (0s)."
)
@click.option(
    "--stop-timeout", type=DURATION, metavar="TIME", help="From CMD's signal to its death (5s)."
)
@click.option(
    "--ready-file",
    type=FILE,
    metavar="FILE",
    help="Is there once everything is registered, but not while the check fails.",
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
    spec: Spec | None,
    check_interval: float | None,
    check_failures: int | None,
    check_timeout: float | None,
    drain: float | None,
    stop_timeout: float | None,
    ready_file: str | None,
) -> int:
    """Run ``etcdnaming lease-register``."""
    _refuse_alone(cmd, "a command: -- CMD", start=start, drain=drain, stop_timeout=stop_timeout)
    times = {"check_interval": check_interval, "check_failures": check_failures}
    _refuse_alone(spec, "a --check", **times, check_timeout=check_timeout)
    timing = Timing(
        _default(check_interval, 5.0), check_failures or 3, _default(check_timeout, 60.0)
    )
    plan = Plan(
        cmd=cmd,
        start=_start(start, on_conflict, spec),
        drain=drain or 0.0,
        patience=_default(stop_timeout, 5.0),
        on_lost=on_lost,
        check=spec,
        timing=timing,
        ready_file=None if ready_file is None else Path(ready_file),
    )
    _check_plan(plan)
    updates = _updates(key, addr, metadata, file, partial(check, target=target, force=force))
    settings = {"ttl": ttl, "on_conflict": on_conflict, "on_delete": on_delete}
    return _run(app, plan, partial(_registration, app, updates, settings))


def _refuse_alone(what: object, name: str, **options: object) -> None:
    for option, value in options.items():
        if not what and value is not None:
            raise click.UsageError(f"--{option.replace('_', '-')} needs {name}")


def _default(value: float | None, default: float) -> float:
    return default if value is None else value


def _start(start: Start | None, on_conflict: OnConflict, spec: Spec | None) -> Start:
    if start is not None:
        return start
    # Once a command runs, a key that somebody else holds is no reason to end it.
    return "registered" if on_conflict == "fail" and spec is None else "now"


def _check_plan(plan: Plan) -> None:
    if plan.check and plan.timing.interval <= 0:
        raise click.UsageError("--check-interval must be more than 0")
    if plan.cmd:
        check_command(plan.cmd[0])
    if plan.cmd and plan.check and plan.start == "registered":
        raise click.UsageError(
            "with --start registered CMD would wait for the check, and it for CMD"
        )


def _updates(
    key: str | None,
    addr: str | None,
    metadata: JSON,
    file: str | None,
    check: Callable[[Update], None],
) -> Sequence[Update]:
    if file is not None:
        return read_file(file, check)
    if key is None:
        raise click.UsageError("nothing to register: name a KEY, or a file of several (-f)")
    if addr is None:
        raise click.UsageError("--addr is missing: what clients dial")
    update = Update.add(key, Endpoint(addr, metadata))
    check(update)
    return [update]


def _registration(
    app: App,
    updates: Sequence[Update],
    settings: dict[str, Any],
    tells: Tells,
    hear: Callable[[RegistrationEvent], None],
) -> Registration:
    from ...log import silent  # behind the door to gRPC
    from ...registration.registration import Registration

    endpoints = settled(updates, app.local_address, tells)
    with silent("etcdnaming.addresses"):  # `settled` has warned of them
        return Registration(app.client(), endpoints, on_state=hear, **settings)


def _run(app: App, plan: Plan, make: Callable[..., Registration]) -> int:
    stream = sys.stderr if plan.cmd else sys.stdout
    if not plan.cmd:
        check_open()
    name = app.format_of(stream)
    app.log_in()
    from ..entrypoint.loop import Loop

    loop = Loop()  # from here on no signal is lost
    from ..entrypoint.entrypoint import Entrypoint
    from ..entrypoint.telling import Telling
    from ..output.printers import printer
    from ..output.state_changes import RegistrationPrinter

    app.client(quiet=True)  # everything that can be wrong with the settings is known now
    from ...etcd.grpc_tuning import let_grpc_sleep  # behind the door to gRPC

    let_grpc_sleep()
    # Not where words would stand between the lines of a format, or beside a table that says it.
    aloud = name == "simple" or not (plan.cmd or name == "table")
    telling = Telling(RegistrationPrinter(printer(name, stream), stream), aloud=aloud)
    return Entrypoint(plan, loop, partial(make, telling), telling).run()
