"""What can go wrong in the command line only. Each has an exit code of its own."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "CommandNotFoundError",
    "CommandNotRunError",
    "InputError",
    "LeaseLostError",
    "NotFoundError",
    "OutputError",
    "TimedOutError",
    "UnsupportedFormatError",
    "WatchCanceledError",
]


class InputError(Exception):
    """The content of a file, of stdin or, with ``--strict``, of etcd is wrong."""


class LeaseLostError(Exception):
    """A lease was lost, and the user wants that to be the end."""


class NotFoundError(Exception):
    """What the user asked to be there is not."""


class OutputError(OSError):
    """Stdout can't be written."""


class TimedOutError(Exception):
    """What was waited for did not happen in the time there was."""


class WatchCanceledError(Exception):
    """etcd has ended a watch, or refused one, and asking again would not help."""


class UnsupportedFormatError(Exception):
    """A format that ``--write-out`` does not have."""

    def __init__(self, name: str, formats: Sequence[str], source: str = "--write-out") -> None:
        hint = "; for machines there is json" if name == "protobuf" else ""
        super().__init__(
            f"unsupported output format {name!r}: {source} takes {', '.join(formats)}{hint}"
        )


class CommandNotFoundError(Exception):
    """The command to run does not exist."""


class CommandNotRunError(Exception):
    """The command to run exists, and can't be run."""
