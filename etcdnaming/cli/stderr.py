"""
Print messages on stderr, one line each, and what `--debug` shows.

A message may quote etcd, a file or the user, so escape codes in it are never sent to the terminal.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from .. import __version__
from ..printable import printable

__all__ = ["DebugReport", "error", "is_quiet", "quiet", "say", "warn"]

_quiet = False


SECRETS = frozenset({"password", "auth_jwt_token"})


@contextmanager
def quiet(on: bool) -> Iterator[None]:
    """In the block, print no warnings and no notes if *on* is set; errors are always printed."""
    global _quiet  # noqa: PLW0603 - stderr itself is global
    before, _quiet = _quiet, on
    try:
        yield
    finally:
        _quiet = before


def is_quiet() -> bool:
    """Return whether only errors are printed."""
    return _quiet


def error(text: str) -> None:
    """Print why the command failed."""
    _print(f"Error: {text}")


def warn(text: str) -> None:
    """Print a warning; the command goes on."""
    say(f"Warning: {text}")


def say(text: str) -> None:
    """Print a note, which is *text* as it is."""
    if not _quiet:
        _print(text)


def _print(text: str) -> None:
    """Print *text*. If stderr is closed or full, it is lost."""
    if sys.stderr is None:
        return
    try:
        print(printable(text), file=sys.stderr, flush=True)
    except BrokenPipeError:
        raise
    except OSError:
        return


class DebugReport:
    """Prints what ``--debug`` shows, while a command runs; the time counts from its creation."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def settings(self, found: Mapping[str, tuple[Any, str]], login: Mapping[str, Any]) -> None:
        """Print each setting with its source, but never a password or a token."""
        import platform  # rarely needed

        _debug(f"etcdnaming {__version__}, Python {platform.python_version()}")
        for name, (value, source) in found.items():
            if value is not None:
                _debug(f"{_flag(name)} {_shown(value)} ({source or 'default'})")
        for name, value in login.items():
            _debug(f"{_flag(name)} {'(hidden)' if name in SECRETS else value}")

    def end(self, exc: BaseException | None) -> None:
        """Print the traceback of *exc*, if any, and the time taken."""
        import traceback  # rarely needed

        for line in "".join(traceback.format_exception(exc)).splitlines() if exc else ():
            _debug(line)
        _debug(f"{time.monotonic() - self._start:.3f} s")


def _debug(text: str) -> None:
    _print(f"Debug: {text}")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return f"{value:g}s" if isinstance(value, float) else str(value)
