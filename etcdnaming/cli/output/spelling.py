r"""
How text from etcd is written: characters that Unicode does not call printable are escaped.

These are control characters (and so escape sequences and line ends), invisible characters, those
that change the writing direction, unusual blanks, and bytes that are not UTF-8 (lone surrogates
here, see `etcdnaming.keys`). Each format has its own escapes for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from json.encoder import encode_basestring_ascii

__all__ = ["counted", "escape", "lease_id", "printable", "quote_go", "safe_json"]

_NOT_ASCII_PRINTABLE = re.compile(r"[^ -~]+")
_SHORT = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}
_SHORT_GO = _SHORT | {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\v": r"\v"}


def escape(text: str) -> str:
    r"""
    Return *text* with ``\t \n \r \\``, and ``\xNN`` for each *byte* of what is not printable.

    ``printf %b`` reverses it:

    >>> print(escape("a\tb\\c\x1b[0m\x9b\u202e\udcff"))
    a\tb\\c\x1b[0m\xc2\x9b\xe2\x80\xae\xff
    """
    return printable(text.replace("\\", r"\\"))


def printable(text: str) -> str:
    r"""Return *text* as `escape` does, but keep backslashes: for messages to people."""
    return _replace(text, _bytewise)


def safe_json(text: str) -> str:
    r"""
    Return JSON that means the same as *text*, with the escapes of JSON for what is not printable.

    Bytes that are not UTF-8 become U+FFFD, because JSON has no bytes.

    >>> print(safe_json('"\x7f\u202e\udcff"'))
    "\u007f\u202e�"
    """
    if text.isascii() and "\x7f" not in text:  # JSON has no other control characters
        return text
    return _replace(text, _json_character)


def quote_go(text: str) -> str:
    r"""
    Return *text* as Go's ``%q`` does.

    >>> print(quote_go('a"\t\x7f\x9b\u202e\udcff'))
    "a\"\t\x7f\u009b\u202e\xff"
    """
    return '"' + _replace(text.replace("\\", r"\\").replace('"', r"\""), _go_character) + '"'


def lease_id(lease: int) -> str:
    """Return *lease* as etcdctl writes it, and "0" for none."""
    return f"{lease:016x}" if lease else "0"


def counted(count: int, noun: str) -> str:
    """
    Return the number with its noun.

    >>> counted(1, "endpoint"), counted(2, "endpoint")
    ('1 endpoint', '2 endpoints')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _replace(text: str, spell: Callable[[str], str]) -> str:
    if text.isprintable():
        return text

    def spelled(run: re.Match[str]) -> str:
        return "".join(c if c.isprintable() else spell(c) for c in run[0])

    return _NOT_ASCII_PRINTABLE.sub(spelled, text)


def _bytewise(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    errors = "surrogateescape" if _is_byte(character) else "surrogatepass"
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", errors))


def _json_character(character: str) -> str:
    if _is_surrogate(character):
        return "\N{REPLACEMENT CHARACTER}"
    return encode_basestring_ascii(character)[1:-1]


def _go_character(character: str) -> str:
    code = ord(character)
    if character in _SHORT_GO:
        return _SHORT_GO[character]
    if character.isascii() or _is_byte(character):
        return f"\\x{code & 0xFF:02x}"
    if _is_surrogate(character):
        return r"\ufffd"
    return f"\\u{code:04x}" if character <= "\uffff" else f"\\U{code:08x}"


def _is_surrogate(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"


def _is_byte(character: str) -> bool:
    """Return whether *character* stands for a byte that is not UTF-8."""
    return "\udc80" <= character <= "\udcff"
