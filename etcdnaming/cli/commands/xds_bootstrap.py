"""The command ``etcdnaming xds-bootstrap``."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import NamedTemporaryFile

import click

from ...listening import parse_listen_address
from ...xds.bootstrap import LANGUAGES, Bootstrap, bootstrap, warnings
from .. import stderr
from ..app import App, pass_app
from ..click_extension import Command
from ..options import TARGET, TEXT
from ..output.streams import check_open
from ..parsing import FILE, Parsed

__all__ = ["command"]


def _server(text: str) -> str:
    if "," in text:
        return text  # several are refused with a better reason
    address = parse_listen_address(text)
    if not address.path and not address.host:
        raise ValueError(f"{text!r} has no host, which clients need")
    if not address.path and not address.port:
        raise ValueError(f"{text!r} has no port from 1 to 65535")
    return text


HELP = """
Print the file that xDS clients start with, for the xds-bridge at SERVER.

$ etcdnaming xds-bootstrap 127.0.0.1:18000 > xds.json

Clients read the file that GRPC_XDS_BOOTSTRAP names, and dial xds:///foo/bar/svc. SERVER is
HOST:PORT or unix:PATH. One file is for all languages but Rust and Envoy. With --ca, --cert and
--key are the client's certificate. Several bridges are reached by one DNS name: clients do not
move from a first to a second server.
"""


@click.command(cls=Command, use_etcd=False, help=HELP)
@click.argument("server", type=Parsed("address", _server))
@click.option(
    "--node-id", type=TEXT, metavar="ID", help="Name of the client (default: the host name)."
)
@click.option("--zone", type=TEXT, default="", metavar="ZONE", help="Zone of the client.")
@click.option(
    "--authority",
    type=TEXT,
    default="",
    metavar="NAME",
    help="Serve names of this authority, too: xds://NAME/foo/bar/svc.",
)
@click.option(
    "--strip",
    type=TARGET,
    default=None,
    metavar="PREFIX",
    help="Put PREFIX/ before every name, so that clients dial xds:///svc.",
)
@click.option("--ca", type=FILE, metavar="FILE", help="CA of the server (use TLS).")
@click.option(
    "--for",
    "language",
    type=click.Choice(LANGUAGES),
    help="Write it for this language, and warn of what it can't do.",
)
@click.option(
    "--output",
    "-o",
    type=FILE,
    metavar="FILE",
    help="Write to FILE, replacing it at once, instead of stdout.",
)
@pass_app
def command(
    app: App,
    *,
    server: str,
    node_id: str | None,
    zone: str,
    authority: str,
    strip: str | None,
    ca: str | None,
    language: str | None,
    output: str | None,
) -> None:
    """See `HELP`."""
    import socket  # only for the name of this host

    app.refuse_flags("this command does not use etcd, and prints a file", "cert", "key")
    wanted = Bootstrap(
        server=server,
        node_id=node_id or socket.gethostname(),
        zone=zone,
        authority=authority,
        strip=strip or "",
        ca=ca or "",
        cert=app.flags.get("cert", ""),
        key=app.flags.get("key", ""),
        language=language or "",
    )
    text = bootstrap(wanted)
    for warning in warnings(wanted):
        stderr.warn(warning)
    if output is None:
        check_open()
        sys.stdout.write(text)
    else:
        _replace(Path(output).resolve(), text)


def _replace(path: Path, text: str) -> None:
    """Write a file beside *path*, and rename it: a client never reads half of it."""
    if path.exists() and not path.is_file() and not path.is_dir():
        raise click.UsageError(f"{path}: not a file, which could be replaced")
    try:
        with NamedTemporaryFile(
            "w", dir=path.parent, prefix=f".{path.name}.", delete=False, encoding="utf-8"
        ) as file:
            file.write(text)
        beside = Path(file.name)
        beside.chmod(0o644)
        beside.replace(path)
    except OSError as exc:
        raise click.UsageError(f"{path}: {exc.strerror}") from exc
