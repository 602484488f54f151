"""One look at the service, of each kind, that never keeps the loop waiting."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeAlias

from ..child import beginning
from ..failures import CommandNotFoundError, CommandNotRunError
from ..system_errors import describe
from .errand import Errand
from .loop import Loop, in_thread
from .specs import ExecSpec, GrpcSpec, Spec, TcpSpec

__all__ = ["Done", "Probe", "probe"]

Done: TypeAlias = Callable[[str], None]
"""Is called in the loop with what is wrong; empty if nothing is."""


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
            try:
                trouble = self._ask(timeout)
            except Exception as exc:  # noqa: BLE001 - whatever it is, there was no good answer
                trouble = str(exc) or type(exc).__name__
            self._loop.post(partial(done, trouble))

        try:
            in_thread("probe", work)
        except BlockingIOError as exc:
            done(describe(exc))

    def stop(self) -> None:
        """It ends by itself."""


class _ExecProbe:
    """See `Probe`. What the command prints last is what is wrong."""

    def __init__(self, loop: Loop, spec: ExecSpec) -> None:
        self._loop, self._argv = loop, spec.argv
        self._errand: Errand | None = None

    def look(self, timeout: float, done: Done) -> None:
        try:
            with beginning(self._argv[0]):
                self._errand = Errand(self._loop, self._argv, done)
        except (CommandNotFoundError, CommandNotRunError) as exc:
            done(str(exc))

    def stop(self) -> None:
        if self._errand is not None:
            self._errand.stop()
