"""
What an answer of etcd means: the only place that turns an ``RpcError`` into an error of ours.

etcd's text decides before the gRPC code: the grpc-proxy keeps the text and turns every code into
UNKNOWN. Texts are those of etcd's ``api/v3rpc/rpctypes/error.go``.
"""

from __future__ import annotations

from typing import NamedTuple

import grpc

from ..errors import (
    AuthenticationError,
    CompactedError,
    ConnectionFailedError,
    EtcdError,
    FutureRevisionError,
    LeaseNotFoundError,
    MessageTooLargeError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RefusedError,
)

__all__ = [
    "Answer",
    "NotNowError",
    "TokenRefusedError",
    "lacks_space",
    "understand",
    "understand_text",
]


class TokenRefusedError(AuthenticationError):
    """The token is missing, too old or unknown, so nothing was applied. A new login may help."""


class NotNowError(RefusedError):
    """A member can't answer now. Another one may, or this one later."""


class Answer(NamedTuple):
    """
    What a failed call means.

    *error* is raised unless the call can be made again (*repeat*); *leave*: not from this member.
    """

    error: EtcdError
    leave: bool = False
    repeat: bool = False


_REFUSED: tuple[tuple[str, type[RefusedError]], ...] = (
    ("permission denied", PermissionDeniedError),
    ("requested lease not found", LeaseNotFoundError),
    ("required revision has been compacted", CompactedError),
    ("required revision is a future revision", FutureRevisionError),
    ("request is too large", MessageTooLargeError),
)

_LOGIN = ("invalid auth token", "revision of auth store is old", "user name is empty")

# Said before anything is proposed, or because a proposal was dropped.
_ELSEWHERE = (
    "no leader",
    "leader changed",
    "not capable",
    "too many requests",
    "rpc not supported for learner",
    "raft proposal dropped",
)

# Said after a proposal was handed on, whose fate the member does not know.
_UNKNOWN = ("request timed out", "server stopped", "applied index took too long")

# How etcd's words begin, wherever a proxy has put its own before them.
_ETCD = ("etcdserver: ", "raft proposal dropped", "auth: ")

_CODES = grpc.StatusCode


def understand(exc: grpc.RpcError, member: str, *, writes: bool) -> Answer:
    """Return what the failure *exc* of a call to *member* means."""
    code, details = exc.code(), exc.details() or ""
    said = _etcds_words(details)
    if said:
        return _etcd_said(said, member, writes=writes)
    if code is _CODES.RESOURCE_EXHAUSTED:
        return Answer(MessageTooLargeError(f"{member}: {details}"))
    if code is _CODES.UNIMPLEMENTED:
        return Answer(RefusedError(f"{member} does not speak etcd's v3 API"))
    if code is _CODES.UNAVAILABLE and _never_sent(details):
        return _elsewhere(ConnectionFailedError(f"{member}: connection lost"))
    if code is _CODES.DEADLINE_EXCEEDED:
        return _unanswered(member, "no answer in time", writes=writes)
    why = details.rpartition(": ")[2].removeprefix("Stream removed ").strip("()")
    return _unanswered(member, f"connection lost: {why}", writes=writes)


def understand_text(text: str, member: str) -> EtcdError:
    """Return the error that the words of a refused watch are."""
    said = _etcds_words(text)
    if said:
        return _etcd_said(said, member, writes=False).error
    return RefusedError(f"{member}: watch refused: {text or 'no reason given'}")


def lacks_space(exc: EtcdError) -> bool:
    """Say whether a write failed because etcd's database is as large as it may be."""
    return "database space exceeded" in str(exc)


def _etcds_words(text: str) -> str:
    return next((text[text.index(begin) :] for begin in _ETCD if begin in text), "")


def _etcd_said(text: str, member: str, *, writes: bool) -> Answer:
    for part, error in _REFUSED:
        if part in text:
            return Answer(error(text))
    if "authentication failed" in text:
        return Answer(AuthenticationError(f"{member}: {text}"))
    if any(part in text for part in _LOGIN):
        return Answer(TokenRefusedError(f"{member}: {text}"))
    if any(part in text for part in _ELSEWHERE):
        return _elsewhere(NotNowError(text))
    if any(part in text for part in _UNKNOWN):
        return _unanswered(member, text, writes=writes)
    return Answer(RefusedError(text))


def _elsewhere(error: EtcdError) -> Answer:
    return Answer(error, leave=True, repeat=True)


def _unanswered(member: str, reason: str, *, writes: bool) -> Answer:
    if writes:
        return Answer(OutcomeUnknownError(member, reason), leave=True)
    return Answer(ConnectionFailedError(f"{member}: {reason}"), leave=True, repeat=True)


def _never_sent(details: str) -> bool:
    return "failed to connect" in details or "errors resolving" in details
