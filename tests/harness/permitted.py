"""Skip tests that need more than this machine permits."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import pytest

__all__ = ["skip_unless_permitted"]


def skip_unless_permitted(what: str, command: Sequence[str]) -> None:
    """Skip the test if *command*, which tries *what*, fails; its last line says why."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as exc:
        pytest.skip(f"no {what} here: {exc}")
    if done.returncode:
        said = done.stderr.splitlines() or [f"exit code {done.returncode}"]
        pytest.skip(f"no {what} here: {said[-1]}")
