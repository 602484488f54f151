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
    merged = dict(value) if isinstance(value, Mapping) else {}
    for name, each in patch.items():
        if each is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), each)
    return merged
