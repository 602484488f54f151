"""The log of a server, in each output format."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from ...model import JSON
from .spelling import quote_go, safe_json

if TYPE_CHECKING:
    from ...xds.notice import Notice

__all__ = ["notice_speller"]


def notice_speller(name: str) -> Callable[[Notice], Sequence[str]]:
    """
    Return what spells a notice in the output format *name*, as lines.

    A log has no columns, so ``table`` is the text, as ``simple`` is.
    """
    if name == "json":
        return lambda notice: [_dumps(_members(notice))]
    if name == "fields":
        return _fields
    if name == "yaml":
        from .yaml import YAMLDocuments

        documents = YAMLDocuments()
        return lambda notice: "".join(documents.convert([_dumps(_members(notice))])).splitlines()
    return lambda notice: [notice.text]


def _members(notice: Notice) -> dict[str, JSON]:
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return {"time": now, "event": notice.event, "text": notice.text, **notice.fields}


def _fields(notice: Notice) -> Sequence[str]:
    """Return a block of lines, which ends in an empty one."""
    lines = []
    for name, value in _members(notice).items():
        spelled = quote_go(value) if isinstance(value, str) else _dumps(value)
        lines.append(f"{quote_go(name.title().replace('_', ''))} : {spelled}")
    return [*lines, ""]


def _dumps(value: JSON) -> str:
    return safe_json(json.dumps(value, default=list))
