"""
What an answer of etcd means: the only place that turns an ``RpcError`` into an error of ours.

etcd's text decides before the gRPC code: the grpc-proxy keeps the text and turns every code into
UNKNOWN. Texts are those of etcd's ``api/v3rpc/rpctypes/error.go``. A denied permission is explained
by what was asked, because etcd's words name neither user nor key.

The functions ``fault_of_…`` return what is wrong with an answer that no etcd gives, but a broken
proxy in front of one may; or an empty text. They are called for every answer, so that a caller can
rely on what it reads: pages that come to an end, an answer for each operation, a lease that can be
kept alive. They look at a few fields only, never at every key of a page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

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
from ..model import Header
from . import rpc_pb2 as rpc
from .columns import PageOfColumns

if TYPE_CHECKING:
    from google.protobuf.message import Message

__all__ = [
    "LAST_REVISION",
    "RpcFailure",
    "classify",
    "classify_text",
    "explain_denial",
    "fault_of_delete",
    "fault_of_grant",
    "fault_of_range",
    "fault_of_ttl",
    "fault_of_txn",
    "header_of",
    "invalid",
    "lacks_space",
]

LAST_REVISION = 2**63 - 2
"""A watch that resumes after this one would overflow the number etcd counts revisions with."""

MAX_TTL = 10 * 366 * 86400
"""Seconds. etcd grants more only to a client that asks for more."""

MAX_NAMED_KEYS = 3
"""Keys that are named; of a transaction of a hundred the rest is a number."""


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

# What gRPC says of a call that it had no connection for.
_NEVER_SENT = ("failed to connect", "errors resolving")

# Go's words for a deadline, which etcd sends under another code if it notices it before we do.
_GO_DEADLINE = "context deadline exceeded"

_CODES = grpc.StatusCode

# The operations of a transaction, and the results that belong to them.
_RESULTS = {
    "request_put": "response_put",
    "request_range": "response_range",
    "request_delete_range": "response_delete_range",
}


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
    if code is _CODES.UNAVAILABLE and any(part in details for part in _NEVER_SENT):
        error = ConnectionFailedError(f"{member}: connection lost")
        return RpcFailure(error, leave=True, repeat=True, sent=False)
    if code is _CODES.DEADLINE_EXCEEDED or details.endswith(_GO_DEADLINE):
        return _unanswered(member, "no answer in time", writes=writes)
    why = details.rpartition(": ")[2].removeprefix("Stream removed ").strip("()")
    return _unanswered(member, f"connection lost: {why or code.name}", writes=writes)


def invalid(fault: str, member: str, *, writes: bool) -> RpcFailure:
    """Return what an answer of *member* means that no etcd gives."""
    if writes:
        reason = f"invalid answer, check any proxy in front of etcd: {fault}"
        return RpcFailure(OutcomeUnknownError(member, reason), leave=True)
    return RpcFailure(InvalidAnswerError(fault, member), leave=True)


def classify_text(text: str, member: str) -> EtcdError:
    """Return the error that the words of a refused watch are."""
    said = _etcds_words(text)
    if said:
        return _etcd_said(said, member, writes=False).error
    return RefusedError(f"{member}: watch refused: {text or 'no reason given'}")


def lacks_space(exc: EtcdError) -> bool:
    """Say whether a write failed because etcd's database is as large as it may be."""
    return _NO_SPACE in str(exc)


def _etcds_words(text: str) -> str:
    return next((text[text.index(begin) :] for begin in _ETCD if begin in text), "")


def _etcd_said(text: str, member: str, *, writes: bool) -> RpcFailure:
    for part, refusal in _REFUSED:
        if part in text:
            return RpcFailure(refusal(text))
    if "authentication failed" in text:
        return RpcFailure(AuthenticationError(f"{member}: {text}"))
    if any(part in text for part in _LOGIN):
        return RpcFailure(TokenRefusedError(f"{member}: {text}"))
    if any(part in text for part in _ELSEWHERE):
        error = LearnerError(member) if _LEARNER in text else NotNowError(text)
        return RpcFailure(error, leave=True, repeat=True)
    if any(part in text for part in _UNKNOWN):
        return _unanswered(member, text, writes=writes)
    no_space = writes and _NO_SPACE in text
    return RpcFailure(NoSpaceError(member, text) if no_space else RefusedError(text))


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


def header_of(header: rpc.ResponseHeader, *, revision: int = 0) -> Header:
    """
    Return *header* as plain data; *revision* is the one that was read, if it is not the current.

    etcd's own header has the current revision, also in the answer to a read of an older one.
    """
    read_at = revision or header.revision
    return Header(header.cluster_id, header.member_id, read_at, header.raft_term)


def fault_of_range(request: rpc.RangeRequest, response: rpc.RangeResponse | PageOfColumns) -> str:
    """Check an answer to a read of a range, which may be a page of it."""
    found = response.kvs
    if response.more and not found:
        return "it announces more keys, but holds none"
    if response.count < len(found):
        return f"it counts {response.count} keys, but holds {len(found)}"
    # The next page begins after the last key, so a key before the range would be read for ever.
    if found and not (_is_asked(request, found[0].key) and _is_asked(request, found[-1].key)):
        return "it holds a key outside the range"
    return _fault_of_header(response.header)


def fault_of_txn(request: rpc.TxnRequest, response: rpc.TxnResponse) -> str:
    """Check an answer to a transaction."""
    asked = request.success if response.succeeded else request.failure
    due = [_RESULTS[each.WhichOneof("request")] for each in asked]
    if due != [each.WhichOneof("response") for each in response.responses]:
        return "its results are not those of the operations"
    if not (response.succeeded or request.compare):
        return "it has failed, without a condition"
    return _fault_of_header(response.header)


def fault_of_delete(request: rpc.DeleteRangeRequest, response: rpc.DeleteRangeResponse) -> str:
    """Check an answer to a deletion of a range."""
    if response.deleted < 0 or (request.prev_kv and len(response.prev_kvs) != response.deleted):
        return f"it counts {response.deleted} deleted keys, but holds {len(response.prev_kvs)}"
    return _fault_of_header(response.header)


def fault_of_grant(request: rpc.LeaseGrantRequest, response: rpc.LeaseGrantResponse) -> str:
    """Check a granted lease."""
    if response.ID == 0:
        return "it grants a lease without an ID"
    if response.TTL <= 0:
        return f"it grants a TTL of {response.TTL}s"
    return fault_of_ttl(response.TTL, request.TTL)


def fault_of_ttl(ttl: int, asked: int) -> str:
    """Check that *ttl*, in seconds, is not longer than any that etcd gives for *asked*."""
    return f"it gives a lease a TTL of {ttl}s" if ttl > max(MAX_TTL, asked) else ""


def _fault_of_header(header: rpc.ResponseHeader) -> str:
    if 0 < header.revision <= LAST_REVISION:
        return ""
    return f"its revision is {header.revision}"


def _is_asked(request: rpc.RangeRequest, key: bytes) -> bool:
    if not request.range_end:
        return key == request.key
    # One zero byte as the end is no end.
    return request.key <= key and (key < request.range_end or request.range_end == b"\0")


def explain_denial(
    denied: PermissionDeniedError, user: str, permission: str, request: Message
) -> PermissionDeniedError:
    """Return *denied* with *user*, and the keys of *request* that need *permission*."""
    places = list(dict.fromkeys(map(_place, _parts(request))))
    more = f" and {len(places) - MAX_NAMED_KEYS} more" if len(places) > MAX_NAMED_KEYS else ""
    return PermissionDeniedError(
        denied.text,
        f"{user} needs {permission} permission on {', '.join(places[:MAX_NAMED_KEYS])}{more}",
    )


def _parts(request: Message) -> Iterator[Message]:
    """Yield the operations of a transaction; any other request is one."""
    if not isinstance(request, rpc.TxnRequest):
        yield request
        return
    for each in (*request.success, *request.failure):
        yield getattr(each, each.WhichOneof("request") or "request_put")


def _place(part: Message) -> str:
    if isinstance(part, rpc.PutRequest):
        return _text(part.key)
    if isinstance(part, (rpc.RangeRequest, rpc.DeleteRangeRequest, rpc.WatchCreateRequest)):
        return _range(part.key, part.range_end)
    if isinstance(part, (rpc.LeaseRevokeRequest, rpc.LeaseTimeToLiveRequest)):
        return f"the keys of lease {part.ID:016x}"
    return "what it asks for"


def _range(start: bytes, end: bytes) -> str:
    if not end:
        return _text(start)
    if start == end == b"\0":
        return "all keys"
    if start and end[:-1] == start[:-1] and end[-1] == start[-1] + 1:
        return f"the prefix {_text(start)}"
    return f"the keys from {_text(start)} to {_text(end)}"


def _text(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")
