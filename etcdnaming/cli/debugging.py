"""What ``--debug`` says: what was in force, how long it took, and where an error comes from."""

from __future__ import annotations

import platform
import time
import traceback
from collections.abc import Mapping
from typing import Any

from .. import __version__
from . import stderr
from .settings.setting import Value

__all__ = ["Debugging"]


SECRET = frozenset({"password", "auth_jwt_token"})


class Debugging:
    """Speaks while a command runs."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def settings(self, found: Mapping[str, Value], login: Mapping[str, Any]) -> None:
        """Say what etcd is asked with, and who says so; never a password or a token."""
        stderr.debug(f"etcdnaming {__version__}, Python {platform.python_version()}")
        for name, (value, source) in found.items():
            if value is not None:
                stderr.debug(f"{_flag(name)} {_shown(value)} ({source or 'default'})")
        for name, value in login.items():
            stderr.debug(f"{_flag(name)} {'(hidden)' if name in SECRET else value}")

    def end(self, exc: BaseException | None) -> None:
        """Say how long it took, and show what led to *exc*."""
        for line in "".join(traceback.format_exception(exc)).splitlines() if exc else ():
            stderr.debug(line)
        stderr.debug(f"{time.monotonic() - self._start:.3f} s")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}s" if isinstance(value, float) else str(value)
