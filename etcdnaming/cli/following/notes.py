"""What a watch goes through, said on stderr: outages, gaps in history, unreadable values."""

from __future__ import annotations

from ...model import ChangeBatch, InvalidValue, WatchState
from .. import stderr
from ..output.spelling import counted

__all__ = ["Notes", "unreadable"]


class Notes:
    """Says each thing once; *quiet* where a table that is drawn over shows all of it."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._has_begun = False
        self._when_back = ""

    def state(self, state: WatchState) -> None:
        """Say that the connection is lost, or back."""
        if not state.connected:
            self._when_back = "reconnected" if self._has_begun else "connected"
            lost = "disconnected" if self._has_begun else "not connected yet"
            self._warn(f"{lost}: {state.detail}")
            return
        if self._when_back:
            self._say(f"{self._when_back} to {state.detail}")
        self._has_begun, self._when_back = True, ""

    def tell(self, batch: ChangeBatch) -> None:
        """Say what *batch* has that is odd."""
        self._has_begun = True
        if batch.resync:
            differences = counted(len(batch.changes), "difference")
            self._say(
                f"resync: etcd could not tell what was missed; reading again showed {differences}"
            )
        for each in batch.invalid:
            self._warn(unreadable(each))

    def _say(self, text: str) -> None:
        if not self._quiet:
            stderr.say(text)

    def _warn(self, text: str) -> None:
        if not self._quiet:
            stderr.warn(text)


def unreadable(found: InvalidValue) -> str:
    """Return which value can't be read, and why."""
    return f"{found.key}: {found.reason}"
