"""A command in the foreground, in whose place we stand for those who started us."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from .failures import CommandNotFoundError, CommandNotRunError

__all__ = ["beginning", "check_command", "is_command", "run", "start"]

FROM_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
"""The command gets these by itself: it is for it to say what a Ctrl-C means."""

PASSED_ON = (signal.SIGTERM, signal.SIGHUP)


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
        self._send = process.send_signal
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


def start(
    command: Sequence[str], environment: Mapping[str, str], *, stdin: int | None = None
) -> subprocess.Popen[bytes]:
    """
    Start *command*; *stdin* is as `subprocess.Popen` takes it.

    Raises:
        CommandNotFoundError, CommandNotRunError: It did not begin.
    """
    with beginning(command[0]):
        return subprocess.Popen(command, env=environment, stdin=stdin)


@contextmanager
def beginning(name: str) -> Iterator[None]:
    """
    Say what it means that the command *name* can't be started in the block.

    Raises:
        CommandNotFoundError, CommandNotRunError: It did not begin.
    """
    try:
        yield
    except FileNotFoundError as exc:
        if is_command(name):  # as where its first line ends in a carriage return
            raise CommandNotRunError(f"{name}: what is to run it is not there") from exc
        raise CommandNotFoundError(f"{name}: command not found") from exc
    except OSError as exc:
        raise CommandNotRunError(f"{name}: {exc.strerror}") from exc
    except ValueError as exc:  # a zero byte
        raise CommandNotRunError(f"{name!r}: {exc}") from exc
