"""
Start a command from a process in which fork is not safe, signal it, and share the terminal with it.

The launcher is the parent's side of `become`.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

__all__ = ["Command", "InheritedSignals", "Launcher", "encode", "inherited_descriptors", "stop_job"]

STDERR = 2

BECOME = Path(__file__).with_name("become.py")


class InheritedSignals(NamedTuple):
    """The signal settings this process was started with, which every command starts with."""

    ignored: frozenset[int]
    """Numbers of ignored signals (``nohup``)."""

    blocked: frozenset[int]
    """Numbers of blocked signals."""


class Launcher:
    """
    A process that waits, and becomes a command in `run`. `Supervisor.launcher` creates it.

    Args:
        inherited: Signal settings for the command.

        output: A descriptor for stdout and stderr of a command in the background, which has no
            stdin and no other descriptor. ``None``: a command in the foreground, with the terminal
            and all descriptors that this process was started with.

        started: Called with the command when it runs.

        on_demand: As for `Command`.

    Raises:
        OSError: No process can be created.
    """

    def __init__(
        self,
        inherited: InheritedSignals,
        output: int | None,
        started: Callable[[Command], None],
        *,
        on_demand: bool = False,
    ) -> None:
        self._inherited, self._foreground, self._started = inherited, output is None, started
        self._on_demand = on_demand
        with ExitStack() as child_ends, ExitStack() as parent_ends:
            order, self._order = _pipe(child_ends, parent_ends)
            self._answer, answer = _pipe(parent_ends, child_ends)
            self.pid = _spawn(order, answer, output)
            """Process ID of the launcher, later of the command."""
            self._parent_ends = parent_ends.pop_all()

    def run(self, argv: Sequence[str], env: Mapping[str, str]) -> Command:
        """
        Become *argv*, whose program is found in the ``PATH`` of *env*. May be called once.

        Returns when the command has started, so that later signals reach it, not the launcher.
        systemd names the receiver of its socket descriptors in ``LISTEN_PID``; if that is this
        process, a command in the foreground gets its own number there, with the descriptors.

        Raises:
            FileNotFoundError: The program does not exist.
            OSError: It can't be executed.
            ValueError: An argument or variable contains a zero byte.
        """
        command = Command(self.pid, foreground=self._foreground, on_demand=self._on_demand)
        with self._parent_ends:
            if self._foreground:
                env = _with_listen_pid(env, self.pid)
            order = encode(self._inherited, argv, env)
            try:
                self._become(order, command, argv[0])
            except OSError:
                command.note_end()
                raise
        self._started(command)
        return command

    def close(self) -> None:
        """End the launcher, if `run` was not called."""
        self._parent_ends.close()

    def _become(self, order: bytes, command: Command, program: str) -> None:
        try:
            self._answer.read(1)  # its process group exists now, and can have the terminal
            command.enter_terminal()
            with self._order:
                self._order.write(order)
            number = int(self._answer.read() or 0)
        except BrokenPipeError:
            raise OSError(errno.ECHILD, "killed before it started", program) from None
        if number:
            raise OSError(number, os.strerror(number), program)


def inherited_descriptors() -> Iterator[int]:
    """
    Yield the descriptors above stderr that this process was started with.

    They are the ones that are not close-on-exec; all that Python and gRPC open are close-on-exec.
    ``close_fds=False`` would pass them on too, but makes `subprocess` use `posix_spawn`, and that
    of glibc makes the command ignore two signals.
    """
    try:
        names = [each.name for each in Path("/dev/fd").iterdir()]
    except OSError:  # /proc is not mounted
        names = [str(number) for number in range(1024)]
    for number in map(int, names):
        with suppress(OSError):  # the descriptor of the listing itself
            if number > STDERR and os.get_inheritable(number):
                yield number


def encode(inherited: InheritedSignals, argv: Sequence[str], env: Mapping[str, str]) -> bytes:
    r"""
    Return the order to run *argv* in the environment *env*.

    >>> encode(InheritedSignals(frozenset({1}), frozenset()), ["echo", ""], {"LANG": "C"})
    b'1\x00\x002\x00echo\x00\x00LANG=C'

    Raises:
        ValueError: A word contains a zero byte.
    """
    words = [*argv, *(f"{name}={value}" for name, value in env.items())]
    if any("\0" in word for word in words):
        raise ValueError("embedded null byte")
    head = [*map(_text, inherited), str(len(argv))]
    return b"\0".join(os.fsencode(field) for field in (*head, *words))


def _text(numbers: Iterable[int]) -> str:
    return " ".join(map(str, map(int, sorted(numbers))))


def _with_listen_pid(env: Mapping[str, str], pid: int) -> Mapping[str, str]:
    if env.get("LISTEN_PID") != str(os.getpid()):
        return env
    # LISTEN_PIDFDID (newer systemd) identifies this process too; it is optional.
    rest = {name: value for name, value in env.items() if name != "LISTEN_PIDFDID"}
    return {**rest, "LISTEN_PID": str(pid)}


def _pipe(readers: ExitStack, writers: ExitStack) -> tuple[BinaryIO, BinaryIO]:
    """Return the two ends of a pipe, each added to its stack."""
    reader, writer = os.pipe()
    return readers.enter_context(open(reader, "rb")), writers.enter_context(open(writer, "wb"))


def _spawn(order: BinaryIO, answer: BinaryIO, output: int | None) -> int:
    """Start a launcher, and return its process ID."""
    from subprocess import DEVNULL, Popen  # slow to import; not all commands need it

    descriptors = order.fileno(), answer.fileno()
    # The launcher starts with all signals blocked: those that arrive before the exec of the command
    # stay pending for it. The mask must be set before the fork, since it is inherited through it.
    before = signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    try:
        process = Popen(
            [sys.executable, "-I", "-S", BECOME, *map(str, descriptors), str(os.getpid())],
            stdin=None if output is None else DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[*descriptors, *(inherited_descriptors() if output is None else ())],
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    # So that Popen never calls waitpid: only the supervisor reaps.
    process.returncode = 0
    return process.pid


class Command:
    """
    A command in a process group of its own, created by `Launcher.run`.

    Args:
        pid: ID of its process and its group.

        foreground: Whether it may have the terminal.

        on_demand: This process keeps the terminal until the command reads from it or changes its
            settings. Until then Ctrl-C signals this process, not the command.
    """

    def __init__(self, pid: int, *, foreground: bool, on_demand: bool = False) -> None:
        self.pid = pid
        self._foreground = foreground
        self._wants_terminal = foreground and not on_demand
        self._has_ended = False

    @property
    def has_processes(self) -> bool:
        """Whether a process of its group is left."""
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True  # a process that changed its user
        return True

    def signal(self, number: int) -> bool:
        """
        Send a signal to its group, if a process is left there.

        SIGCONT also gives it the terminal, if this process has that again (a shell's ``fg``).
        Must not be called long after its end: the system reuses the number.

        Returns:
            Whether the system permitted it. It does not if all processes of the group run as
            another user and this process lacks CAP_KILL.
        """
        if number == signal.SIGCONT:
            self.enter_terminal()
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return True

    def kill(self) -> bool:
        """
        Send SIGKILL to its group, also right after its end, for the processes it left behind.

        Returns:
            Whether the system permitted it for the command's own process. (For `signal`, one
            permitted process of the group is enough.)
        """
        if not self.signal(signal.SIGKILL):
            return False
        if not self._has_ended:  # afterwards the number may belong to another process
            try:
                os.kill(self.pid, 0)
            except PermissionError:
                return False
        return True

    def follow_stop(self, number: int) -> None:
        """
        React to the terminal's signal *number*, which stopped the command.

        SIGTTIN and SIGTTOU mean that it used a terminal it does not have: give it the terminal if
        this process has it. Otherwise stop this process too, because the shell that waits for the
        job watches only this one, and continue the command when the shell continues this one.
        """
        if not self._foreground:
            return
        is_waiting = number in (signal.SIGTTIN, signal.SIGTTOU)
        if is_waiting and not self._wants_terminal and _has_terminal():
            self._wants_terminal = True
            self.signal(signal.SIGCONT)
        elif _take_terminal_back(self.pid) or (not self._wants_terminal and _has_terminal()):
            stop_job()
            self.signal(signal.SIGCONT)
        elif is_waiting:
            # Another job has the terminal. A shell's "fg" sends SIGCONT to this process, which the
            # caller's loop passes to `signal` as any other.
            stop_job()

    def enter_terminal(self) -> None:
        """Give it the terminal, if this process has it."""
        if self._wants_terminal:
            _hand_terminal_over(self.pid)

    def note_end(self) -> None:
        """Take the terminal back after its process has exited."""
        self._has_ended = True
        if self._foreground:
            _take_terminal_back(self.pid)


def _hand_terminal_over(group: int) -> None:
    """Give the terminal to *group*, if this process's group has it."""
    _move_terminal(os.getpgrp(), group)


def _take_terminal_back(group: int) -> bool:
    """Take the terminal from *group*, if that has it; return whether it had."""
    return _move_terminal(group, os.getpgrp())


def _has_terminal() -> bool:
    """Return whether there is a terminal and this process's group has it."""
    return _move_terminal(os.getpgrp(), os.getpgrp())


def stop_job() -> None:
    """
    Stop as Ctrl-Z stops a process without a handler; return when this process is continued.

    The shell waits until the whole job has stopped, so the whole process group gets the signal.
    This process ignores that one, and then raises the signal in this thread, so that nothing below
    runs before the stop. The kernel does not stop processes that nothing could continue (no shell,
    or PID 1); then this returns at once.
    """
    before = signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    os.kill(0, signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    signal.raise_signal(signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, before)


def _move_terminal(owner: int, new_owner: int) -> bool:
    # /dev/tty, not stdin, stdout or stderr: any of those may be a file while another is a terminal.
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        return False  # no terminal
    try:
        if os.tcgetpgrp(terminal) != owner:
            return False
        with suppress(OSError):  # the new owner has exited
            os.tcsetpgrp(terminal, new_owner)
    except OSError:
        return False  # the terminal was closed
    finally:
        os.close(terminal)
    return True
