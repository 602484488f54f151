"""``etcdnaming`` and ``python -m etcdnaming``: the start and the end of the process."""

from __future__ import annotations

import os

# Not `signal` and `typing`: their import takes longer than the rest of Python's own start after it
# has installed its SIGINT handler, and a Ctrl-C during that time would print a traceback.
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
    """Run the command line, and exit with its code."""
    # First of all: from here on Ctrl-C ends the process silently, as it ends any program.
    if getsignal(SIGINT) is default_int_handler:
        signal(SIGINT, SIG_DFL)
    if os.getpid() == 1:
        _exit_on_signals()
    _reserve_standard_descriptors()

    import gc

    gc.disable()  # modules that are imported are no garbage; `App` enables it after that
    from .cli import main as run

    try:
        # Not sys.exit: nothing is left to clean up, and gRPC's own takes as long as a call to etcd.
        os._exit(run())
    except BrokenPipeError:
        from .cli.signals import die_by

        die_by(SIGPIPE)


def _exit_on_signals() -> None:
    """Exit on signals, as the kernel does it for other processes: PID 1 ignores unhandled ones."""
    for each in (SIGINT, SIGTERM, SIGHUP, SIGQUIT):
        if getsignal(each) is not SIG_IGN:
            signal(each, lambda number, _: os._exit(128 + number))


def _reserve_standard_descriptors() -> None:
    """Open descriptors 0, 1 and 2 if they are closed: a file must not get the number of stderr."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed; the lowest free number is given to the next file that is opened
            _open_dev_null()


def _open_dev_null() -> None:
    try:
        os.open(os.devnull, os.O_RDWR)
    except OSError:  # missing in some containers
        os.open("/", os.O_RDONLY)


if __name__ == "__main__":
    main()
