"""Run the program in shell scripts, with pipes, redirections, limits, and etcdctl beside it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from shlex import quote

from .cli import Result
from .environment import Changes, pointing_at
from .process import command
from .programs import Programs

__all__ = ["Shell"]


class Shell:
    """
    Runs scripts in which ``etcdnaming`` and etcdctl have *endpoints* as their default.

    Args:
        directory: Place for a script that acts as the installed command.
    """

    def __init__(self, programs: Programs, endpoints: str, directory: Path) -> None:
        self._endpoints = endpoints
        self._path = f"{directory}:{programs.etcdctl.parent}:{os.environ['PATH']}"
        stand_in = directory / "etcdnaming"
        stand_in.write_text(f'#!/bin/sh\nexec {" ".join(map(quote, command()))} "$@"\n')
        stand_in.chmod(0o755)

    def __call__(self, script: str, *, env: Changes | None = None, timeout: float = 60) -> Result:
        """Run *script* to its end in bash, with an empty stdin."""
        ours = {"ETCDCTL_API": "3", "ETCDCTL_ENDPOINTS": self._endpoints, "PATH": self._path}
        done = subprocess.run(
            ["bash", "-c", script],
            env=pointing_at(self._endpoints, {**ours, **(env or {})}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        out, err = (data.decode("utf-8", "surrogateescape") for data in (done.stdout, done.stderr))
        return Result(done.returncode, out, err)
