"""Check that `Supervisor.wait` returns when it should, and not before."""

from __future__ import annotations

import os
import signal
import threading
import time

from etcdnaming.process import Event, Signalled, Supervisor


def timed(timeout: float | None) -> tuple[Event | None, float]:
    """Return the event, and the seconds it took."""
    begin = time.monotonic()
    event = supervisor.wait(timeout)
    return event, time.monotonic() - begin


supervisor = Supervisor()

event, seconds = timed(0.2)
assert event is None
assert 0.2 <= seconds < 5

event, seconds = timed(0)
assert event is None
assert seconds < 5

threading.Timer(0.1, supervisor.wake).start()
event, seconds = timed(None)
assert event is None
assert seconds < 5

supervisor.wake()
event, seconds = timed(1e9)  # longer than poll accepts
assert event is None
assert seconds < 5

threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
event, seconds = timed(None)
assert event == Signalled(signal.SIGUSR1)
assert seconds < 5

# More than the wake-up pipe can hold.
for _ in range(70_000):
    supervisor.wake()
sent = {signal.SIGHUP, signal.SIGTERM, signal.SIGUSR2}
for each in sent:
    os.kill(os.getpid(), each)
received = [supervisor.wait(10) for _ in sent]
assert {event.number for event in received if isinstance(event, Signalled)} == sent
assert supervisor.wait(10) is None
event, seconds = timed(0.2)
assert event is None
assert seconds >= 0.2
