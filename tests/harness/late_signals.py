"""Signals that do not interrupt what the main thread of the program waits for."""

from __future__ import annotations

from pathlib import Path

from .environment import Changes

__all__ = ["late_signals"]

# Python's handler runs in the main thread, but the signal interrupts another one.
MODULE = """
import signal, threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
"""


def late_signals(directory: Path) -> Changes:
    """
    Return changes of the environment of a Python process, with a module in *directory*.

    Each signal is then like one that arrives just before the main thread begins to wait: it does
    not end the wait. Children inherit the main thread's mask of signals.
    """
    (directory / "sitecustomize.py").write_text(MODULE)
    return {"PYTHONPATH": str(directory)}
