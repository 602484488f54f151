"""Whoever started us learns when the endpoints are there: from a file, from systemd."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

import click

__all__ = ["Readiness"]


class Readiness:
    """
    The *file* is there while it is; systemd, if *environ* knows it, is told once.

    *warn* is told what goes wrong: it is no reason to end.

    Raises:
        click.UsageError: There can't be such a file.
    """

    def __init__(
        self, file: Path | None, environ: Mapping[str, str], warn: Callable[[str], None]
    ) -> None:
        self._file, self._systemd = file, environ.get("NOTIFY_SOCKET", "")
        self._warn = warn
        self._is_ready = False
        if file is None:
            return
        if file.exists() and not file.is_file():
            # It would be removed: a directory can't be, but root's /dev/null can.
            raise click.UsageError(f"--ready-file {file}: it is there, and not a file")
        if not os.access(file.parent, os.W_OK | os.X_OK):
            raise click.UsageError(f"--ready-file {file}: it can't be written")
        self._remove()  # of a run that was killed

    def begin(self) -> None:
        """The endpoints are registered."""
        if self._file is not None:
            try:
                self._file.write_text(f"{os.getpid()}\n")
            except OSError as exc:
                self._warn(f"--ready-file {self._file}: {exc.strerror}")
        if not self._is_ready:
            self._notify("READY=1")
        self._is_ready = True

    def pause(self) -> None:
        """The service is not well."""
        self._remove()

    def end(self) -> None:
        """We are about to leave."""
        self._remove()
        self._notify("STOPPING=1")

    def _remove(self) -> None:
        if self._file is None:
            return
        try:
            self._file.unlink(missing_ok=True)
        except OSError as exc:
            self._warn(f"--ready-file {self._file}: {exc.strerror}")

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
            self._warn(f"NOTIFY_SOCKET {self._systemd}: {exc.strerror}")
