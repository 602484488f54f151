"""Fixtures for tests that `test_etcd3` runs where python-etcd3 is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest
from harness import Etcd

from etcdnaming.etcd import Client

collect_ignore_glob = [] if importlib.util.find_spec("etcd3") else ["test_*.py"]


@pytest.fixture
def etcd3_client(etcd: Etcd) -> Iterator[Any]:
    """Return python-etcd3's client of ``etcd``."""
    import etcd3

    with etcd3.client(port=etcd.port) as client:
        yield client


@pytest.fixture
def client(etcd3_client: Any) -> Iterator[Client]:
    """Return an etcdnaming client on the channel of python-etcd3's."""
    with Client(channel=etcd3_client.channel) as client:
        yield client
