"""etcd's errors are classified by their text, also when a proxy changed the code to UNKNOWN."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import pytest
from harness import READER, Etcd, Proxy

from etcdnaming.errors import (
    AuthenticationError,
    CompactedError,
    EtcdError,
    FutureRevisionError,
    LeaseNotFoundError,
    MessageTooLargeError,
    PermissionDeniedError,
    RefusedError,
)
from etcdnaming.etcd import Client, rpc
from etcdnaming.etcd.answers import classify, classify_text
from etcdnaming.etcd.transactions import Put, transact

pytestmark = pytest.mark.server


def get(key: bytes = b"svc/e1", revision: int = 0) -> Callable[[Client], object]:
    """Return a call that reads *key*."""
    return lambda client: client._range(rpc.RangeRequest(key=key, revision=revision))


def write(*operations: Put) -> Callable[[Client], object]:
    """Return a call that executes *operations* in one transaction."""
    return lambda client: transact(client, [], operations, [])


PUT = Put(b"svc/e1", b"{}")

ANSWERS: list[tuple[Callable[[Client], object], type[EtcdError], str]] = [
    (get(revision=1), CompactedError, "required revision has been compacted"),
    (
        get(revision=1 << 40),
        FutureRevisionError,
        "required revision is a future revision",
    ),
    (
        write(Put(b"svc/e1", b"{}", lease=12345)),
        LeaseNotFoundError,
        "requested lease not found",
    ),
    (
        lambda client: client.lease_revoke(12345),
        LeaseNotFoundError,
        "requested lease not found",
    ),
    (
        write(*[Put(b"%d" % n, b"") for n in range(129)]),
        RefusedError,
        "too many operations",
    ),
    (write(PUT, PUT), RefusedError, "duplicate key"),
    (write(Put(b"", b"")), RefusedError, "key is not provided"),
    (
        write(Put(b"svc/none", b"", keep_lease=True)),
        RefusedError,
        "key not found",
    ),
    (
        write(Put(b"svc/e1", b"x" * 1_700_000)),
        MessageTooLargeError,
        "too large|larger than max",
    ),
]


@pytest.fixture(params=["direct", "proxy"])
def asked(
    request: pytest.FixtureRequest, etcd: Etcd, grpc_proxy: Callable[..., Proxy]
) -> Etcd | Proxy:
    """An etcd with a compacted revision, or the proxy in front of it."""
    etcd.put("svc/e1", "{}")
    etcd.ctl("compact", str(etcd.revision()))
    return etcd if request.param == "direct" else grpc_proxy(etcd)


def test_refused_call_raises_an_error_of_its_own_class(asked: Etcd | Proxy) -> None:
    """The class follows from etcd's message, which stays in the error."""
    for call, error, words in ANSWERS:
        with Client([asked.endpoint]) as client, pytest.raises(error, match=words):
            call(client)


@pytest.mark.parametrize("way", ["direct", "proxy"])
def test_authentication_and_permission_failures_raise_different_errors(
    auth_etcd: Callable[..., Etcd], grpc_proxy: Callable[..., Proxy], way: str
) -> None:
    """A wrong password, a missing user and a missing permission are distinguished."""
    etcd = auth_etcd()
    asked = etcd if way == "direct" else grpc_proxy(etcd)
    name, _, password = READER.partition(":")
    with (
        Client([asked.endpoint], user=name, password="wrong") as client,
        pytest.raises(AuthenticationError, match="authentication failed"),
    ):
        get()(client)
    with (
        Client([asked.endpoint]) as client,
        pytest.raises(AuthenticationError, match=r": set user$"),
    ):
        get()(client)
    with Client([asked.endpoint], user=name, password=password) as client:
        get()(client)
        with pytest.raises(PermissionDeniedError, match="permission denied"):
            write(PUT)(client)


class Failure(grpc.RpcError):
    """An error as gRPC raises it."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__()
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        """Return the status code."""
        return self._code

    def details(self) -> str:
        """Return the server's message."""
        return self._details


APPLIED_OR_NOT = ["etcdserver: request timed out", "etcdserver: server stopped"]
NOT_APPLIED = [
    "etcdserver: no leader",
    "etcdserver: leader changed",
    "etcdserver: too many requests",
    "raft proposal dropped",
    "failed to connect to all addresses; last error: x",
]


@pytest.mark.parametrize("text", NOT_APPLIED)
@pytest.mark.parametrize("writes", [True, False])
def test_call_is_repeated_when_it_was_certainly_not_applied(text: str, writes: bool) -> None:
    """The call may go to another member; the error texts stand in for rare failures of etcd."""
    answer = classify(Failure(grpc.StatusCode.UNAVAILABLE, text), "m", writes=writes)
    assert (answer.leave, answer.repeat) == (True, True)


@pytest.mark.parametrize("text", [*APPLIED_OR_NOT, "Socket closed", "unheard of"])
@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.UNKNOWN])
def test_write_is_not_repeated_when_its_outcome_is_unknown(
    text: str, code: grpc.StatusCode
) -> None:
    """A read with the same error is repeated."""
    written = classify(Failure(code, text), "m", writes=True)
    read = classify(Failure(code, text), "m", writes=False)
    assert (written.repeat, read.repeat) == (False, True)
    assert "may have been applied" in str(written.error)
    assert "may have been applied" not in str(read.error)


@pytest.mark.parametrize("code", [grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNKNOWN])
def test_answer_that_is_late_is_one_on_whichever_side_it_is_noticed(code: grpc.StatusCode) -> None:
    """etcd's timeout is ours; its answer that the time is over may come before gRPC says so."""
    error = classify(Failure(code, "context deadline exceeded"), "m", writes=True).error
    assert str(error) == "m: no answer in time: the change may have been applied"


@pytest.mark.parametrize(("text", "reason"), [("not today", "not today"), ("", "no reason given")])
def test_watch_that_is_refused_in_other_words_fails_with_them(text: str, reason: str) -> None:
    """A proxy may have words of its own, or none."""
    error = classify_text(text, "m")
    assert (type(error), str(error)) == (RefusedError, f"m: watch refused: {reason}")
