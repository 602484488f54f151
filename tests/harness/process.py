"""Run the program in a process of its own: for signals, pipes and exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import IO, NoReturn

from .cli import Result, Word
from .environment import Changes, pointing_at
from .servers import end_of
from .waiting import TIMEOUT

__all__ = ["Process", "Spawn", "command"]


def command(*args: Word) -> list[str]:
    """Return the command line of ``etcdnaming ARGS``, with this Python."""
    return [sys.executable, "-m", "etcdnaming", *map(os.fsdecode, args)]


class Spawn:
    """Start the program, with *endpoints* as its default."""

    def __init__(self, endpoints: str) -> None:
        self._endpoints = endpoints
        self._started: list[Process] = []

    def __call__(self, *args: Word, env: Changes | None = None) -> Process:
        """Start ``etcdnaming ARGS``; *env* changes its environment (``None`` removes)."""
        process = Process(command(*args), pointing_at(self._endpoints, env))
        self._started.append(process)
        return process

    def last_lines(self) -> str:
        """Return the end of what the processes have printed on stderr, for a report."""
        return "\n\n".join(end_of(process.err) for process in self._started if process.err)

    def close(self) -> None:
        """Kill the processes that still run."""
        for process in self._started:
            process.close()


class Process:
    """
    A running command; tests can wait for its output.

    Args:
        args: Its command line.

        env: Its environment.
    """

    def __init__(self, args: Sequence[str], env: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            args,
            env=env,
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdin
        assert self._process.stdout
        assert self._process.stderr
        self.stdin = self._process.stdin
        self._out = _Reader(self._process.stdout)
        self._err = _Reader(self._process.stderr)

    @property
    def pid(self) -> int:
        """The process ID, which is also the ID of its session and process group."""
        return self._process.pid

    @property
    def out(self) -> str:
        """The stdout so far."""
        return self._out.text()

    @property
    def err(self) -> str:
        """The stderr so far."""
        return self._err.text()

    def wait_for_out(self, text: str, timeout: float = TIMEOUT) -> None:
        """Wait until stdout has *text*; fail the test after *timeout* seconds."""
        self._wait_for(self._out, text, timeout)

    def wait_for_err(self, text: str, timeout: float = TIMEOUT) -> None:
        """Wait until stderr has *text*; fail the test after *timeout* seconds."""
        self._wait_for(self._err, text, timeout)

    def signal(self, number: int) -> None:
        """Send a signal to the process."""
        self._process.send_signal(number)

    def finish(self, timeout: float = TIMEOUT) -> Result:
        """Close its stdin, wait for its exit, and return the result; status -n is signal n."""
        self.stdin.close()
        try:
            status = self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._fail(f"still running after {timeout:g}s")
        return Result(status, self._out.all(), self._err.all())

    def close(self) -> None:
        """Kill the process and its process group, if it still runs."""
        if self._process.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self.finish()

    def _wait_for(self, reader: _Reader, text: str, timeout: float) -> None:
        if not reader.wait_for(text, timeout):
            self._fail(f"no {text!r} in {timeout:g} s")

    def _fail(self, why: str) -> NoReturn:
        raise AssertionError(f"{why}; stdout: {self.out!r}, stderr: {self.err!r}")


class _Reader:
    """Read a pipe to its end in a thread, so that the writer is never blocked."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._data = b""
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def text(self) -> str:
        with self._changed:
            return self._data.decode("utf-8", "surrogateescape")

    def wait_for(self, text: str, timeout: float) -> bool:
        wanted = text.encode("utf-8", "surrogateescape")
        with self._changed:
            self._changed.wait_for(lambda: wanted in self._data or self._ended, timeout)
            return wanted in self._data

    def all(self, timeout: float = TIMEOUT) -> str:
        self._thread.join(timeout)
        assert not self._thread.is_alive(), "a child process keeps the pipe open"
        self._pipe.close()
        return self.text()

    def _read(self) -> None:
        while data := os.read(self._pipe.fileno(), 65536):
            self._add(data)
        self._add(b"")

    def _add(self, data: bytes) -> None:
        with self._changed:
            self._data += data
            self._ended = not data
            self._changed.notify_all()
