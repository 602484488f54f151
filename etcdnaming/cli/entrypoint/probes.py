"""One look at the service, of each kind, that never blocks the loop."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from typing import IO, Protocol, TypeAlias

from ...process import Command
from .loop import Loop
from .program import environment
from .specs import ExecSpec, GrpcSpec, Spec, TcpSpec

__all__ = ["Done", "Probe", "probe"]

Done: TypeAlias = Callable[[str], None]
"""Is called in the loop with what is wrong; empty if nothing is."""

LAST_WORDS = 500  # bytes of what a command printed that are looked at


class Probe(Protocol):
    """Looks at a service."""

    def look(self, timeout: float, done: Done) -> None:
        """Begin to look; *done* may come later than *timeout* seconds, or never."""

    def stop(self) -> None:
        """Look no more: nobody waits for an answer."""


def probe(loop: Loop, spec: Spec) -> Probe:
    """Return what looks as *spec* says."""
    if isinstance(spec, ExecSpec):
        return _ExecProbe(loop, spec)
    return _ThreadProbe(loop, partial(_look, spec))


def _look(spec: TcpSpec | GrpcSpec, timeout: float) -> str:
    if isinstance(spec, TcpSpec):
        from ...probing.tcp import trouble_with_port

        return trouble_with_port(spec.host, spec.port, timeout)
    from ...probing.health import trouble_with_health  # behind the door to gRPC

    return trouble_with_health(spec.address, spec.service, timeout)


class _ThreadProbe:
    """See `Probe`; *ask* returns what is wrong, after its timeout at the latest."""

    def __init__(self, loop: Loop, ask: Callable[[float], str]) -> None:
        self._loop, self._ask = loop, ask

    def look(self, timeout: float, done: Done) -> None:
        def work() -> None:
            trouble = self._ask(timeout)
            self._loop.post(partial(done, trouble))

        threading.Thread(target=work, name="etcdnaming-probe", daemon=True).start()

    def stop(self) -> None:
        """It ends by itself."""


class _ExecProbe:
    """See `Probe`. What the command prints last is what is wrong."""

    def __init__(self, loop: Loop, spec: ExecSpec) -> None:
        self._loop, self._argv = loop, spec.argv
        self._command: Command | None = None

    def look(self, timeout: float, done: Done) -> None:
        output = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the command
        ended = partial(self._end, output, done)
        try:
            self._command = self._loop.launch(
                self._argv, environment(), ended, output=output.fileno()
            )
        except OSError as exc:
            output.close()
            done(f"{self._argv[0]}: {exc.strerror}")

    def stop(self) -> None:
        if self._command is not None:
            self._command.kill()

    def _end(self, output: IO[bytes], done: Done, exit_code: int) -> None:
        self._command = None
        with output:
            words = _last_line(output)
        done(f"exit code {exit_code}{words and ': '}{words}" if exit_code else "")


def _last_line(output: IO[bytes]) -> str:
    output.seek(max(0, os.fstat(output.fileno()).st_size - LAST_WORDS))
    lines = output.read(LAST_WORDS).decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
