"""etcd's JSON gateway, for work that would take hundreds of runs of etcdctl."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection
from itertools import islice
from typing import Any

__all__ = ["empty", "put_all"]

OPERATIONS = 128  # etcd's default limit for one transaction


def empty(endpoint: str) -> None:
    """Delete every key and revoke every lease."""
    with closing(HTTPConnection(endpoint, timeout=30)) as connection:
        _call(connection, "kv/deleterange", {"key": "AA==", "range_end": "AA=="})
        for lease in _call(connection, "lease/leases", {}).get("leases", []):
            _call(connection, "lease/revoke", {"ID": lease["ID"]})


def put_all(endpoint: str, values: Mapping[bytes, bytes]) -> None:
    """Store all of *values*, in transactions of 128 keys."""
    puts = iter(
        {"requestPut": {"key": _base64(key), "value": _base64(value)}}
        for key, value in values.items()
    )
    with closing(HTTPConnection(endpoint, timeout=30)) as connection:
        while batch := list(islice(puts, OPERATIONS)):
            _call(connection, "kv/txn", {"success": batch})


def _call(connection: HTTPConnection, method: str, message: object) -> Any:
    connection.request("POST", f"/v3/{method}", json.dumps(message))
    with connection.getresponse() as response:
        answer = json.load(response)
    assert response.status == 200, answer
    return answer


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
