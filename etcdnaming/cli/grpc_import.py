"""
Import gRPC for a command: quickly, without its log lines, and only within the system's limits.

Only the command line does this: an import hook, or a variable, in a program that uses the library
would be a side effect of the library.
"""

from __future__ import annotations

import _thread
import errno
import gc
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

__all__ = ["DEFERRED", "deferred_imports", "importing_grpc"]

GRPC_NEEDS = 8
"""The descriptors, and the threads, that one call of gRPC takes on a small machine."""

# gRPC reads these variables once, when it is imported. Its own log lines would appear between our
# messages, and its fork support has crashed the commands that we start.
GRPC_VARIABLES = {"GRPC_VERBOSITY": "NONE", "GRPC_ENABLE_FORK_SUPPORT": "0"}

DEFERRED = frozenset(
    {
        "asyncio",  # imported by grpc, which uses it in grpc.aio only
        "google.protobuf.internal.python_message",  # used by the pure-Python protobuf only
        "grpc.aio",  # used by xds-bridge only
    }
)
"""
Modules that are loaded when one of their attributes is first used.

gRPC and protobuf import them, and most commands never use them. asyncio alone takes a fifth of the
time of ``etcdnaming add``.
"""


@contextmanager
def importing_grpc() -> Iterator[None]:
    """
    Let the block import gRPC.

    Raises:
        OSError: A limit of this process, its user or its container is too low.
    """
    _check_limits()
    with _unless_set(GRPC_VARIABLES), deferred_imports():
        yield
    _resume_garbage_collection()


@contextmanager
def deferred_imports() -> Iterator[None]:
    """
    Let an import of a module in `DEFERRED`, in the block, load it on first use.

    The next import of such a module loads it too, in the block or after it. A module that is
    already imported, or that a later release no longer has, is not affected.
    """
    finder = _DeferringFinder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _DeferringFinder:
    """Finds the modules in `DEFERRED` as Python does, with a loader that waits for their use."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, _: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in DEFERRED:
            return None  # the next finder is asked
        spec = PathFinder.find_spec(name, path)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def _unless_set(variables: Mapping[str, str]) -> Iterator[None]:
    """Set *variables* in the block only, so that the commands that we start don't inherit them."""
    missing = {name: value for name, value in variables.items() if name not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for name in missing:
            del os.environ[name]


def _check_limits() -> None:
    """
    Check that gRPC can start: without descriptors it aborts, without threads it blocks for ever.

    Raises:
        OSError: A limit of this process, its user or its container is too low.
    """
    opened, end = list[int](), _thread.allocate_lock()
    try:
        while len(opened) < GRPC_NEEDS:
            opened.extend(os.pipe())
        with end:  # the threads live until it is released
            for _ in range(GRPC_NEEDS):
                _thread.start_new_thread(_wait_for, (end,))
    except RuntimeError as exc:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from exc
    finally:
        for each in opened:
            os.close(each)


def _wait_for(lock: _thread.LockType) -> None:
    with lock:
        pass


def _resume_garbage_collection() -> None:
    """Enable Python's garbage collector, which the program starts without."""
    if not gc.isenabled():
        # The modules stay: the collector need not look at them, but when it looks at everything.
        gc.freeze()
        gc.unfreeze()
        gc.enable()
