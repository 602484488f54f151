"""Change the metadata of an endpoint: JSON Merge Patch (RFC 7396)."""

from __future__ import annotations

from collections.abc import Mapping

from .model import JSON

__all__ = ["merge_patch"]


def merge_patch(value: JSON, patch: JSON) -> JSON:
    """
    Return *value* changed by *patch*, as RFC 7396 says; neither argument is changed.

    The members of an object in *patch* replace those of *value*, object by object; ``None`` removes
    a member. A *patch* that is not an object replaces *value*, and a *value* that is not an object
    counts as an empty one.

    >>> merge_patch({"zone": "a", "weight": 1}, {"weight": 3, "zone": None})
    {'weight': 3}
    """
    if not isinstance(patch, Mapping):
        return patch
    result = _members(value)
    unmerged = [(result, patch)]  # a list of its own: Python's stack may not be deep enough
    while unmerged:
        merged, changes = unmerged.pop()
        for name, each in changes.items():
            if each is None:
                merged.pop(name, None)
            elif isinstance(each, Mapping):
                merged[name] = inner = _members(merged.get(name))
                unmerged.append((inner, each))
            else:
                merged[name] = each
    return result


def _members(value: JSON) -> dict[str, JSON]:
    return dict(value) if isinstance(value, Mapping) else {}
