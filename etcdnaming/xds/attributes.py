"""Metadata of an endpoint that means something to load balancing: weight, zone, draining."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ..model import JSON

__all__ = ["AttributeKeys", "Attributes", "read_attributes"]

MAX_WEIGHT = 1_000_000


class AttributeKeys(NamedTuple):
    """The members of the metadata, a JSON object, that are read."""

    weight: str = "weight"
    zone: str = "zone"
    draining: str = "draining"


class Attributes(NamedTuple):
    """
    The share of calls an endpoint gets, relative to the others, and where it is.

    *draining*: no new calls.
    """

    weight: int = 1
    zone: str = ""
    draining: bool = False


DEFAULT = Attributes()


def read_attributes(metadata: JSON, keys: AttributeKeys) -> tuple[Attributes, str]:
    """
    Return the attributes in *metadata*, and what is wrong with them; empty if nothing is.

    A value that can't be used counts as missing. Weight 0 means draining.

    >>> read_attributes({"weight": 3, "zone": "a"}, AttributeKeys())
    (Attributes(weight=3, zone='a', draining=False), '')
    >>> read_attributes({"weight": "3"}, AttributeKeys())[1]
    "weight '3' is not an integer from 0 to 1000000"
    """
    if not isinstance(metadata, Mapping):
        return DEFAULT, ""
    problems = []
    weight, zone = metadata.get(keys.weight, 1), metadata.get(keys.zone, "")
    draining = metadata.get(keys.draining, False)
    if isinstance(weight, float) and weight.is_integer():
        weight = int(weight)  # the same number in JSON, and for Go
    if type(weight) is not int or not 0 <= weight <= MAX_WEIGHT:
        problems.append(f"{keys.weight} {_shown(weight)} is not an integer from 0 to {MAX_WEIGHT}")
        weight = 1
    if not isinstance(zone, str) or not _is_utf8(zone):
        problems.append(f"{keys.zone} {_shown(zone)} is not a string")
        zone = ""
    if not isinstance(draining, bool):
        problems.append(f"{keys.draining} {_shown(draining)} is neither true nor false")
        draining = False
    attributes = Attributes(weight or 1, zone, draining or weight == 0)
    return attributes, "; ".join(problems)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(value: JSON) -> str:
    if isinstance(value, (Mapping, list)):
        return "an object" if isinstance(value, Mapping) else "an array"  # of any depth
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "…"
