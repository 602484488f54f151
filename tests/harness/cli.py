"""Run the program as a shell would, but in this process, which takes a tenth of the time."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Any, NamedTuple

import pytest

from .environment import Changes, changed

__all__ = ["Result", "Run", "Word"]

Word = str | bytes | os.PathLike[str]
"""An argument, as a shell may hand it over."""


class Result(NamedTuple):
    """The result of a command, as a shell gets it. Bytes that are not UTF-8 are lone surrogates."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        """Return the parsed stdout."""
        return json.loads(self.out)


class Run:
    """Runs the program in this process, with *endpoints* as the default of ``--endpoints``."""

    def __init__(self, endpoints: str) -> None:
        self._endpoints = endpoints

    def __call__(self, *args: Word, env: Changes | None = None, input: str | bytes = b"") -> Result:
        """
        Run ``etcdnaming ARGS`` to its end.

        Args:
            args: The arguments, as a shell would pass them.

            env: Variables to set, or with ``None`` to remove, for this call.

            input: The contents of stdin, which is a file.
        """
        from etcdnaming.cli import main  # here, so that other tests need no command line

        with ExitStack() as stack:
            stack.enter_context(changed({"ETCDNAMING_ENDPOINTS": self._endpoints, **(env or {})}))
            files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
            stdin, out, err = files
            stdin.write(input.encode() if isinstance(input, str) else input)
            stdin.seek(0)
            with _standard_streams(stdin, out, err), _signals_given_back():
                status = main([os.fsdecode(arg) for arg in args])
            return Result(status, _text(out), _text(err))


@contextmanager
def _standard_streams(stdin: IO[bytes], out: IO[bytes], err: IO[bytes]) -> Iterator[None]:
    """Replace the standard descriptors, which C code uses, and Python's standard streams."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for descriptor, (name, file, mode, errors) in enumerate(
            (
                ("stdin", stdin, "r", "strict"),
                ("stdout", out, "w", "strict"),
                ("stderr", err, "w", "backslashreplace"),
            )
        ):
            stack.enter_context(_redirected(descriptor, file.fileno()))
            stream = stack.enter_context(
                open(descriptor, mode, encoding="utf-8", errors=errors, closefd=False)
            )
            patch.setattr(sys, name, stream)
        yield


@contextmanager
def _signals_given_back() -> Iterator[None]:
    """Restore the signal handlers that `lease-register` replaces."""
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}
    try:
        yield
    finally:
        for number, handler in before.items():
            if signal.getsignal(number) != handler:
                signal.signal(number, handler)


@contextmanager
def _redirected(descriptor: int, to: int) -> Iterator[None]:
    saved = os.dup(descriptor)
    os.dup2(to, descriptor)
    try:
        yield
    finally:
        os.dup2(saved, descriptor)
        os.close(saved)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "surrogateescape")
