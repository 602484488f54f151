"""``etcdnaming`` and ``python -m etcdnaming``: how the process begins and ends."""

from __future__ import annotations

import os
import signal
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line, and end as it says."""
    # Before anything takes time: from here on a Ctrl-C ends us as it ends any program, in silence.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if os.getpid() == 1:
        _let_signals_end_us()
    _keep_standard_descriptors()

    from .cli import main as run

    try:
        # Nothing is left to clean up, and taking gRPC apart would take as long as a call to etcd.
        os._exit(run())
    except BrokenPipeError:
        from .cli.signals import die_by

        die_by(signal.SIGPIPE)


def _let_signals_end_us() -> None:
    """Do what the kernel does to all but PID 1, on which a signal without a handler is lost."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(each) is not signal.SIG_IGN:
            signal.signal(each, lambda number, _: os._exit(128 + number))


def _keep_standard_descriptors() -> None:
    """Let no file of ours get a number that is stdin's, stdout's or stderr's to others."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


if __name__ == "__main__":
    main()
