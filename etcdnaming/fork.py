"""
What a forked child does with the objects it inherits.

A child has none of its parent's threads. So a lock that one of them held at the fork is never
released, and calls that gRPC had under way never end: objects with locks or calls make new ones.
gRPC itself supports a fork only if GRPC_ENABLE_FORK_SUPPORT is set before it is imported.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["GRPC_FORK_SUPPORT", "Forkable", "call_after_fork", "inherited"]

GRPC_FORK_SUPPORT = os.environ.get("GRPC_ENABLE_FORK_SUPPORT", "").lower() in {"1", "yes", "true"}
"""
Whether gRPC prepares for forks.

It then stops its own threads at a fork, but gives up if one of our threads waits in it.
"""


class Forkable(Protocol):
    """An object that a child inherits."""

    def after_fork(self) -> None:
        """Start anew, in the child; gRPC may not be ready yet and must not be called."""


inherited: list[object] = []
"""
The parent's channels, which the child keeps for ever.

To free a channel gRPC takes locks that a thread of the parent may have held at the fork.
"""

_forkables: WeakSet[Forkable] = WeakSet()


def call_after_fork(forkable: Forkable) -> None:
    """Call ``after_fork`` of *forkable* in every child process, as long as it is referred to."""
    _forkables.add(forkable)


def _after_fork() -> None:
    for each in [*_forkables]:
        each.after_fork()


os.register_at_fork(after_in_child=_after_fork)
