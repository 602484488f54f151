"""
Use contents from stdin as certificate or key: ``try_contents.py ENDPOINT DIR``.

DIR has ``ca.pem``, ``client.pem`` and ``client.key``, which *ENDPOINT* accepts. Each line on stdin
is the name of one of these files and a content in hex. It is written to that file, and used by a
new client and by one that was created before and connects then. Both results are printed as one
line.
"""

from __future__ import annotations

import sys
from pathlib import Path

from etcdnaming import Client, EndpointManager
from etcdnaming.errors import EtcdnamingError


def client(endpoint: str, directory: Path) -> Client:
    """Return a client that has not connected yet."""
    return Client(
        [f"https://{endpoint}"],
        cacert=str(directory / "ca.pem"),
        cert=str(directory / "client.pem"),
        key=str(directory / "client.key"),
        dial_timeout=20,
    )


def outcome(used: Client) -> str:
    """Return ``ok``, or the error and its text."""
    try:
        EndpointManager(used, "svc").count()
    except EtcdnamingError as exc:
        return f"{type(exc).__name__} {exc}"
    return "ok"


def begun(endpoint: str, directory: Path) -> str:
    """Return the outcome of a client that is created now."""
    try:
        with client(endpoint, directory) as new:
            return outcome(new)
    except EtcdnamingError as exc:
        return f"{type(exc).__name__} {exc}"


def main(endpoint: str, directory: Path) -> None:
    """Try each content, and restore the good one after it."""
    for line in sys.stdin:
        name, content = line.split(" ")
        file = directory / name
        good = file.read_bytes()
        with client(endpoint, directory) as before:
            file.write_bytes(bytes.fromhex(content))
            print(begun(endpoint, directory), outcome(before), sep="\t", flush=True)  # noqa: T201
        file.write_bytes(good)


main(sys.argv[1], Path(sys.argv[2]))
