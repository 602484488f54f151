"""Keys without their values, but with their leases, which etcd 3.7 leaves out."""

from __future__ import annotations

from . import rpc_pb2 as rpc
from .client import Client

__all__ = ["range_keys"]


def range_keys(client: Client, request: rpc.RangeRequest) -> rpc.RangeResponse:
    """
    Return the answer to *request*, which asks for keys only, with their leases.

    etcd 3.7 answers it from an index that knows of no leases. So an answer without any is not
    believed: the same keys are asked for in an order for which etcd has to look at the values.
    """
    response = client.range(request)
    if response.kvs and not any(kv.lease for kv in response.kvs):
        looked_at = client.range(_by_value(request, response))
        leases = {kv.key: kv.lease for kv in looked_at.kvs}
        for kv in response.kvs:
            kv.lease = leases.get(kv.key, 0)
    return response


def _by_value(asked: rpc.RangeRequest, response: rpc.RangeResponse) -> rpc.RangeRequest:
    """Return the question for the keys of *response*, as they were then, in order of value."""
    found = [kv.key for kv in response.kvs]
    return rpc.RangeRequest(
        key=min(found),
        range_end=max(found) + b"\0",
        revision=asked.revision or response.header.revision,
        min_mod_revision=min(kv.mod_revision for kv in response.kvs),
        serializable=asked.serializable,
        keys_only=True,
        sort_target=rpc.RangeRequest.VALUE,
    )
