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

END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


HELP = """
Run a command or a shell with a temporary etcd.

$ etcdnaming sandbox -- sh -c 'etcdctl put foo bar && etcdctl get foo'
OK
foo
bar

Environment variables in CMD point etcdctl and etcdnaming to this etcd only. When CMD exits, etcd
and its data are removed.
"""


@click.command(cls=Command, context_settings={"allow_interspersed_args": False}, help=HELP)
@click.argument("cmd", nargs=-1, type=click.UNPROCESSED, metavar="[-- CMD ARGS...]")
@pass_app
def command(app: App, cmd: Sequence[str]) -> int:
    """Run ``etcdnaming sandbox``."""
    if others := [name for name in app.flags if name not in ("debug", "quiet")]:
        flags = ", ".join(f"--{name.replace('_', '-')}" for name in others)
        raise click.UsageError(
            f"{flags}: not supported: the sandbox starts its own etcd and prints only CMD's output"
        )
    with unwinding(*END_SIGNALS), Sandbox() as sandbox:
        if not cmd:
            shell = os.environ.get("SHELL") or "/bin/sh"
            stderr.say(f"etcd runs at {sandbox.endpoint}; exit the shell to remove it")
            cmd = [shell]
        return run(cmd, sandbox.environment(environment()))
