"""These run where python-etcd3 is installed: `test_etcd3` makes such places."""

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
    """python-etcd3's client of ``etcd``, as a program has one."""
    import etcd3

    with etcd3.client(port=etcd.port) as client:
        yield client


@pytest.fixture
def client(etcd3_client: Any) -> Iterator[Client]:
    """Ours, on the channel of python-etcd3's."""
    with Client(channel=etcd3_client.channel) as client:
        yield client
