"""Run commands: find them, start them with the original environment, forward signals to them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from ..process import inherited_descriptors
from . import stderr
from .failures import SHORTAGES, CommandNotFoundError, CommandNotRunError, describe
from .signals import pulsing

__all__ = ["check_command", "environment", "is_command", "run", "start", "start_errors"]

TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGQUIT)
"""Not forwarded: the terminal sends them to the command too, which decides what they mean."""

FORWARDED_SIGNALS = (signal.SIGTERM, signal.SIGHUP)

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


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """
    Run *command* and return its exit code, 128 + n for signal n.

    Raises:
        CommandNotFoundError, CommandNotRunError: It could not be started.
    """
    forwarder = _SignalForwarder()
    with forwarder:
        process = start(command, environment)
        forwarder.set_process(process)
        with pulsing():
            status = process.wait()
    return 128 - status if status < 0 else status


class _SignalForwarder:
    """Forward signals to a process; those that arrive before it has started are kept for it."""

    def __init__(self) -> None:
        self._early: list[int] = []
        self._send: Callable[[int], None] = self._early.append
        self._before: dict[int, Any] = {}

    def set_process(self, process: subprocess.Popen[bytes]) -> None:
        """Forward to *process*, first the signals that have arrived already."""
        self._send = partial(_send, process)
        for signum in self._early:
            self._send(signum)

    def __enter__(self) -> None:
        # Terminal signals get a handler too: if they were ignored here, the process would inherit
        # that. Signals ignored from the start (nohup) stay ignored.
        for each in (*TERMINAL_SIGNALS, *FORWARDED_SIGNALS):
            if signal.getsignal(each) is not signal.SIG_IGN:
                self._before[each] = signal.signal(each, self._handle)

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _handle(self, signum: int, _: FrameType | None) -> None:
        if signum in FORWARDED_SIGNALS:
            self._send(signum)


def _send(process: subprocess.Popen[bytes], signum: int) -> None:
    try:
        process.send_signal(signum)
    except PermissionError:
        name = signal.Signals(signum).name
        stderr.warn(f"{name} can't be sent: the command runs as another user")


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
