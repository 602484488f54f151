"""The command ``etcdnaming version``."""

from __future__ import annotations

import platform

import click

from ... import __version__
from ..app import App, pass_app
from ..click_extension.command import Command

__all__ = ["command"]

DEPENDENCIES = ("grpcio", "protobuf", "click", "rich")


HELP = """
Print the versions of etcdnaming and its dependencies.

$ etcdnaming version
etcdnaming  0.1.0
python      3.13.0
"""


@click.command(cls=Command, help=HELP)
@pass_app
def command(app: App) -> None:
    """Run ``etcdnaming version``."""
    from importlib.metadata import version  # takes longer to import than everything else

    versions = {"etcdnaming": __version__, "python": platform.python_version()}
    app.printer().version({**versions, **{name: version(name) for name in DEPENDENCIES}})
