"""The command ``etcdnaming completion``."""

from __future__ import annotations

import click

from ..completion.shells import SHELLS, script
from ..grammar.tree import Command
from ..output.stdout import write

__all__ = ["command"]


HELP = """
Print what makes a shell complete our words.

$ eval "$(etcdnaming completion bash)"
$ etcdnaming completion fish | source

Targets and keys are completed from etcd, within a second or not at all.
"""


@click.command(cls=Command, help=HELP)
@click.argument("shell", type=click.Choice([*SHELLS]))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Run ``etcdnaming completion``."""
    write([script(ctx.find_root().command, shell), "\n"])
