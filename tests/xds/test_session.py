"""One stream on the loop: a slow client, and what a change costs for many."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from harness import wait_until

from etcdnaming import Client, Endpoint, EndpointManager
from etcdnaming.xds import xds_pb2 as xds
from etcdnaming.xds.bridge.counters import Counters
from etcdnaming.xds.bridge.hub import Hub
from etcdnaming.xds.bridge.journal import StreamJournal
from etcdnaming.xds.bridge.server import CatalogSource
from etcdnaming.xds.bridge.session import Session
from etcdnaming.xds.catalog import Catalog
from etcdnaming.xds.names import Kind
from etcdnaming.xds.notice import Notice
from etcdnaming.xds.stream import Stream

NAMES = [f"foo/svc-{n}" for n in range(10)]


class Feed:
    """The requests of a client, and what it has read; it reads when `reads` is set."""

    def __init__(self) -> None:
        self.requests: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.read: list[xds.DiscoveryResponse] = []
        self.reads = asyncio.Event()
        self.taken = 0

    async def sent(self) -> AsyncIterator[bytes]:
        """Yield the requests."""
        while (data := await self.requests.get()) is not None:
            self.taken += 1
            yield data

    async def write(self, data: bytes) -> None:
        """Take a response, as soon as the client reads."""
        await self.reads.wait()
        self.read.append(xds.DiscoveryResponse.FromString(data))

    def ask(self, kind: Kind, *names: str, nonce: str = "") -> None:
        """Send a request."""
        request = xds.DiscoveryRequest(
            type_url=kind.type_url, resource_names=names, response_nonce=nonce
        )
        self.requests.put_nowait(request.SerializeToString())


@pytest.fixture
def catalog(client: Client) -> Any:
    """The endpoints below ``foo``."""
    manager = EndpointManager(client, "foo")
    for name in NAMES:
        manager.add_endpoint(f"{name}/e1", Endpoint("10.0.0.1:80"))
    notices: list[Notice] = []
    catalog = Catalog(client, ["foo"], lambda _: None, notices.append)
    catalog.start()
    wait_until(lambda: catalog.ready)
    yield catalog
    catalog.close()


def run(catalog: Catalog, test: Callable[[Feed, Session, Hub], Coroutine[Any, Any, None]]) -> None:
    """Run *test* with a stream."""

    async def main() -> None:
        counters = Counters()
        hub = Hub(catalog, 0.0)
        journal = StreamJournal(counters, lambda _: None, "nacks")
        source = CatalogSource(catalog, "off", 0)
        session = Session(source, hub, counters, journal, peer="test", max_names=100)
        feed = Feed()
        serving = asyncio.create_task(session.run(feed.sent(), feed.write))
        await test(feed, session, hub)
        feed.reads.set()
        feed.requests.put_nowait(None)
        await asyncio.wait_for(serving, 10)
        assert not hub.sessions
        assert not any(hub.subscribers(name) for name in NAMES)

    asyncio.run(main())


async def until(predicate: Callable[[], object]) -> None:
    """Return as soon as *predicate* is true."""
    for _ in range(4000):
        if predicate():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("still not true")


def test_changes_for_a_slow_client_add_up(catalog: Catalog, client: Client) -> None:
    """In a set of names: it gets the newest of each, once, when it reads again."""

    async def test(feed: Feed, session: Session, hub: Hub) -> None:
        feed.ask(Kind.ASSIGNMENT, *NAMES)
        await until(lambda: hub.subscribers(NAMES[0]))
        for _ in range(50):
            hub.changed({*NAMES}, 0.0)
            await asyncio.sleep(0)
        assert session.queued == len(NAMES)
        await asyncio.to_thread(
            EndpointManager(client, NAMES[0]).add_endpoint,
            f"{NAMES[0]}/e2",
            Endpoint("10.0.0.2:80"),
        )
        await until(lambda: len(catalog.endpoints(NAMES[0])) == 2)
        feed.reads.set()
        await until(lambda: len(feed.read) == 2)
        assert [len(each.resources) for each in feed.read] == [10, 1]
        assert session.queued == 0

    run(catalog, test)


def test_client_that_asks_and_does_not_read_is_not_read_either(catalog: Catalog) -> None:
    """Else its answers would add up here."""

    async def test(feed: Feed, session: Session, hub: Hub) -> None:
        for n in range(200):
            feed.ask(Kind.LISTENER, f"foo/{n}")
        await until(lambda: feed.taken >= 1)
        for _ in range(20):
            await asyncio.sleep(0.005)
        assert feed.taken <= 2
        feed.reads.set()
        await until(lambda: len(feed.read) == 200)
        assert [each.nonce for each in feed.read] == [str(n) for n in range(1, 201)]

    run(catalog, test)


def test_answers_and_changes_are_written_in_the_order_of_their_nonces(catalog: Catalog) -> None:
    """Two tasks write: one answers, the other one sends changes."""

    async def test(feed: Feed, session: Session, hub: Hub) -> None:
        feed.reads.set()
        feed.ask(Kind.ASSIGNMENT, *NAMES)
        await until(lambda: len(feed.read) == 1)
        feed.reads.clear()
        manager = EndpointManager(catalog.followers[0]._client, NAMES[0])
        for n in range(2, 5):  # a change waits for the client, then an answer, then a change
            await asyncio.to_thread(
                manager.add_endpoint, f"{NAMES[0]}/e{n}", Endpoint(f"10.0.0.{n}:80")
            )
            await until(lambda: len(catalog.endpoints(NAMES[0])) == n)  # noqa: B023 - awaited here
            hub.changed({NAMES[0]}, 0.0)
            feed.ask(Kind.LISTENER, f"foo/{n}")
            await asyncio.sleep(0)
        feed.reads.set()
        await until(lambda: len(feed.read) >= 6)
        nonces = [int(each.nonce) for each in feed.read]
        assert nonces == sorted(nonces)

    run(catalog, test)


def test_change_is_encoded_once_for_all_streams(catalog: Catalog, client: Client) -> None:
    """A hundred streams share the set, and the bytes of the endpoints that stay."""
    source = CatalogSource(catalog, "off", 0)
    streams = [Stream(source) for _ in range(100)]
    request = xds.DiscoveryRequest(type_url=Kind.ASSIGNMENT.type_url, resource_names=["foo/svc-0"])
    before = catalog.encodings
    first = [stream.receive(request, 0).response for stream in streams]
    assert catalog.encodings == before + 1
    EndpointManager(client, "foo/svc-0").add_endpoint("foo/svc-0/e2", Endpoint("10.0.0.2:80"))
    wait_until(lambda: len(catalog.endpoints("foo/svc-0")) == 2)

    pushed = [stream.push(Kind.ASSIGNMENT, ["foo/svc-0"], 1) for stream in streams]

    assert catalog.encodings == before + 2
    assert all(first)
    assert len({id(each.resources[0]) for each in pushed if each}) == 1
    assert len([each for each in pushed if each]) == 100
