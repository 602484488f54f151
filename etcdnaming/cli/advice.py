"""Name the command line's flags where the library names the arguments of `Client`."""

from __future__ import annotations

import re

__all__ = ["with_flags"]

_ADVICE = re.compile(r"(?<=\bset )(?:user|cacert|cert and key)\b")


def with_flags(text: str) -> str:
    """
    Return the library's message *text* with its advice in words of the command line.

    >>> with_flags("127.0.0.1:2379: it asks for a client certificate: set cert and key")
    '127.0.0.1:2379: it asks for a client certificate: set --cert and --key'
    """
    return _ADVICE.sub(lambda found: re.sub(r"\b(?!and\b)(?=\w)", "--", found[0]), text)
