"""
What an answer of etcd means: the only place that turns an ``RpcError`` into an error of ours.

etcd's text decides before the gRPC code: the grpc-proxy keeps the text and turns every code into
UNKNOWN. Texts are those of etcd's ``api/v3rpc/rpctypes/error.go``.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import grpc

from ..errors import (
    AuthenticationError,
    CompactedError,
    ConnectionFailedError,
    EtcdError,
    FutureRevisionError,
    InvalidAnswerError,
    LearnerError,
    LeaseNotFoundError,
    MessageTooLargeError,
    NoSpaceError,
    NotNowError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RefusedError,
    TokenRefusedError,
)

__all__ = [
    "RpcFailure",
    "classify",
    "classify_text",
    "invalid",
    "lacks_space",
]


class RpcFailure(NamedTuple):
    """
    What a failed call means.

    *error* is raised unless the call can be made again (*repeat*); *leave*: not from this member.
    *sent*: the request may have reached it.
    """

    error: EtcdError
    leave: bool = False
    repeat: bool = False
    sent: bool = True


_REFUSED: tuple[tuple[str, type[RefusedError]], ...] = (
    ("permission denied", PermissionDeniedError),
    ("requested lease not found", LeaseNotFoundError),
    ("required revision has been compacted", CompactedError),
    ("required revision is a future revision", FutureRevisionError),
    ("request is too large", MessageTooLargeError),
)

_LOGIN = ("invalid auth token", "revision of auth store is old", "user name is empty")

_LEARNER = "rpc not supported for learner"

# Said before anything is proposed, or because a proposal was dropped.
_ELSEWHERE = (
    "no leader",
    "leader changed",
    "not capable",
    "too many requests",
    _LEARNER,
    "raft proposal dropped",
)

# Said after a proposal was handed on, whose fate the member does not know.
_UNKNOWN = ("request timed out", "server stopped", "applied index took too long")

# etcd checks its quota before it proposes a write, and again after it has applied it. The words are
# the same, so that only the database can tell which it was.
_NO_SPACE = "database space exceeded"

# How etcd's words begin, wherever a proxy has put its own before them.
_ETCD = ("etcdserver: ", "raft proposal dropped", "auth: ")

# What gRPC says of a message; of Go's words only the end is the same.
_MESSAGE_SIZE = re.compile(r"larger than max \(([0-9]+) vs")

# Go's words for a deadline, which etcd sends under another code if it notices it before we do.
_GO_DEADLINE = "context deadline exceeded"

_CODES = grpc.StatusCode


def classify(exc: grpc.RpcError, member: str, *, writes: bool, sent: int = 0) -> RpcFailure:
    """
    Return what the failure *exc* of a call to *member* means; *sent* are its request's bytes.

    The traceback of *exc* is removed. It holds frames of gRPC, and with them the connection, which
    gRPC would connect again and again as long as anything keeps the error. The error of a stream is
    the call itself and in such a frame, a cycle: only the garbage collector would end it.
    """
    exc.__traceback__ = None
    code, details = exc.code(), exc.details() or ""
    said = _etcds_words(details)
    if said:
        return _etcd_said(said, member, writes=writes)
    if code is _CODES.RESOURCE_EXHAUSTED:
        return _too_large(member, details, writes=writes, sent=sent)
    if code is _CODES.UNIMPLEMENTED:
        return RpcFailure(RefusedError(f"{member} does not speak etcd's v3 API"))
    if code is _CODES.UNAVAILABLE and _never_sent(details):
        error = ConnectionFailedError(f"{member}: connection lost")
        return RpcFailure(error, leave=True, repeat=True, sent=False)
    if code is _CODES.DEADLINE_EXCEEDED or details.endswith(_GO_DEADLINE):
        return _unanswered(member, "no answer in time", writes=writes)
    why = details.rpartition(": ")[2].removeprefix("Stream removed ").strip("()")
    return _unanswered(member, f"connection lost: {why or code.name}", writes=writes)


def invalid(fault: str, member: str, *, writes: bool) -> RpcFailure:
    """Return what an answer of *member* means that no etcd gives."""
    if writes:
        return RpcFailure(OutcomeUnknownError(member, _invalid(fault)), leave=True)
    return RpcFailure(InvalidAnswerError(fault, member), leave=True)


def classify_text(text: str, member: str) -> EtcdError:
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


def _etcd_said(text: str, member: str, *, writes: bool) -> RpcFailure:
    for part, error in _REFUSED:
        if part in text:
            return RpcFailure(error(text))
    if "authentication failed" in text:
        return RpcFailure(AuthenticationError(f"{member}: {text}"))
    if any(part in text for part in _LOGIN):
        return RpcFailure(TokenRefusedError(f"{member}: {text}"))
    if any(part in text for part in _ELSEWHERE):
        return _elsewhere(LearnerError(member) if _LEARNER in text else NotNowError(text))
    if any(part in text for part in _UNKNOWN):
        return _unanswered(member, text, writes=writes)
    no_space = writes and _NO_SPACE in text
    return RpcFailure(NoSpaceError(member, text) if no_space else RefusedError(text))


def _elsewhere(error: EtcdError) -> RpcFailure:
    return RpcFailure(error, leave=True, repeat=True)


def _unanswered(member: str, reason: str, *, writes: bool) -> RpcFailure:
    if writes:
        return RpcFailure(OutcomeUnknownError(member, reason), leave=True)
    return RpcFailure(ConnectionFailedError(f"{member}: {reason}"), leave=True, repeat=True)


def _too_large(member: str, details: str, *, writes: bool, sent: int) -> RpcFailure:
    """
    Tell a request that was too large to be taken from an answer that was too large to be received.

    Both have the same code and, with some versions of gRPC, the same words. But the words hold the
    size of the message. Headers have other words, which are the same for both sides, too.
    """
    if details.startswith("Stream removed ("):
        details = details[len("Stream removed (") : -1]
    why = details.partition(";")[0]  # what follows is a list of all headers
    size = _MESSAGE_SIZE.search(details)
    if writes and not (size and int(size[1]) == sent):
        return RpcFailure(OutcomeUnknownError(member, why))
    return RpcFailure(MessageTooLargeError(f"{member}: {why}"))


def _invalid(fault: str) -> str:
    return f"invalid answer, check any proxy in front of etcd: {fault}"


def _never_sent(details: str) -> bool:
    return "failed to connect" in details or "errors resolving" in details
