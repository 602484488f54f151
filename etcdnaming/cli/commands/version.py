"""The command ``etcdnaming version``."""

from __future__ import annotations

import platform

import click

from ... import __version__
from ..app import App, pass_app
from ..grammar.tree import Command

__all__ = ["command"]

RESTS_ON = ("grpcio", "protobuf", "click", "rich")


HELP = """
Print the version of etcdnaming and of what it rests on.

$ etcdnaming version
etcdnaming  0.1.0
python      3.13.0
"""


@click.command(cls=Command, help=HELP)
@pass_app
def command(app: App) -> None:
    """Run ``etcdnaming version``."""
    from importlib.metadata import version  # costs more than all the rest

    versions = {"etcdnaming": __version__, "python": platform.python_version()}
    app.printer().version({**versions, **{name: version(name) for name in RESTS_ON}})
