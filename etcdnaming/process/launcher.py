"""Start a command from a process in which fork is not safe: our side of `become`."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

from .command import Command

__all__ = ["Inheritance", "Launcher", "encode", "given_descriptors"]

STDERR = 2

BECOME = Path(__file__).with_name("become.py")


class Inheritance(NamedTuple):
    """What we were started with, and every command starts with."""

    ignored: frozenset[int]
    """Signals that are ignored, by number (``nohup``)."""

    blocked: frozenset[int]
    """Signals that are blocked, by number."""


class Launcher:
    """
    A process that becomes a command when `run` says which. `Supervisor.launcher` makes one.

    Args:
        inheritance: What the command starts with.

        output: A descriptor that becomes stdout and stderr of a command in the background, which
            has no stdin and no other descriptor. ``None`` is for one in the foreground: it has all
            descriptors that we were started with, and the terminal.

        begun: Is called with the command when it runs.

        on_demand: As for `Command`.

    Raises:
        OSError: There can't be another process.
    """

    def __init__(
        self,
        inheritance: Inheritance,
        output: int | None,
        begun: Callable[[Command], None],
        *,
        on_demand: bool = False,
    ) -> None:
        self._inheritance, self._foreground, self._begun = inheritance, output is None, begun
        self._on_demand = on_demand
        with ExitStack() as theirs, ExitStack() as ours:
            order, self._order = _pipe(theirs, ours)
            self._answer, answer = _pipe(ours, theirs)
            self.pid = _spawn(order, answer, output)
            """Of the launcher, and then of the command."""
            self._ours = ours.pop_all()

    def run(self, argv: Sequence[str], env: Mapping[str, str]) -> Command:
        """
        Become *argv*, whose program is looked for in the ``PATH`` of *env*. Only once.

        Returns when it has begun, so that what it is sent is sent to it, and not to the launcher.
        A ``LISTEN_PID`` in *env* that names us, as systemd sets it for the descriptors of sockets,
        names a command in the foreground, which has them.

        Raises:
            FileNotFoundError: There is no such program.
            OSError: It can't be run.
            ValueError: A zero byte can't be handed over.
        """
        command = Command(self.pid, foreground=self._foreground, on_demand=self._on_demand)
        with self._ours:
            if self._foreground:
                env = _as_listener(env, self.pid)
            order = encode(self._inheritance, argv, env)
            try:
                self._become(order, command, argv[0])
            except OSError:
                command.note_end()
                raise
        self._begun(command)
        return command

    def close(self) -> None:
        """Let the launcher end, if it has had no order."""
        self._ours.close()

    def _become(self, order: bytes, command: Command, program: str) -> None:
        try:
            self._answer.read(1)  # from now on there is a group to have the terminal
            command.enter_terminal()
            with self._order:
                self._order.write(order)
            number = int(self._answer.read() or 0)
        except BrokenPipeError:
            raise OSError(errno.ECHILD, "it was killed before it began", program) from None
        if number:
            raise OSError(number, os.strerror(number), program)


def given_descriptors() -> Iterator[int]:
    """
    Yield the descriptors above stderr that this process was started with, for its command.

    They are the ones that are not close-on-exec, as all are that Python and gRPC open. So
    `subprocess` could leave them open by itself (``close_fds=False``); but then it uses
    `posix_spawn`, with which glibc makes the command ignore two signals.
    """
    try:
        names = [each.name for each in Path("/dev/fd").iterdir()]
    except OSError:  # it is the kernel's, which may not be mounted
        names = [str(number) for number in range(1024)]
    for number in map(int, names):
        with suppress(OSError):  # it was that of the directory
            if number > STDERR and os.get_inheritable(number):
                yield number


def encode(inheritance: Inheritance, argv: Sequence[str], env: Mapping[str, str]) -> bytes:
    r"""
    Return the order to run *argv* in the environment *env*.

    >>> encode(Inheritance(frozenset({1}), frozenset()), ["echo", ""], {"LANG": "C"})
    b'1\x00\x002\x00echo\x00\x00LANG=C'

    Raises:
        ValueError: There is a zero byte in it.
    """
    words = [*argv, *(f"{name}={value}" for name, value in env.items())]
    if any("\0" in word for word in words):
        raise ValueError("embedded null byte")
    head = [*map(_text, inheritance), str(len(argv))]
    return b"\0".join(os.fsencode(field) for field in (*head, *words))


def _text(numbers: Iterable[int]) -> str:
    return " ".join(map(str, map(int, sorted(numbers))))


def _as_listener(env: Mapping[str, str], pid: int) -> Mapping[str, str]:
    if env.get("LISTEN_PID") != str(os.getpid()):
        return env
    # A handle of a process, where systemd knows such, names us as well; it is optional.
    rest = {name: value for name, value in env.items() if name != "LISTEN_PIDFDID"}
    return {**rest, "LISTEN_PID": str(pid)}


def _pipe(readers: ExitStack, writers: ExitStack) -> tuple[BinaryIO, BinaryIO]:
    """Return the two ends of a pipe; each is closed with what it belongs to."""
    reader, writer = os.pipe()
    return readers.enter_context(open(reader, "rb")), writers.enter_context(open(writer, "wb"))


def _spawn(order: BinaryIO, answer: BinaryIO, output: int | None) -> int:
    """Return the process id of a new launcher."""
    from subprocess import DEVNULL, Popen  # only for those who run something

    descriptors = order.fileno(), answer.fileno()
    # What comes before the command has begun is kept for it.
    before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    try:
        process = Popen(
            [sys.executable, "-I", "-S", BECOME, *map(str, descriptors), str(os.getpid())],
            stdin=None if output is None else DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[*descriptors, *(given_descriptors() if output is None else ())],
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    process.returncode = 0  # hands off: the status is for the supervisor to see
    return process.pid
