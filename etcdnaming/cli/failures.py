"""
The errors of the command line, and the messages for errors of the system and of the library.

`etcdnaming.cli` has their exit codes.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence

__all__ = [
    "SHORTAGES",
    "CommandNotFoundError",
    "CommandNotRunError",
    "DiffFailedError",
    "InputError",
    "LeaseLostError",
    "NotFoundError",
    "NotServingError",
    "OutputError",
    "TimedOutError",
    "UnsupportedFormatError",
    "WatchCanceledError",
    "describe",
    "with_flags",
]

SHORTAGES = {
    errno.EMFILE: "too many open files: raise the limit (ulimit -n)",
    errno.EAGAIN: "too many processes: raise the limit (ulimit -u, or the container's)",
}

_ADVICE = re.compile(r"(?<=\bset )(?:user|cacert|cert and key)\b")


class InputError(Exception):
    """The content of a file, of stdin or (with ``--strict``) of etcd is invalid."""


class LeaseLostError(Exception):
    """A lease was lost, and ``--on-lost exit`` is set."""


class NotFoundError(Exception):
    """A required key or endpoint does not exist."""


class NotServingError(Exception):
    """An endpoint that was checked, or a member of etcd, does not serve."""


class OutputError(OSError):
    """Stdout can't be written."""


class TimedOutError(Exception):
    """The command's own timeout has expired."""


class WatchCanceledError(Exception):
    """etcd has canceled or refused a watch, and a retry would not help."""


class UnsupportedFormatError(Exception):
    """``--write-out`` has no such format."""

    def __init__(self, name: str, formats: Sequence[str], source: str = "--write-out") -> None:
        hint = "; use json for machines" if name == "protobuf" else ""
        super().__init__(
            f"unsupported output format {name!r}: {source} takes {', '.join(formats)}{hint}"
        )


class DiffFailedError(Exception):
    """``diff`` failed by the error that is its cause; exit code 1 means differences."""


class CommandNotFoundError(Exception):
    """The command to run does not exist."""


class CommandNotRunError(Exception):
    """The command to run exists, but can't be started."""


def describe(exc: OSError) -> str:
    """
    Return what *exc* says: about which file, if any, and what there is too little of.

    >>> describe(FileNotFoundError(2, "No such file or directory", "/dev/null"))
    '/dev/null: No such file or directory'
    """
    if exc.errno in SHORTAGES:
        return SHORTAGES[exc.errno]
    name = f"{os.fsdecode(exc.filename)}: " if isinstance(exc.filename, (str, bytes)) else ""
    return f"{name}{exc.strerror or exc}"


def with_flags(text: str) -> str:
    """
    Return the library's message *text* with its advice in words of the command line.

    >>> with_flags("127.0.0.1:2379: it asks for a client certificate: set cert and key")
    '127.0.0.1:2379: it asks for a client certificate: set --cert and --key'
    """
    return _ADVICE.sub(lambda found: re.sub(r"\b(?!and\b)(?=\w)", "--", found[0]), text)
