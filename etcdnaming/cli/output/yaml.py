"""
``yaml``: the objects of ``json`` as YAML documents, one for each object, ``---`` between two.

The text of each object is converted piece by piece. No YAML library is used: it would be slow to
import, would hold everything in memory, and would write numbers in its own notation. Strings keep
their quotes, so ``NO`` stays a string.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from ...model import ChangeBatch, StoredEndpoint
from .jsonlines import JSONLinesPrinter
from .printers import StateChange

__all__ = ["YAMLDocuments", "YAMLPrinter"]

SEPARATOR = "---\n"
INDENT = "  "

MAX_SIMPLE_KEY = 1000
"""Characters. YAML allows 1024 for a key in front of its colon; a longer one begins with "? "."""

# A string, with the colon behind it if it is the name of a member; a bracket; another scalar.
_JSON_TEXT = r'("[^"\\]*(?:\\.[^"\\]*)*")(:?)|([{\[])|([}\]])|([^\s,:"{}\[\]]+)'

_PLAIN_NAME = "[a-z]+(?:_[a-z0-9]+)*"
_RESERVED = frozenset({"false", "n", "no", "null", "off", "on", "true", "y", "yes"})
"""Words that YAML 1.1 reads as a boolean or as null."""

# JSON writes a character beyond U+FFFF as two escapes. The other escapes are those of YAML.
_ESCAPE = r"\\(?:u(d[89ab]..)\\u(d[c-f]..)|.)"


class YAMLPrinter(JSONLinesPrinter):
    """See `Printer`."""

    def __init__(self) -> None:
        self._documents = YAMLDocuments()

    def batch_lines(
        self, target: str, batch: ChangeBatch, endpoints: Mapping[str, StoredEndpoint]
    ) -> Iterator[str]:
        """A document for each event of the batch."""
        for line in super().batch_lines(target, batch, endpoints):
            yield from self._text([line])

    def state_lines(self, change: StateChange) -> Iterator[str]:
        """One document."""
        return self._text(super().state_lines(change))

    def _text(self, pieces: Iterable[str]) -> Iterator[str]:
        return self._documents.convert(pieces)


class _Container(NamedTuple):
    """An array or an object, and what its entries begin with."""

    is_array: bool
    margin: str


class YAMLDocuments:
    """Convert one object after another; ``---`` is put between the documents."""

    def __init__(self) -> None:
        # Compiled here, because no other format needs them.
        self._tokens = re.compile(_JSON_TEXT)
        self._plain_name, self._escape = re.compile(_PLAIN_NAME), re.compile(_ESCAPE, re.IGNORECASE)
        self._name = lru_cache(self._spell_name)  # a listing repeats few names
        self._is_first = True

    def convert(self, pieces: Iterable[str]) -> Iterator[str]:
        """Yield the document for the JSON in *pieces*, none of which ends within a token."""
        if not self._is_first:
            yield SEPARATOR
        self._is_first = False
        stack: list[_Container] = []
        unfilled = ""  # an opening bracket behind which nothing was found yet
        for piece in pieces:
            lines = list[str]()
            for string, colon, opening, closing, scalar in self._tokens.findall(piece):
                if closing:
                    if unfilled:
                        lines.append(f"{' ' if stack else ''}{unfilled}{closing}\n")
                        unfilled = ""
                    else:
                        stack.pop()
                    continue
                lead = stack[-1].margin if stack else ""
                if unfilled:
                    # Behind "-" the first entry is on the same line, behind a name on the next one.
                    margin = lead + INDENT if stack else ""
                    lead = "" if not stack else " " if stack[-1].is_array else f"\n{margin}"
                    stack.append(_Container(unfilled == "[", margin))
                    unfilled = ""
                if colon:
                    name = self._name(string)
                    is_long = len(name) > MAX_SIMPLE_KEY
                    between = f"\n{stack[-1].margin}:" if is_long else ":"
                    lines.append(f"{lead}{'? ' if is_long else ''}{name}{between}")
                    continue
                if stack and stack[-1].is_array:
                    lines.append(f"{lead}-")
                if opening:
                    unfilled = opening
                    continue
                value = self._string(string) if string else _number(scalar)
                lines.append(f"{' ' if stack else ''}{value}\n")
            yield "".join(lines)

    def _spell_name(self, string: str) -> str:
        word = string[1:-1]
        is_plain = self._plain_name.fullmatch(word) and word not in _RESERVED
        return word if is_plain else self._string(string)

    def _string(self, string: str) -> str:
        return self._escape.sub(_yaml_escape, string) if "\\u" in string else string


def _yaml_escape(found: re.Match[str]) -> str:
    if not found[1]:
        return found[0]
    return f"\\U{0x10000 + ((int(found[1], 16) & 0x3FF) << 10) + (int(found[2], 16) & 0x3FF):08x}"


def _number(scalar: str) -> str:
    """
    Return a number, ``true``, ``false`` or ``null``; YAML 1.1 wants ``1.0e+21`` for ``1e21``.

    >>> _number("1e21"), _number("1.5E-7"), _number("12"), _number("true")
    ('1.0e+21', '1.5E-7', '12', 'true')
    """
    digits, mark, exponent = scalar.partition("e") if "e" in scalar else scalar.partition("E")
    if not mark or not exponent.lstrip("+-").isdecimal():
        return scalar
    fraction = "" if "." in digits else ".0"
    sign = "" if exponent[0] in "+-" else "+"
    return f"{digits}{fraction}{mark}{sign}{exponent}"
