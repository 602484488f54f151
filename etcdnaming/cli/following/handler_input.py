"""What a command that ``watch`` runs is told: variables in its environment, JSON on its stdin."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import chain

from ... import keys, wire
from ...model import ChangeBatch, StoredEndpoint
from ..output import json_objects as objects
from ..output.changes import event_type, subject
from ..output.spelling import quote_go, safe_json

__all__ = ["document", "variables"]

LONGEST = 100_000
"""Bytes. Linux starts nothing that has a variable of more than 128 KiB."""


def variables(target: str, batches: Sequence[ChangeBatch]) -> dict[str, str]:
    """
    Return the variables for *batches*: ours, and etcdctl's in Go's quotes, as etcdctl has them.

    They are about the last event, of which a delete has what went away. What is too long for a
    variable has none; stdin has it.
    """
    last = batches[-1]
    event, key, addr, metadata, value = _last_event(last)
    told = {
        "ETCDNAMING_WATCH_EVENT": event,
        "ETCDNAMING_WATCH_KEY": key,
        "ETCDNAMING_WATCH_ADDR": addr,
        "ETCDNAMING_WATCH_METADATA": metadata,
        "ETCDNAMING_WATCH_COUNT": str(sum(len(each.changes) for each in batches)),
        "ETCDNAMING_WATCH_REVISION": str(last.revision),
        "ETCDNAMING_WATCH_TARGET": target,
        "ETCD_WATCH_REVISION": str(last.revision),
        "ETCD_WATCH_EVENT_TYPE": quote_go(event),
        "ETCD_WATCH_KEY": quote_go(key),
        "ETCD_WATCH_VALUE": quote_go(value),
    }
    spelled = {name: _in_environment(text) for name, text in told.items()}
    return {name: text for name, text in spelled.items() if len(os.fsencode(text)) <= LONGEST}


def document(batches: Sequence[ChangeBatch], endpoints: Mapping[str, StoredEndpoint]) -> bytes:
    """Return ``{"revision":…,"events":[…],"endpoints":[…]}``; events as ``-w json`` has them."""
    events = ",".join(chain.from_iterable(map(objects.events, batches)))
    there = ",".join(objects.stored_endpoint(endpoints[key]) for key in sorted(endpoints))
    revision = batches[-1].revision
    text = f'{{"revision":{revision},"events":[{events}],"endpoints":[{there}]}}'
    return safe_json(text).encode() + b"\n"


def _last_event(batch: ChangeBatch) -> tuple[str, str, str, str, str]:
    """Return event, key, address, metadata, and the value as it is stored."""
    if batch.first:
        return "SYNCED", "", "", "", ""
    change = batch.changes[-1]
    endpoint, _ = subject(change)
    value = "" if change.endpoint is None else keys.decode(wire.encode(change.endpoint))
    metadata = safe_json(wire.dumps(endpoint.metadata))
    return event_type(change), change.key, endpoint.addr, metadata, value


def _in_environment(text: str) -> str:
    """Return what becomes *text* in UTF-8, whatever the locale, and has no zero byte."""
    return os.fsdecode(keys.encode(text.replace("\0", r"\x00")))
