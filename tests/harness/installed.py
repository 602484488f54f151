"""The installed program, in an environment of its own, found through PATH."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .cli import Result
from .environment import Changes, pointing_at

__all__ = ["Installed", "succeed"]


def succeed(*command: str | Path, env: Mapping[str, str] | None = None) -> str:
    """Run *command*, which must succeed, and return its output."""
    return subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=True).stdout


class Installed:
    """
    Runs the program installed in *prefix*, with *endpoints* as its default.

    Args:
        prefix: An environment, with its bin/ and its share/.
    """

    def __init__(self, prefix: Path, endpoints: str) -> None:
        self.prefix = prefix
        self._endpoints = endpoints

    def environment(self, changes: Changes | None = None) -> dict[str, str]:
        """Return an environment in which the programs of *prefix* are found first."""
        ours = {
            "PATH": f"{self.prefix}/bin:{os.environ['PATH']}",
            "XDG_DATA_DIRS": f"{self.prefix}/share:/usr/local/share:/usr/share",
        }
        return pointing_at(self._endpoints, {**ours, **(changes or {})})

    def __call__(self, *args: str, env: Changes | None = None, timeout: float = 30) -> Result:
        """Run a command to its end, with an empty stdin."""
        environment = self.environment(env)
        done = subprocess.run(
            ["env", *args],  # so that the command is found on this PATH
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)
