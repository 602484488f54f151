"""The shutdown of ``lease-register``: deregister, drain, signal the command, kill what is left."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from .commands import ForegroundCommand
from .loop import Loop
from .registration_thread import RegistrationThread

__all__ = ["Shutdown"]

POLL_INTERVAL = 0.02
"""Seconds between two looks at the process group: the exit of grandchildren is not reported."""

ABANDON_TIMEOUT = 1.0
"""Seconds to wait, after SIGKILL, for processes of the group that can't be killed."""

DUPLICATE_INTERVAL = 0.1
"""Seconds within which the same signal counts once: timeout(1) sends each twice."""


class Shutdown:
    """
    End the registration and *command*, in order, all of it in the loop.

    1. Delete the endpoints and revoke the lease, so that clients stop dialing.
    2. Wait for *drain* seconds, while clients notice.
    3. Send *signum* to the command's process group.
    4. After *stop_timeout* seconds, send SIGKILL to the group.
    5. When the group is gone and etcd answered (or took too long), call *finished* with whether
       etcd confirmed the end.

    The command may exit at any point: step 3 then follows at once, with SIGTERM, for processes that
    it left in its group. A second signal skips the drain, a third one kills.
    """

    def __init__(
        self,
        loop: Loop,
        command: ForegroundCommand | None,
        finished: Callable[[bool], None],
        *,
        signum: int,
        drain: float,
        stop_timeout: float,
    ) -> None:
        self._loop, self._command, self._finished = loop, command, finished
        self._signum, self._drain, self._stop_timeout = signum, drain, stop_timeout
        self._is_deregistered = self._is_clean = self._is_finished = False
        self._is_signalled = self._is_abandoned = False
        self._signals = 1
        self._last_signal = (signum, time.monotonic())

    def start(self, registration: RegistrationThread) -> None:
        """Start with the deregistration."""
        registration.close(self._deregistered)
        if self._command and self._command.exit_code is not None:
            self.command_exited()

    def another_signal(self, signum: int) -> None:
        """Handle a further signal: the second skips the drain, the third kills."""
        (last, at), self._last_signal = self._last_signal, (signum, time.monotonic())
        if signum == last and self._last_signal[1] - at < DUPLICATE_INTERVAL:
            return
        self._signals += 1
        if self._command is None:
            if self._signals > 2:
                self._finish()
        elif self._signals > 2:
            self._kill()
        elif self._is_signalled:
            self._command.signal(signum)
        else:
            self._drain = 0.0
            if self._is_deregistered:
                self._signal_command()

    def command_exited(self) -> None:
        """Signal the processes that the command left in its group, and wait for their end."""
        if not self._is_signalled:
            self._signum = signal.SIGTERM
            self._signal_command()
        self._poll()

    def _deregistered(self, clean: bool) -> None:
        self._is_deregistered, self._is_clean = True, clean
        if self._command is None:
            self._finish()
        elif self._command.exit_code is None:
            self._loop.call_later(self._drain, self._signal_command)

    def _signal_command(self) -> None:
        if self._command is None or self._is_signalled:
            return
        self._is_signalled = True
        self._command.signal(self._signum)
        self._loop.call_later(self._stop_timeout, self._kill)

    def _kill(self) -> None:
        if self._command:
            self._command.kill()
            if self._command.is_gone:
                self._poll()
        self._loop.call_later(ABANDON_TIMEOUT, self._abandon)

    def _abandon(self) -> None:
        self._is_abandoned = True

    def _poll(self) -> None:
        is_gone = self._is_abandoned or (self._command and self._command.is_gone)
        if is_gone and self._is_deregistered:
            self._finish()
        else:
            self._loop.call_later(POLL_INTERVAL, self._poll)

    def _finish(self) -> None:
        if not self._is_finished:
            self._is_finished = True
            self._finished(self._is_clean)
