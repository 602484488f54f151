"""
What a child process makes of what its parent had.

A child has none of the threads, so nobody will ever release a lock that one of them held; and what
gRPC had under way is broken off. Whoever has such things makes them anew. gRPC itself does what it
can if it is told before that the process will fork.
"""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet

__all__ = ["FORKS", "Forkable", "kept", "told_after_fork"]

FORKS = os.environ.get("GRPC_ENABLE_FORK_SUPPORT", "").lower() in {"1", "yes", "true"}
"""
gRPC is told of it. For a fork it then stops its own threads, but gives up if one of ours is in it.
"""


class Forkable(Protocol):
    """Something that a child inherits."""

    def after_fork(self) -> None:
        """Begin anew, in the child; gRPC may not be ready yet, and is not to be called."""


kept: list[object] = []
"""The parent's channels: to free them gRPC takes locks that a thread of the parent may hold."""

_known: WeakSet[Forkable] = WeakSet()


def told_after_fork(this: Forkable) -> None:
    """Tell *this* of it in every child process, as long as somebody else refers to it."""
    _known.add(this)


def _tell() -> None:
    for each in [*_known]:
        each.after_fork()


os.register_at_fork(after_in_child=_tell)
