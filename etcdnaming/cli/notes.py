"""What a watch goes through, said on stderr: outages, values that can't be read, gaps in history."""

from __future__ import annotations

from ..model import ChangeBatch, InvalidValue, WatchState
from . import stderr
from .output.spelling import escape

__all__ = ["Notes", "unreadable"]


class Notes:
    """Says each thing once; *quiet* where a table that is drawn over shows all of it."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._was_connected = self._is_lost = False

    def state(self, state: WatchState) -> None:
        """Say that the connection is lost, or back."""
        if state.connected:
            if self._is_lost:
                self._say(
                    f"{'reconnected' if self._was_connected else 'connected'} to {state.detail}"
                )
            self._was_connected, self._is_lost = True, False
            return
        self._is_lost = True
        self._warn(
            f"{'disconnected' if self._was_connected else 'not connected yet'}: {state.detail}"
        )

    def tell(self, batch: ChangeBatch) -> None:
        """Say what *batch* has that is odd."""
        if batch.resync:
            count = len(batch.changes)
            self._say(
                "resync: etcd could not tell what was missed; reading again showed "
                f"{count} {'difference' if count == 1 else 'differences'}"
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
    return f"{escape(found.key)}: {found.reason}"
