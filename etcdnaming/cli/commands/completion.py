"""The command ``etcdnaming completion``."""

from __future__ import annotations

import click

from ..app import App, pass_app
from ..click_extension.command import Command
from ..completion import SHELLS, script
from ..output.stdout import write

__all__ = ["command"]


HELP = """
Print the shell completion script.

$ eval "$(etcdnaming completion bash)"
$ etcdnaming completion fish | source

Targets and keys are completed from etcd, if it answers within a second.
"""


@click.command(cls=Command, help=HELP)
@click.argument("shell", type=click.Choice([*SHELLS]))
@pass_app
def command(app: App, *, shell: str) -> None:
    """Run ``etcdnaming completion``."""
    app.refuse_flags("this command prints a script")
    ctx = click.get_current_context()
    write([script(ctx.find_root().command, shell), "\n"])
