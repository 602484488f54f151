"""The program as a stranger has it: in an environment of its own, found by its place on PATH."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .cli import Result
from .environment import Changes, pointing_at

__all__ = ["Installed", "succeed"]


def succeed(*command: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run *command*, which must not fail, and return what it prints."""
    return subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout


class Installed:
    """
    Runs what is installed in *prefix*; it asks *endpoints* unless told otherwise.

    Args:
        prefix: An environment, with its bin/ and its share/.
    """

    def __init__(self, prefix: Path, endpoints: str) -> None:
        self.prefix = prefix
        self._endpoints = endpoints

    def environment(self, changes: Changes | None = None) -> dict[str, str]:
        """Return the environment in which *prefix* comes before all else."""
        ours = {
            "PATH": f"{self.prefix}/bin:{os.environ['PATH']}",
            "XDG_DATA_DIRS": f"{self.prefix}/share:/usr/local/share:/usr/share",
        }
        return pointing_at(self._endpoints, {**ours, **(changes or {})})

    def __call__(self, *args: str, env: Changes | None = None, timeout: float = 30) -> Result:
        """Run a command to its end, with nothing on its stdin."""
        environment = self.environment(env)
        done = subprocess.run(
            ["env", *args],  # which looks for it where this PATH says
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)
