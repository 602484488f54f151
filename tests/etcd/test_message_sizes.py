"""Too large an answer leaves a write's outcome unknown; too large a request is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import grpc
import pytest
from harness import Etcd, Run
from harness.hostile import HostileProxy

from etcdnaming import Client, Endpoint, EndpointManager
from etcdnaming.errors import MessageTooLargeError, OutcomeUnknownError
from etcdnaming.etcd.transactions import Put, transact
from etcdnaming.model import Update

pytestmark = pytest.mark.server

MANY = 6
LARGE = Endpoint("1.1.1.1:1", "x" * 1_000_000)
SMALL = Endpoint("2.2.2.2:2")
HEADERS = tuple((f"h{number}", "x" * 1_000) for number in range(200))


@pytest.fixture
def given(etcd: Etcd) -> Iterator[Client]:
    """A client of a plain gRPC channel, which receives at most 4 MiB in a message."""
    with grpc.insecure_channel(etcd.endpoint) as channel, Client(channel=channel) as client:
        yield client


@pytest.fixture
def stored(client: Client) -> dict[str, Endpoint]:
    """Store endpoints with 6 MB of values, and return them."""
    endpoints = {f"svc/e{number}": LARGE for number in range(MANY)}
    manager = EndpointManager(client, "svc")
    for key, endpoint in endpoints.items():
        manager.add_endpoint(key, endpoint)
    return endpoints


def replace_all(client: Client) -> object:
    """Replace the endpoints, and request the previous ones."""
    updates = [Update.add(f"svc/e{number}", SMALL) for number in range(MANY)]
    return EndpointManager(client, "svc").update(updates, previous=True)


def delete_each(client: Client) -> object:
    """Delete the endpoints in one transaction, whose answer always contains the previous ones."""
    updates = [Update.delete(f"svc/e{number}") for number in range(MANY)]
    return EndpointManager(client, "svc").update(updates)


def delete_all(client: Client) -> object:
    """Delete the endpoints, and request the previous ones."""
    return EndpointManager(client, "svc").delete_all(previous=True)


@pytest.mark.parametrize("write", [replace_all, delete_each, delete_all])
def test_write_has_an_unknown_outcome_when_its_answer_is_too_large(
    etcd: Etcd,
    given: Client,
    stored: dict[str, Endpoint],
    write: Callable[[Client], object],
) -> None:
    """The client can't receive the answer, but etcd has applied the write."""
    with pytest.raises(OutcomeUnknownError, match=r"larger than max.*may have been applied"):
        write(given)

    assert all(len(value) < 1_000 for value in etcd.get("svc/").values())


def test_write_has_an_unknown_outcome_when_its_answer_headers_are_too_large(
    etcd: Etcd, run: Run
) -> None:
    """The limit for headers also applies to our own channels, and the error is one line."""
    with HostileProxy(etcd.endpoint) as proxy:
        proxy.headers = dict.fromkeys(("Txn", "LeaseGrant", "DeleteRange"), HEADERS)
        etcd.put("svc/e2", "{}")
        commands = (
            ("add", "svc/e1", "--addr", "1:1"),
            ("add", "svc/e1", "--addr", "1:1", "--ttl", "60"),
            ("del", "svc/e2"),
            ("txn-update", "--del", "svc/e1", "--del", "svc/e2"),
        )
        for command in commands:
            result = run("--endpoints", proxy.endpoint, *command)
            assert (result.status, result.out) == (1, ""), command
            assert result.err.startswith(f"Error: {proxy.endpoint}: received ")
            assert result.err.endswith("the change may have been applied\n")
            assert result.err.count("\n") == 1
    assert etcd.get("svc/") == {}


def test_read_fails_when_its_answer_headers_are_too_large(etcd: Etcd) -> None:
    """A read changes nothing, so its outcome is never unknown."""
    with HostileProxy(etcd.endpoint) as proxy, Client([proxy.endpoint]) as client:
        proxy.headers["Range"] = HEADERS
        with pytest.raises(MessageTooLargeError, match=r"received .*metadata"):
            EndpointManager(client, "svc").list()


@pytest.mark.parametrize("size", [1_600_000, 3_000_000])
def test_write_is_refused_when_it_is_too_large_for_etcd(
    etcd: Etcd, client: Client, size: int
) -> None:
    """Either etcd or its gRPC server refuses the request."""
    with pytest.raises(MessageTooLargeError, match=r"too large|larger than max"):
        transact(client, [], [Put(b"svc/e1", b"x" * size)], [])
    assert etcd.get("svc/") == {}


def test_write_is_refused_when_it_is_too_large_for_the_channel(etcd: Etcd) -> None:
    """The request is not sent."""
    options = [("grpc.max_send_message_length", 10_000)]
    with (
        grpc.insecure_channel(etcd.endpoint, options) as channel,
        Client(channel=channel) as client,
        pytest.raises(MessageTooLargeError, match="larger than max"),
    ):
        EndpointManager(client, "svc").add_endpoint("svc/e1", LARGE)
    assert etcd.get("svc/") == {}


def test_write_is_refused_when_it_is_too_large_for_a_proxy(etcd: Etcd) -> None:
    """A proxy's error for a request reads like ours for an answer, so the request size decides."""
    with (
        HostileProxy(etcd.endpoint, max_request=10_000) as proxy,
        Client([proxy.endpoint]) as client,
        pytest.raises(MessageTooLargeError, match="larger than max"),
    ):
        EndpointManager(client, "svc").add_endpoint("svc/e1", LARGE)
    assert etcd.get("svc/") == {}
