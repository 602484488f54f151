"""The environment of the program and of etcdctl."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

import pytest

__all__ = ["Changes", "changed", "cleaned", "pointing_at"]

Changes: TypeAlias = Mapping[str, "str | None"]
"""Variables to set, or with ``None`` to remove."""

# Variables besides ETCD* that change how the program or etcdctl behaves.
OTHERS = {
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLUMNS",
    "FORCE_COLOR",
    "LINES",
    "NOTIFY_SOCKET",
    "NO_COLOR",
    "TTY_COMPATIBLE",
    "TTY_INTERACTIVE",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
}


def cleaned() -> Changes:
    """Return changes of `os.environ` that remove the developer's etcd and preferences."""
    unwanted = {name for name in os.environ if name.startswith("ETCD")} | OTHERS
    return {**dict.fromkeys(unwanted), "TERM": "xterm-256color"}


@contextmanager
def changed(changes: Changes) -> Iterator[None]:
    """Apply *changes* to `os.environ` while the block runs."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changes.items():
            if value is None:
                patch.delenv(name, raising=False)
            else:
                patch.setenv(name, value)
        yield


def pointing_at(endpoints: str, changes: Changes | None) -> dict[str, str]:
    """Return `os.environ` with *changes*, for a process that uses *endpoints*."""
    wanted = {**os.environ, "ETCDNAMING_ENDPOINTS": endpoints, **(changes or {})}
    return {name: value for name, value in wanted.items() if value is not None}
