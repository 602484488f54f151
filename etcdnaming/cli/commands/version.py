"""The command ``etcdnaming version``."""

from __future__ import annotations

import platform

import click

from ... import __version__
from ..app import App, pass_app
from ..click_extension import Command

__all__ = ["command"]

DEPENDENCIES = ("grpcio", "protobuf", "click", "rich")


HELP = """
Print the versions of etcdnaming, its libraries and etcd.

$ etcdnaming version
etcdnaming  0.2.0
python      3.13.0
...

The version of etcd is that of the first endpoint of --endpoints that answers within a second. It is
asked without a login; if none answers, or a setting is invalid, it is "-".
"""


@click.command(cls=Command, help=HELP)
@pass_app
def command(app: App) -> None:
    """Run ``etcdnaming version``."""
    from importlib.metadata import version  # takes long to import

    printer = app.printer()
    versions = {"etcdnaming": __version__, "python": platform.python_version()}
    versions |= {name: version(name) for name in DEPENDENCIES}
    try:
        versions["etcd"] = app.etcd_version() or "-"
    except Exception:  # noqa: BLE001 - the other versions matter most where something is broken
        versions["etcd"] = "-"
    printer.version(versions)
