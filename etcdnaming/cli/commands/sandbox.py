"""The command ``etcdnaming sandbox``."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import click

from ...sandbox import Sandbox
from .. import stderr
from ..app import App, pass_app
from ..child import environment, run
from ..click_extension.command import Command
from ..signals import unwinding

__all__ = ["command"]

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


HELP = """
Run a command or a shell with a temporary etcd.

$ etcdnaming sandbox -- sh -c 'etcdctl put foo bar && etcdctl get foo'
OK
foo
bar

The environment of CMD points to this etcd. It is deleted with its data when CMD ends.
"""


@click.command(cls=Command, context_settings={"allow_interspersed_args": False}, help=HELP)
@click.argument("cmd", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD ARGS...]")
@pass_app
def command(app: App, cmd: Sequence[str]) -> int:
    """Run ``etcdnaming sandbox``."""
    if app.flags.keys() - {"debug"}:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in app.flags)
        raise click.UsageError(
            f"{flags}: the sandbox runs its own etcd, and its output is CMD's: remove {flags}"
        )
    with unwinding(*ENDING), Sandbox() as sandbox:
        if not cmd:
            shell = os.environ.get("SHELL") or "/bin/sh"
            stderr.say(f"etcd runs at {sandbox.endpoint} until you leave this shell (exit)")
            cmd = [shell]
        return run(cmd, sandbox.environment(environment()))
