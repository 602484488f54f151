"""The names that the examples in docstrings use; the fixtures of the tests are in `tests`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

import etcdnaming
from etcdnaming import Client, Sandbox, aio

TARGET = "foo/svc"


@pytest.fixture(scope="session")
def _client_of_examples() -> Iterator[Client]:
    with Sandbox() as etcd, Client(etcd.endpoint) as client:
        yield client


@pytest.fixture(autouse=True)
def _names_of_examples(request: pytest.FixtureRequest) -> Iterator[None]:
    """
    Give an example all public names, and ``client`` and ``manager`` of an etcd that is empty.

    They are as after ``from etcdnaming import *``; in a module of `aio`, its names come first.
    """
    test = request.node.dtest if isinstance(request.node, pytest.DoctestItem) else None
    if test is None:
        yield
        return
    words = " ".join(example.source for example in test.examples)
    in_aio = test.name.startswith(aio.__name__)
    names = {name: getattr(etcdnaming, name) for name in etcdnaming.__all__ if name in words}
    if in_aio:
        names |= {name: getattr(aio, name) for name in aio.__all__ if name in words}
    test.globs.update({"asyncio": asyncio, "etcdnaming": etcdnaming, "time": time, **names})
    if "client" not in words and "manager" not in words:
        yield
        return
    client = request.getfixturevalue("_client_of_examples")
    manager = (aio if in_aio else etcdnaming).EndpointManager(client, TARGET)
    test.globs.update(client=client, manager=manager)
    yield
    etcdnaming.EndpointManager(client, "foo").delete_all()
