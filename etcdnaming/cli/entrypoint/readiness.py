"""Report readiness: the ready file, and systemd's notification socket and watchdog."""

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

MIN_WATCHDOG_INTERVAL = 0.01
"""Seconds between two notifications of the watchdog, so that the loop can do other work."""

MAX_READY_FILE = 32
"""Bytes read from an existing ready file, which holds a process ID."""


class Readiness:
    """
    Create *file* while the endpoints are registered, and notify systemd if *environ* names it.

    The file is written under another name and renamed, so that nothing another process puts in its
    place (a symlink, a fifo) is opened. It is removed only while it is the file that was written.
    Later errors are passed to *warn*; they do not stop the entrypoint.

    Raises:
        click.UsageError: The file can't be created, or an existing file is not a ready file.
    """

    def __init__(
        self, file: Path | None, environ: Mapping[str, str], warn: Callable[[str], None]
    ) -> None:
        self._file, self._systemd = file, environ.get("NOTIFY_SOCKET", "")
        self._warn = warn
        self._is_ready = self._has_warned = False
        self._written: tuple[int, int] | None = None
        self.watchdog = _watchdog_interval(environ) if self._systemd else 0.0
        """Seconds between two calls of `notify_watchdog`; 0 if systemd expects none."""
        if file is None:
            return
        exists = os.path.lexists(file)
        if exists:
            self._written = _identify_ready_file(file)
            if self._written is None:
                raise click.UsageError(
                    f"--ready-file {file}: the file exists and is not a ready file; "
                    "remove it or choose another name"
                )
        if not os.access(file.parent, os.W_OK | os.X_OK):
            raise click.UsageError(f"--ready-file {file}: the directory is missing or not writable")
        if exists:
            self._remove()  # a killed run left it

    def set_ready(self) -> None:
        """Report that all endpoints are registered."""
        if self._file is not None:
            try:
                self._written = _write(self._file, f"{os.getpid()}\n".encode())
            except OSError as exc:
                self._warn(f"--ready-file {self._file}: {exc.strerror}")
        if not self._is_ready:
            self._notify("READY=1")
        self._is_ready = True

    def notify_watchdog(self) -> None:
        """Report to systemd's watchdog that this process works."""
        self._notify("WATCHDOG=1")

    def set_not_ready(self) -> None:
        """Report that the endpoints are withdrawn for now."""
        self._remove()

    def set_stopping(self) -> None:
        """Report that the shutdown begins."""
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
        # "@" marks a name in the abstract namespace, which begins with a zero byte instead.
        address = self._systemd.replace("@", "\0", 1) if self._systemd[0] == "@" else self._systemd
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.setblocking(False)
                out.sendto(state.encode(), address)
        except OSError as exc:
            if not self._has_warned:
                self._warn(f"NOTIFY_SOCKET {self._systemd}: {exc.strerror}")
            self._has_warned = True


def _watchdog_interval(environ: Mapping[str, str]) -> float:
    """Return half the watchdog's timeout in seconds, as sd_watchdog_enabled(3) recommends."""
    period, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if (pid and pid != str(os.getpid())) or not re.fullmatch("0*[1-9][0-9]{,18}", period):
        return 0.0
    return max(MIN_WATCHDOG_INTERVAL, int(period) / 2e6)


def _write(file: Path, content: bytes) -> tuple[int, int]:
    """Replace *file* by a file with *content*, and return its identity."""
    # Not `tempfile`: its files are readable by their owner only.
    temporary = file.with_name(f".{file.name}.{os.urandom(6).hex()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with open(descriptor, "wb") as out:
            out.write(content)
            written = _identity(os.fstat(descriptor))
        temporary.replace(file)
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise
    return written


def _identify_ready_file(path: Path) -> tuple[int, int] | None:
    """Return the identity of *path* if it may be the ready file of a killed run."""
    try:
        if not S_ISREG(os.lstat(path).st_mode):
            return None
        # O_NONBLOCK: do not wait for a writer if the path has become a fifo since lstat.
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            content = file.read(MAX_READY_FILE).strip()
            return _identity(os.fstat(file.fileno())) if content.isdigit() or not content else None
    except OSError:
        return None


def _identity(status: os.stat_result) -> tuple[int, int]:
    """Return what stays the same while a file is renamed: its device and inode."""
    return status.st_dev, status.st_ino
