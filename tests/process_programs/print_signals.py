"""Print the number of each signal that arrives, until killed."""

from __future__ import annotations

import os
import signal

SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}

signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
os.write(1, b"ready\n")
while True:
    os.write(1, b"%d\n" % signal.sigwait(SIGNALS))
