"""Go's own naming client: the programs in ``tests/interop/go``, built with one version of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from .process import Process

__all__ = ["MODULES", "GoClient", "GoError", "build", "has_go"]

SOURCES = Path(__file__).parent.parent / "interop" / "go"

MODULES = {
    re.findall(r"go.etcd.io/etcd/client/v3 v(\S+)", file.read_text())[0]: file
    for file in sorted(SOURCES.glob("*.mod"))
}
"""The modules, by the version of the client that they ask for."""


class GoError(Exception):
    """The program failed; the text is its stderr."""


class GoClient:
    """
    The programs that act as Go services; `peer` uses the etcd at *endpoint*.

    Args:
        programs: The directory in which `build` has put them.
    """

    def __init__(self, programs: Path, endpoint: str) -> None:
        self.programs = programs
        self._peer = [str(programs / "peer"), endpoint]

    def __call__(self, command: str, target: str, *args: str, input: str = "") -> str:
        """Return the output of ``peer ETCD COMMAND TARGET ARGS``; see ``peer/main.go``."""
        done = subprocess.run(
            self.command(command, target, *args),
            input=input,
            capture_output=True,
            encoding="utf-8",
            timeout=30,
            check=False,
        )
        if done.returncode:
            raise GoError(done.stderr)
        return done.stdout

    def command(self, command: str, target: str, *args: str) -> list[str]:
        """Return the command line of a command."""
        return [*self._peer, command, target, *args]

    def list(self, target: str) -> dict[str, Any]:
        """Return the list of Go's manager: ``{key: {"Addr": …, "Metadata": …}}``."""
        found: dict[str, Any] = json.loads(self("list", target))
        return found

    def start(self, command: str, target: str, *args: str) -> Process:
        """Start a command that runs until its stdin is closed."""
        return Process(self.command(command, target, *args), os.environ)


def has_go() -> bool:
    """Return whether Go is installed."""
    return shutil.which("go") is not None


def build(version: str) -> Path:
    """Build the programs with *version* of the client if necessary, and return their directory."""
    into = SOURCES / "build" / version
    command = ["go", "build", f"-modfile={MODULES[version].name}", "-o", f"{into}/", "./..."]
    subprocess.run(command, cwd=SOURCES, check=True)
    return into
