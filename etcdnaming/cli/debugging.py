"""Print what ``--debug`` shows: the effective settings, the time taken, the traceback."""

from __future__ import annotations

import platform
import time
import traceback
from collections.abc import Mapping
from typing import Any

from .. import __version__
from . import stderr
from .settings import Value

__all__ = ["DebugReport"]


SECRETS = frozenset({"password", "auth_jwt_token"})


class DebugReport:
    """Prints on stderr while a command runs; the time counts from its creation."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def settings(self, found: Mapping[str, Value], login: Mapping[str, Any]) -> None:
        """Print each setting with its source, but never a password or a token."""
        stderr.debug(f"etcdnaming {__version__}, Python {platform.python_version()}")
        for name, (value, source) in found.items():
            if value is not None:
                stderr.debug(f"{_flag(name)} {_shown(value)} ({source or 'default'})")
        for name, value in login.items():
            stderr.debug(f"{_flag(name)} {'(hidden)' if name in SECRETS else value}")

    def end(self, exc: BaseException | None) -> None:
        """Print the traceback of *exc*, if any, and the time taken."""
        for line in "".join(traceback.format_exception(exc)).splitlines() if exc else ():
            stderr.debug(line)
        stderr.debug(f"{time.monotonic() - self._start:.3f} s")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}s" if isinstance(value, float) else str(value)
