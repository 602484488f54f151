r"""
Spell text from etcd for the output: escapes, quotes, lease IDs, counts.

`etcdnaming.printable` defines which characters need an escape; each format has its own escapes.
"""

from __future__ import annotations

from json.encoder import encode_basestring_ascii
from math import floor

from ...model import InvalidValue
from ...printable import SHORT, is_byte, printable, replace_unprintable

__all__ = ["byte_size", "counted", "escape", "lease_id", "quote_go", "safe_json", "unreadable"]

_SHORT_GO = SHORT | {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\v": r"\v"}


def escape(text: str) -> str:
    r"""
    Return *text* with ``\t \n \r \\``, and ``\xNN`` for each *byte* of what is not printable.

    ``printf %b`` reverses it:

    >>> print(escape("a\tb\\c\x1b[0m\x9b\u202e\udcff"))
    a\tb\\c\x1b[0m\xc2\x9b\xe2\x80\xae\xff
    """
    return printable(text.replace("\\", r"\\"))


def safe_json(text: str) -> str:
    r"""
    Return JSON that means the same as *text*, with the escapes of JSON for what is not printable.

    Bytes that are not UTF-8 become U+FFFD, because JSON has no bytes.

    >>> print(safe_json('"\x7f\u202e\udcff"'))
    "\u007f\u202e�"
    """
    if text.isascii() and "\x7f" not in text:  # JSON has no other control characters
        return text
    return replace_unprintable(text, _json_character)


def quote_go(text: str) -> str:
    r"""
    Return *text* as Go's ``%q`` does.

    >>> print(quote_go('a"\t\x7f\x9b\u202e\udcff'))
    "a\"\t\x7f\u009b\u202e\xff"
    """
    quoted = text.replace("\\", r"\\").replace('"', r"\"")
    return f'"{replace_unprintable(quoted, _go_character)}"'


def lease_id(lease: int) -> str:
    """Return *lease* as etcdctl writes it, and "0" for none."""
    return f"{lease:016x}" if lease else "0"


def byte_size(size: int) -> str:
    """
    Return *size* in bytes as etcdctl prints it, in powers of 1000.

    >>> byte_size(999), byte_size(20480), byte_size(9_960_000), byte_size(2_100_000_000)
    ('999 B', '20 kB', '10 MB', '2.1 GB')
    """
    number, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if number < 1000:
            break
        number, unit = number / 1000, larger
    rounded = floor(number * 10 + 0.5) / 10
    digits = 1 if rounded < 10 and unit != "B" else 0
    return f"{rounded:.{digits}f} {unit}"


def counted(count: int, noun: str) -> str:
    """
    Return *count* with its noun.

    >>> counted(1, "endpoint"), counted(2, "endpoint")
    ('1 endpoint', '2 endpoints')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def unreadable(found: InvalidValue) -> str:
    """Return the key of a value that is not an endpoint, and the reason."""
    return f"{found.key}: {found.reason}"


def _json_character(character: str) -> str:
    if _is_surrogate(character):
        return "\N{REPLACEMENT CHARACTER}"
    return encode_basestring_ascii(character)[1:-1]


def _go_character(character: str) -> str:
    code = ord(character)
    if character in _SHORT_GO:
        return _SHORT_GO[character]
    if character.isascii() or is_byte(character):
        return f"\\x{code & 0xFF:02x}"
    if _is_surrogate(character):
        return r"\ufffd"
    return f"\\u{code:04x}" if character <= "\uffff" else f"\\U{code:08x}"


def _is_surrogate(character: str) -> bool:
    return "\ud800" <= character <= "\udfff"
