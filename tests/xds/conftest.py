"""Bridges, clients and services of the tests of xDS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from harness import Etcd, Spawn
from harness.backends import Backend
from harness.xds import Language, Xds, languages

from etcdnaming import Client, Endpoint, EndpointManager, Update


@pytest.fixture(params=languages())
def language(request: pytest.FixtureRequest) -> Language:
    """A language whose client is built; Python is in the default run, the others are marked."""
    found: Language = request.param
    found.command()
    return found


@pytest.fixture
def xds(spawn: Spawn, tmp_path: Path) -> Iterator[Xds]:
    """Bridges that follow ``etcd``, and clients of them."""
    with closing(Xds(spawn, tmp_path)) as xds:
        yield xds


@pytest.fixture
def xds_of(tmp_path: Path) -> Iterator[Callable[[Etcd], Xds]]:
    """``xds_of(etcd)``: the same for another etcd."""
    opened: list[Xds | Spawn] = []

    def make(etcd: Etcd) -> Xds:
        spawn = Spawn(etcd.endpoint)
        found = Xds(spawn, tmp_path)
        opened.extend((spawn, found))
        return found

    yield make
    for each in reversed(opened):
        each.close()


class Service:
    """Endpoints of ``foo/svc``."""

    def __init__(self, client: Client, target: str = "foo/svc") -> None:
        self._target = target
        self._manager = EndpointManager(client, target)

    def add(self, *backends: Backend | str, metadata: Any = None, lease: int | None = None) -> None:
        """Register them, in one transaction; each under its address."""
        addrs = [each if isinstance(each, str) else each.addr for each in backends]
        self._manager.update(
            [
                Update.add(f"{self._target}/{addr}", Endpoint(addr, metadata), lease=lease)
                for addr in addrs
            ]
        )

    def remove(self, *backends: Backend | str) -> None:
        """Deregister them, in one transaction."""
        addrs = [each if isinstance(each, str) else each.addr for each in backends]
        self._manager.update([Update.delete(f"{self._target}/{addr}") for addr in addrs])


@pytest.fixture
def service(client: Client) -> Service:
    """The service ``foo/svc``."""
    return Service(client)
