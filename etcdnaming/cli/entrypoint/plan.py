"""What the user has decided."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

from .specs import Spec

__all__ = ["OnLost", "Plan", "Start", "Timing"]

OnLost: TypeAlias = Literal["retry", "exit"]
Start: TypeAlias = Literal["now", "registered"]


class Timing(NamedTuple):
    """When to check, in seconds; *timeout* is for the first time that it passes, 0 for ever."""

    interval: float
    failures: int
    timeout: float


class Plan(NamedTuple):
    """
    How an entrypoint is to behave.

    *cmd* is what to run, if anything. *drain* and *patience* are seconds: between the end of the
    endpoints and the signal to the command, and between that and its death.
    """

    cmd: Sequence[str]
    start: Start
    drain: float
    patience: float
    on_lost: OnLost
    check: Spec | None
    timing: Timing
    ready_file: Path | None
