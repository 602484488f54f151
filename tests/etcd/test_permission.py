"""Denied permissions: the error names the user, the permission and the keys; etcd's does not."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from harness import READER, Etcd
from harness.watcher import Watcher

from etcdnaming.endpoints import transaction
from etcdnaming.endpoints.manager import EndpointManager
from etcdnaming.errors import PermissionDeniedError
from etcdnaming.etcd import Client, rpc
from etcdnaming.etcd.answers import explain_denial
from etcdnaming.model import Endpoint, Update

DENIED = "etcdserver: permission denied"


def put(key: bytes) -> rpc.RequestOp:
    """Return an operation that writes *key*."""
    return rpc.RequestOp(request_put=rpc.PutRequest(key=key))


def get(key: bytes) -> rpc.RequestOp:
    """Return an operation that reads *key*."""
    return rpc.RequestOp(request_range=rpc.RangeRequest(key=key))


@pytest.mark.parametrize(
    ("request_", "places"),
    [
        (rpc.RangeRequest(key=b"svc/e1"), "svc/e1"),
        (rpc.RangeRequest(key=b"svc/", range_end=b"svc0"), "the prefix svc/"),
        (rpc.RangeRequest(key=b"\0", range_end=b"\0"), "all keys"),
        (
            rpc.RangeRequest(key=b"svc/e1", range_end=b"svc0"),
            "the keys from svc/e1 to svc0",
        ),
        (rpc.DeleteRangeRequest(key=b"svc/\xff"), r"svc/\xff"),
        (
            rpc.LeaseRevokeRequest(ID=255),
            "the keys of lease 00000000000000ff",
        ),
        (rpc.TxnRequest(success=[get(b"a"), get(b"b")]), "a, b"),
        (
            rpc.TxnRequest(success=[put(b"a")], failure=[get(b"a")]),
            "a",
        ),
        (
            rpc.TxnRequest(success=[put(f"k{n}".encode()) for n in range(9)]),
            "k0, k1, k2 and 6 more",
        ),
    ],
)
def test_permission_error_names_the_keys(request_: rpc.RangeRequest, places: str) -> None:
    """Every kind of request is explained."""
    explained = explain_denial(PermissionDeniedError(DENIED), "user 'u'", "read", request_)
    assert str(explained) == f"{DENIED}: user 'u' needs read permission on {places}"
    assert explained.text == DENIED


@pytest.mark.server
def test_permission_error_of_etcd_names_the_user_and_the_keys(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """Calls and watches raise the same kind of error."""
    etcd = auth_etcd()
    name, _, password = READER.partition(":")
    with Client([etcd.endpoint], user=name, password=password) as client:
        with pytest.raises(PermissionDeniedError) as write:
            transaction.update(client, [Update.add("svc/e1", Endpoint("1"))])
        with pytest.raises(PermissionDeniedError) as read:
            EndpointManager(client, "other").list()
        with Watcher(client, target="other") as watcher:
            watch = watcher.wait_for_error()
    for error, needs in (
        (write.value, "readwrite permission on svc/e1"),
        (read.value, "read permission on the prefix other/"),
        (watch, "read permission on the prefix other/"),
    ):
        assert str(error) == f"{DENIED}: user 'reader' needs {needs}"
