"""Find commands, and start them with the environment that this process was started with."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..process import inherited_descriptors
from .failures import SHORTAGES, CommandNotFoundError, CommandNotRunError, describe

__all__ = ["check_command", "environment", "is_command", "start", "start_errors"]

XDS_BOOTSTRAP = "GRPC_XDS_BOOTSTRAP_CONFIG"

COERCED_LOCALES = {"C.UTF-8", "C.utf8", "UTF-8"}
"""Values that Python may give to ``LC_CTYPE``."""


def check_command(name: str) -> None:
    """
    Check that the command *name* exists, before anything else is done.

    Raises:
        CommandNotFoundError, CommandNotRunError: It does not, or is not executable.
    """
    if not is_command(name):
        if os.sep in name and Path(name).exists():
            raise CommandNotRunError(f"{name}: it can't be executed")
        raise CommandNotFoundError(f"{name}: command not found")


def is_command(name: str) -> bool:
    """Return whether the program *name* exists, as `shutil.which`, whose import is slower."""
    directories = [""] if os.sep in name else os.get_exec_path()
    paths = (os.path.join(each, name) for each in directories)  # noqa: PTH118 - faster
    return any(os.path.isfile(each) and os.access(each, os.X_OK) for each in paths)  # noqa: PTH113


def environment() -> dict[str, str]:
    """
    Return the environment this process was started with.

    In a C locale Python changes ``LC_CTYPE``, for child processes too (PEP 538); this undoes it.
    A program whose channels follow etcd may have started this one: the xDS bootstrap of its gRPC,
    which leads to a socket inside that program, is left out.
    """
    variables = dict(os.environ)
    if XDS_BOOTSTRAP in variables:
        from ..xds.embedded.bootstrap import is_ours

        if is_ours(variables[XDS_BOOTSTRAP]):
            del variables[XDS_BOOTSTRAP]
    if variables.get("LC_CTYPE") in COERCED_LOCALES:
        # `os.environ` has Python's value; the kernel keeps the original one.
        with suppress(OSError), open("/proc/self/environ", "rb") as file:
            original = [each for each in file.read().split(b"\0") if each.startswith(b"LC_CTYPE=")]
            del variables["LC_CTYPE"]
            for each in original:
                variables["LC_CTYPE"] = os.fsdecode(each.partition(b"=")[2])
    return variables


def start(
    command: Sequence[str], environment: Mapping[str, str], *, stdin: int | None = None
) -> subprocess.Popen[bytes]:
    """
    Start *command*; *stdin* is passed to `subprocess.Popen`.

    It inherits the descriptors this process was started with, and none that were opened since.

    Raises:
        CommandNotFoundError, CommandNotRunError: It could not be started.
    """
    with start_errors(command[0]):
        return subprocess.Popen(
            command, env=environment, stdin=stdin, pass_fds=[*inherited_descriptors()]
        )


@contextmanager
def start_errors(name: str) -> Iterator[None]:
    """
    Translate the errors of starting the command *name* in the block.

    Raises:
        CommandNotFoundError, CommandNotRunError: It could not be started.
    """
    try:
        yield
    except OSError as exc:
        if exc.filename != name or exc.errno in SHORTAGES:  # the launcher, not the command
            raise CommandNotRunError(f"{name}: it can't be started: {describe(exc)}") from exc
        if not isinstance(exc, FileNotFoundError):
            raise CommandNotRunError(f"{name}: {exc.strerror}") from exc
        if is_command(name):  # such as a first line that ends in a carriage return
            raise CommandNotRunError(f"{name}: interpreter not found (check the #! line)") from exc
        raise CommandNotFoundError(f"{name}: command not found") from exc
    except ValueError as exc:  # a zero byte
        raise CommandNotRunError(f"{name!r}: {exc}") from exc
