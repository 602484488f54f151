r"""
Escape text so that it is safe on a terminal and in a log.

Characters that Unicode does not call printable are escaped: control characters (and with them
escape sequences and line ends), invisible characters, characters that change the direction of
writing, unusual blanks, and bytes that are not UTF-8 (lone surrogates, see `etcdnaming.keys`).
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["SHORT", "is_byte", "printable", "replace_unprintable"]

SHORT = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}

_NOT_ASCII_PRINTABLE = re.compile(r"[^ -~]+")


def printable(text: str) -> str:
    r"""
    Return *text* with ``\t \n \r``, and ``\xNN`` for each *byte* of other unprintable characters.

    Backslashes are not escaped, so the result is for reading only and can't be decoded.

    >>> printable("a\tb\x1b[0m\x9b\udcff") == r"a\tb\x1b[0m\xc2\x9b\xff"
    True
    """
    return replace_unprintable(text, _bytewise)


def replace_unprintable(text: str, spell: Callable[[str], str]) -> str:
    """Return *text* with each unprintable character replaced by what *spell* returns for it."""
    if text.isprintable():
        return text

    def spelled(run: re.Match[str]) -> str:
        return "".join(c if c.isprintable() else spell(c) for c in run[0])

    return _NOT_ASCII_PRINTABLE.sub(spelled, text)


def is_byte(character: str) -> bool:
    """Return whether *character* is a lone surrogate for a byte that is not UTF-8."""
    return "\udc80" <= character <= "\udcff"


def _bytewise(character: str) -> str:
    if character in SHORT:
        return SHORT[character]
    errors = "surrogateescape" if is_byte(character) else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", errors))
