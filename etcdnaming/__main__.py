"""``etcdnaming`` and ``python -m etcdnaming``: how the process begins and ends."""

from __future__ import annotations

import os

# Not `signal` and `typing`: while they are loaded, which takes longer than all of Python's own
# start after it has begun to handle SIGINT, a Ctrl-C is a traceback.
from _signal import (  # type: ignore[import-not-found]
    SIG_DFL,
    SIG_IGN,
    SIGHUP,
    SIGINT,
    SIGPIPE,
    SIGQUIT,
    SIGTERM,
    default_int_handler,
    getsignal,
    signal,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line, and end as it says."""
    # Before anything takes time: from here on a Ctrl-C ends us as it ends any program, in silence.
    if getsignal(SIGINT) is default_int_handler:
        signal(SIGINT, SIG_DFL)
    if os.getpid() == 1:
        _let_signals_end_us()
    _keep_standard_descriptors()

    from .cli import main as run

    try:
        # Nothing is left to clean up, and taking gRPC apart would take as long as a call to etcd.
        os._exit(run())
    except BrokenPipeError:
        from .cli.signals import die_by

        die_by(SIGPIPE)


def _let_signals_end_us() -> None:
    """Do what the kernel does to all but PID 1, on which a signal without a handler is lost."""
    for each in (SIGINT, SIGTERM, SIGHUP, SIGQUIT):
        if getsignal(each) is not SIG_IGN:
            signal(each, lambda number, _: os._exit(128 + number))


def _keep_standard_descriptors() -> None:
    """Let no file of ours get a number that is stdin's, stdout's or stderr's to others."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # it is closed: the next file that is opened gets its number
            _open_nothing()


def _open_nothing() -> None:
    try:
        os.open(os.devnull, os.O_RDWR)
    except OSError:  # in a container it may be missing
        os.open("/", os.O_RDONLY)


if __name__ == "__main__":
    main()
