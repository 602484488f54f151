"""Tell the system that started us when the endpoints are registered: by a file, and by systemd."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

import click

__all__ = ["Readiness"]

SHORTEST = 0.01
"""Seconds between two answers to a watchdog, at least: the loop has other work."""

LONGEST = 32
"""Bytes. A ready file holds a process id."""


class Readiness:
    """
    Keeps *file* while the endpoints are registered, and notifies the systemd that *environ* names.

    The file is written beside and renamed, so nothing that another process puts in its place is
    opened, and removed only while it is the one that was written. *warn* is called with what goes
    wrong: it is no reason to end.

    Raises:
        click.UsageError: There can't be such a file.
    """

    def __init__(
        self, file: Path | None, environ: Mapping[str, str], warn: Callable[[str], None]
    ) -> None:
        self._file, self._systemd = file, environ.get("NOTIFY_SOCKET", "")
        self._warn = warn
        self._is_ready = self._has_warned = False
        self._written: tuple[int, int] | None = None
        self.watchdog = _watchdog(environ) if self._systemd else 0.0
        """Seconds between two calls of `alive` that systemd wants; 0 for none."""
        if file is None:
            return
        if not os.access(file.parent, os.W_OK | os.X_OK):
            raise click.UsageError(f"--ready-file {file}: it can't be written")
        if os.path.lexists(file):
            self._written = _ready_file(file)
            if self._written is None:
                raise click.UsageError(
                    f"--ready-file {file}: it exists and is not a ready file: remove it, or "
                    "choose another"
                )
            self._remove()  # of a run that was killed

    def begin(self) -> None:
        """Note that the endpoints are registered."""
        if self._file is not None:
            try:
                self._written = _write(self._file, f"{os.getpid()}\n".encode())
            except OSError as exc:
                self._warn(f"--ready-file {self._file}: {exc.strerror}")
        if not self._is_ready:
            self._notify("READY=1")
        self._is_ready = True

    def alive(self) -> None:
        """Answer the watchdog of systemd."""
        self._notify("WATCHDOG=1")

    def pause(self) -> None:
        """Note that the check fails."""
        self._remove()

    def end(self) -> None:
        """Note that the endpoints are about to be deregistered."""
        self._remove()
        self._notify("STOPPING=1")

    def _remove(self) -> None:
        if self._file is None or self._written is None:
            return
        try:
            if _identity(os.lstat(self._file)) == self._written:
                self._file.unlink()
        except FileNotFoundError:
            pass
        except OSError as exc:
            self._warn(f"--ready-file {self._file}: {exc.strerror}")
        self._written = None

    def _notify(self, state: str) -> None:
        if not self._systemd:
            return
        # A name that begins with @ is one in the abstract namespace, where that is a zero byte.
        address = self._systemd.replace("@", "\0", 1) if self._systemd[0] == "@" else self._systemd
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.setblocking(False)
                out.sendto(state.encode(), address)
        except OSError as exc:
            if not self._has_warned:
                self._warn(f"NOTIFY_SOCKET {self._systemd}: {exc.strerror}")
            self._has_warned = True


def _watchdog(environ: Mapping[str, str]) -> float:
    """Return half the time after which systemd takes us for dead, as sd_watchdog_enabled(3)."""
    period, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if (pid and pid != str(os.getpid())) or not re.fullmatch("0*[1-9][0-9]{,18}", period):
        return 0.0
    return max(SHORTEST, int(period) / 2e6)


def _write(file: Path, content: bytes) -> tuple[int, int]:
    """Put *content* in the place of *file*, whatever is there, and return which file it is."""
    # Not `tempfile`, whose files only their owner can read.
    beside = file.with_name(f".{file.name}.{os.urandom(6).hex()}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with open(descriptor, "wb") as out:
            out.write(content)
            written = _identity(os.fstat(descriptor))
        beside.replace(file)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise
    return written


def _ready_file(path: Path) -> tuple[int, int] | None:
    """Return which file *path* is, if a run that was killed may have left it there."""
    try:
        if not S_ISREG(os.lstat(path).st_mode):
            return None
        # Not to wait for a writer, if it has become a fifo by now.
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            content = file.read(LONGEST).strip()
            return _identity(os.fstat(file.fileno())) if content.isdigit() or not content else None
    except OSError:
        return None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
