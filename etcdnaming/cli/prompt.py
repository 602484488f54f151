"""Questions to the person at the terminal."""

from __future__ import annotations

import getpass
import signal
import sys

from ..errors import InvalidSettingError
from ..printable import printable
from . import stderr
from .signals import unwinding

__all__ = ["ask_password", "confirm", "is_answered"]


def ask_password(user: str) -> str:
    """
    Return what is typed, unseen, at the terminal itself; a Ctrl-C gives its echo back first.

    Raises:
        InvalidSettingError: Nobody is there to type it.
    """
    if not is_answered():
        raise InvalidSettingError(
            f"the user {user!r} needs a password: --password-file FILE, ETCDNAMING_PASSWORD, "
            "or a terminal to ask on"
        )
    with unwinding(signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        try:
            return getpass.getpass(printable(f"Password of {user} for etcd: "))
        except EOFError:
            raise InvalidSettingError(f"no password was typed for the user {user!r}") from None


def is_answered() -> bool:
    """Return whether somebody can answer: questions are asked on a terminal only."""
    return sys.stdin is not None and sys.stdin.isatty()


def confirm(question: str) -> bool:
    """Return whether the answer is yes, for which silence does not count."""
    print(f"{printable(question)} [y/N] ", end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer:  # a Ctrl-D, which does not end the line
        stderr.say("")
    return answer.strip().lower() in ("y", "yes")
