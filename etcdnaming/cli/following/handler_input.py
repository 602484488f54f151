"""Make the input of the command that ``watch`` runs: its environment, and JSON for its stdin."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import chain

from ... import keys, wire
from ...model import ChangeBatch, StoredEndpoint
from ..output import json_objects as objects
from ..output.facts import event_type, subject
from ..output.spelling import quote_go, safe_json

__all__ = ["document", "variables"]

MAX_VARIABLE = 100_000
"""Bytes. Linux starts no program with a variable of more than 128 KiB."""


def variables(targets: Sequence[str], batches: Sequence[ChangeBatch]) -> dict[str, str]:
    """
    Return the variables for *batches*: our own, and etcdctl's, which are in Go's quotes.

    They describe the last event; for a delete, the endpoint that was deleted. A value that is too
    long for a variable is left out; it is on stdin. The target is that of the event, or all of
    *targets* with blanks between them.
    """
    last = batches[-1]
    event, key, addr, metadata, value = _last_event(last)
    values = {
        "ETCDNAMING_WATCH_EVENT": event,
        "ETCDNAMING_WATCH_KEY": key,
        "ETCDNAMING_WATCH_ADDR": addr,
        "ETCDNAMING_WATCH_METADATA": metadata,
        "ETCDNAMING_WATCH_COUNT": str(sum(len(each.changes) for each in batches)),
        "ETCDNAMING_WATCH_REVISION": str(last.revision),
        "ETCDNAMING_WATCH_TARGET": _target_of(key, targets),
        "ETCD_WATCH_REVISION": str(last.revision),
        "ETCD_WATCH_EVENT_TYPE": quote_go(event),
        "ETCD_WATCH_KEY": quote_go(key),
        "ETCD_WATCH_VALUE": quote_go(value),
    }
    encoded = {name: _in_environment(text) for name, text in values.items()}
    return {name: text for name, text in encoded.items() if len(os.fsencode(text)) <= MAX_VARIABLE}


def document(batches: Sequence[ChangeBatch], endpoints: Mapping[str, StoredEndpoint]) -> bytes:
    """Return ``{"revision":…,"events":[…],"endpoints":[…]}``; events as in ``-w json``."""
    events = ",".join(chain.from_iterable(map(objects.events, batches)))
    current = ",".join(objects.stored_endpoint(endpoints[key]) for key in sorted(endpoints))
    revision = batches[-1].revision
    text = f'{{"revision":{revision},"events":[{events}],"endpoints":[{current}]}}'
    return safe_json(text).encode() + b"\n"


def _last_event(batch: ChangeBatch) -> tuple[str, str, str, str, str]:
    """Return the event, key, address, metadata, and the stored value."""
    if batch.first:
        return "SYNCED", "", "", "", ""
    change = batch.changes[-1]
    endpoint, _ = subject(change)
    value = "" if change.endpoint is None else keys.decode(wire.encode(change.endpoint))
    metadata = safe_json(wire.dumps(endpoint.metadata))
    return event_type(change), change.key, endpoint.addr, metadata, value


def _target_of(key: str, targets: Sequence[str]) -> str:
    found = [each for each in targets if key.startswith(f"{each}/")]
    return " ".join(found or targets)


def _in_environment(text: str) -> str:
    """Return *text* so that its variable is UTF-8 in any locale, and has no zero byte."""
    return os.fsdecode(keys.encode(text.replace("\0", r"\x00")))
