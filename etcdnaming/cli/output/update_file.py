"""
Updates as the lines of an update file, which ``txn-update`` reads.

Conditions and leases, which such a line can't express, are comments above it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from json.encoder import encode_basestring, encode_basestring_ascii

from ...model import Condition, Update
from ...wire import dumps
from .spelling import escape, lease_id, safe_json

__all__ = ["update_lines"]


def update_lines(updates: Sequence[Update], conditions: Sequence[Condition]) -> Iterator[str]:
    r"""
    Yield the lines of an update file.

    >>> from etcdnaming.model import Endpoint, Update
    >>> [*update_lines([Update.add("svc/e1", Endpoint("1.2.3.4:80", "a"), lease=0)], [])]
    ['# with no lease\n', 'add svc/e1 1.2.3.4:80 "a"\n']
    """
    for condition in conditions:
        yield f"# if {escape(str(condition))}\n"
    for update in updates:
        if update.lease is not None:
            yield f"# with {f'lease {lease_id(update.lease)}' if update.lease else 'no lease'}\n"
        yield _line(update)


def _line(update: Update) -> str:
    if update.endpoint is None:
        return f"del {_word(update.key)}\n"
    metadata = safe_json(dumps(update.endpoint.metadata))
    return f"add {_word(update.key)} {_word(update.endpoint.addr)} {metadata}\n"


def _word(text: str) -> str:
    if text.isprintable() and text and " " not in text and text[0] != '"':
        return text
    # The ASCII escapes (\udcNN) preserve even bytes that are not UTF-8.
    return encode_basestring(text) if text.isprintable() else encode_basestring_ascii(text)
