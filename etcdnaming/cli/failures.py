"""The errors of the command line itself; `etcdnaming.cli` has their exit codes."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
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
]


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
