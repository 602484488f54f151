"""What is counted and reported of the streams: each refusal once, nothing for each change."""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Literal, TypeAlias

from ...model import JSON
from ..names import Kind
from ..notice import Notice, Notify
from ..stream import Receipt, Response
from .counters import Counters
from .session import Session

__all__ = ["Log", "StreamJournal", "kind_name"]

Log: TypeAlias = Literal["nacks", "streams", "all"]
"""What is reported of streams: what clients refuse; also when they come and go; every response."""

MAX_REMEMBERED = 1000
"""Refusals that are known as reported."""

LONGEST_ERROR = 500
"""Characters of a client's error that are shown."""

PAUSE = 10.0
"""Seconds between two reports of refused streams, for each reason."""


def kind_name(kind: Kind) -> str:
    """
    Return the last part of a type.

    >>> kind_name(Kind.ASSIGNMENT)
    'ClusterLoadAssignment'
    """
    return kind.value.rpartition(".")[2]


class StreamJournal:
    """Counts in *counters*, and reports to *notify* what *log* says."""

    def __init__(self, counters: Counters, notify: Notify, log: Log) -> None:
        self._counters, self._notify, self._log = counters, notify, log
        self._reported: dict[tuple[str, str, str], None] = {}
        self._refused_at: dict[str, float] = {}

    def opened(self, session: Session) -> None:
        """Note a new stream."""
        if self._log == "nacks":
            return
        self._notify(Notice("stream-opened", f"{session.peer}: stream opened", _of(session)))

    def closed(self, session: Session) -> None:
        """Note the end of a stream."""
        if self._log == "nacks":
            return
        node = session.stream.node
        text = f"{session.peer}: stream of {node.id or 'an unnamed node'} closed"
        self._notify(Notice("stream-closed", text, _of(session)))

    def refused(self, peer: str, reason: str, text: str) -> None:
        """Note that a stream was refused or ended for what it asked."""
        self._counters.refused[reason] += 1
        now = time.monotonic()
        if now - self._refused_at.get(reason, float("-inf")) >= PAUSE:
            self._refused_at[reason] = now
            fields: dict[str, JSON] = {"peer": peer, "reason": reason}
            self._notify(Notice("refused", f"{peer}: refused: {text}", fields))

    def request(self, session: Session, kind_url: str, receipt: Receipt) -> None:
        """Note what became of a request."""
        kind = kind_url.rpartition(".")[2]
        self._counters.stale_requests += receipt.stale
        if receipt.unknown:
            self._once(session, "unknown-type", kind_url, "", f"ignored a request for {kind_url!r}")
        elif receipt.refused:
            self._counters.nacks[kind] += 1
            error = receipt.refused[:LONGEST_ERROR]
            names = _listed(session.stream.names(_kind(kind_url)))
            self._once(session, "nack", kind, error, f"refused {kind} of {names}: {error}")

    def response(self, session: Session, response: Response, size: int) -> None:
        """Note what is written."""
        self._counters.responses[kind_name(response.kind)] += 1
        self._counters.response_bytes += size
        if self._log != "all":
            return
        text = (
            f"{session.peer}: {kind_name(response.kind)}, {len(response.resources)} resources, "
            f"{size} bytes"
        )
        self._notify(Notice("response", text, {**_of(session), "nonce": response.nonce}))

    def _once(self, session: Session, event: str, kind: str, error: str, text: str) -> None:
        node = session.stream.node
        known = node.id, kind, error
        if known in self._reported:
            return
        while len(self._reported) >= MAX_REMEMBERED:
            del self._reported[next(iter(self._reported))]
        self._reported[known] = None
        whom = f"{node.id or 'an unnamed node'} ({node.user_agent_name or 'unknown agent'})"
        fields = {**_of(session), "type": kind, "error": error}
        self._notify(Notice(event, f"{session.peer}: {whom}: {text}", fields))


def _kind(kind_url: str) -> Kind:
    return next(kind for kind in Kind if kind.type_url == kind_url)


def _listed(names: Collection[str]) -> str:
    shown = sorted(names)[:3]
    return ", ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _of(session: Session) -> dict[str, JSON]:
    node = session.stream.node
    return {"peer": session.peer, "node": node.id, "agent": node.user_agent_name}
