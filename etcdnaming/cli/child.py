"""A command in the foreground, in whose place we stand for those who started us."""

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

from ..process import given_descriptors
from . import stderr
from .failures import CommandNotFoundError, CommandNotRunError
from .system_errors import SHORTAGES, describe

__all__ = ["beginning", "check_command", "environment", "is_command", "run", "start"]

FROM_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
"""The command gets these by itself: it is for it to say what a Ctrl-C means."""

PASSED_ON = (signal.SIGTERM, signal.SIGHUP)

COERCED = {"C.UTF-8", "C.utf8", "UTF-8"}
"""What Python sets ``LC_CTYPE`` to."""


def check_command(name: str) -> None:
    """
    Make sure that there is a command *name* now, and not when the first change comes.

    Raises:
        CommandNotFoundError, CommandNotRunError: There is none.
    """
    if not is_command(name):
        if os.sep in name and Path(name).exists():
            raise CommandNotRunError(f"{name}: it can't be executed")
        raise CommandNotFoundError(f"{name}: command not found")


def is_command(name: str) -> bool:
    """Say whether there is a program *name*, as `shutil.which` does, which brings lzma and more."""
    directories = [""] if os.sep in name else os.get_exec_path()
    paths = (os.path.join(each, name) for each in directories)  # noqa: PTH118 - none is made
    return any(os.path.isfile(each) and os.access(each, os.X_OK) for each in paths)  # noqa: PTH113


def environment() -> dict[str, str]:
    """
    Return the environment this process was started with.

    In a C locale Python sets ``LC_CTYPE`` for itself and its children (PEP 538).
    """
    variables = dict(os.environ)
    if variables.get("LC_CTYPE") in COERCED:
        # `os.environ` has what Python made of it; the kernel keeps what we were given.
        with suppress(OSError), open("/proc/self/environ", "rb") as file:
            given = [each for each in file.read().split(b"\0") if each.startswith(b"LC_CTYPE=")]
            del variables["LC_CTYPE"]
            for each in given:
                variables["LC_CTYPE"] = os.fsdecode(each.partition(b"=")[2])
    return variables


def run(command: Sequence[str], environment: Mapping[str, str]) -> int:
    """
    Run *command* to its end and return its exit code, which is 128 + n if signal n ended it.

    Raises:
        CommandNotFoundError, CommandNotRunError: It did not begin.
    """
    relay = _Relay()
    with relay:
        process = start(command, environment)
        relay.reach(process)
        status = process.wait()
    return 128 - status if status < 0 else status


class _Relay:
    """Hears the signals that are meant for a process, also before that one has begun."""

    def __init__(self) -> None:
        self._early: list[int] = []
        self._send: Callable[[int], None] = self._early.append
        self._before: dict[int, Any] = {}

    def reach(self, process: subprocess.Popen[bytes]) -> None:
        """From now on send them to *process*."""
        self._send = partial(_send, process)
        for signum in self._early:
            self._send(signum)

    def __enter__(self) -> None:
        # Heard and not ignored, for what is ignored would be ignored by the process too.
        for each in (*FROM_THE_TERMINAL, *PASSED_ON):
            if signal.getsignal(each) is not signal.SIG_IGN:  # as nohup wants it
                self._before[each] = signal.signal(each, self._hear)

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _hear(self, signum: int, _: FrameType | None) -> None:
        if signum in PASSED_ON:
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
    Start *command*; *stdin* is as `subprocess.Popen` takes it.

    It has all descriptors that we were started with, and none of ours.

    Raises:
        CommandNotFoundError, CommandNotRunError: It did not begin.
    """
    with beginning(command[0]):
        return subprocess.Popen(
            command, env=environment, stdin=stdin, pass_fds=[*given_descriptors()]
        )


@contextmanager
def beginning(name: str) -> Iterator[None]:
    """
    Say what it means that the command *name* can't be started in the block.

    Raises:
        CommandNotFoundError, CommandNotRunError: It did not begin.
    """
    try:
        yield
    except OSError as exc:
        if exc.filename != name or exc.errno in SHORTAGES:  # not the command, but what starts it
            raise CommandNotRunError(f"{name}: it can't be started: {describe(exc)}") from exc
        if not isinstance(exc, FileNotFoundError):
            raise CommandNotRunError(f"{name}: {exc.strerror}") from exc
        if is_command(name):  # as where its first line ends in a carriage return
            raise CommandNotRunError(f"{name}: what is to run it is not there") from exc
        raise CommandNotFoundError(f"{name}: command not found") from exc
    except ValueError as exc:  # a zero byte
        raise CommandNotRunError(f"{name!r}: {exc}") from exc
