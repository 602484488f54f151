"""The option ``--selector``, in kubectl's syntax: ``zone=a,weight!=0`` selects by metadata."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import click

from ..model import JSON, Endpoint
from ..wire import dumps
from .parsing import Parsed

__all__ = ["SELECTOR", "Selector", "parse_selector"]

# "!" and a name, or a name with "=", "==" or "!=" and a value; a value may be a JSON string.
_VALUE = r'"(?:[^"\\]|\\.)*"|[^",=]*'
_REQUIREMENT = rf"\s*(?:!\s*([^\s=!,]+)|([^\s=!,]+)\s*(?:(!=|==?)\s*({_VALUE}))?)\s*"

EXAMPLE = "zone=a,weight!=0,version,!draining"


class _Requirement(NamedTuple):
    """*name* has the value *text* (``None``: any value); the opposite if *is_negated*."""

    name: str
    text: str | None
    is_negated: bool

    def is_met(self, members: Mapping[str, JSON]) -> bool:
        return self._is_equal(members) is not self.is_negated

    def _is_equal(self, members: Mapping[str, JSON]) -> bool:
        if self.name not in members:
            return False
        value = members[self.name]
        return self.text is None or self.text in (value, dumps(value))


class Selector(NamedTuple):
    """
    Requirements, all of which an endpoint must meet.

    As in kubectl, ``k!=v`` is also met without a member *k*. Metadata that is not an object has no
    members. A value is the text of a string, or the JSON of any value: ``weight=0`` selects the
    number and the string, ``weight="0"`` the string only.
    """

    requirements: tuple[_Requirement, ...]

    def matches(self, endpoint: Endpoint) -> bool:
        """Return whether *endpoint* is selected."""
        metadata = endpoint.metadata
        members = metadata if isinstance(metadata, Mapping) else {}
        return all(each.is_met(members) for each in self.requirements)


def parse_selector(text: str) -> Selector:
    """
    Parse the value of ``--selector``.

    >>> len(parse_selector('zone=a, weight!=0, version, !draining').requirements)
    4
    """
    requirement = re.compile(_REQUIREMENT)  # on first use, because --help would pay for it too
    found, at = [], 0
    while at <= len(text):
        part = requirement.match(text, at)
        if not part or text[part.end() : part.end() + 1] not in ("", ","):
            raise ValueError(f"{text!r} is not a selector such as {EXAMPLE}")
        absent, name, operator, value = part.groups()
        value = value and value.rstrip()
        found.append(_Requirement(absent or name, value, bool(absent) or operator == "!="))
        at = part.end() + 1
    return Selector(tuple(found))


SELECTOR = click.option(
    "--selector",
    type=Parsed("selector", parse_selector),
    metavar="SELECTOR",
    help="Only endpoints whose metadata matches, e.g. zone=a,weight!=0,version,!draining.",
)
