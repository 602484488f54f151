"""What the errors of the operating system mean, in one line."""

from __future__ import annotations

import errno
import os

__all__ = ["SHORTAGES", "describe"]

SHORTAGES = {
    errno.EMFILE: "too many open files: raise the limit (ulimit -n)",
    errno.EAGAIN: "too many processes: raise the limit (ulimit -u, or the container's)",
}


def describe(exc: OSError) -> str:
    """
    Return what *exc* says: about which file, if any, and what there is too little of.

    >>> describe(FileNotFoundError(2, "No such file or directory", "/dev/null"))
    '/dev/null: No such file or directory'
    """
    if exc.errno in SHORTAGES:
        return SHORTAGES[exc.errno]
    name = f"{os.fsdecode(exc.filename)}: " if isinstance(exc.filename, (str, bytes)) else ""
    return f"{name}{exc.strerror or exc}"
