"""
Defer modules that gRPC and protobuf import and that most commands never use.

Without this, asyncio alone takes a fifth of the time of ``etcdnaming add``. Only the command line
does it: an import hook in a program that uses the library would be the library's side effect.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

__all__ = ["DEFERRED", "deferred_imports"]

DEFERRED = frozenset(
    {
        "asyncio",  # imported by grpc, which uses it in grpc.aio only
        "google.protobuf.internal.python_message",  # used by the pure-Python protobuf only
        "grpc.aio",  # used by xds-bridge only
    }
)
"""Modules that are loaded when one of their attributes is first used."""


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
