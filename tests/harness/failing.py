"""Make methods fail with an unforeseen error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

__all__ = ["failing"]


@contextmanager
def failing(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, times: int = 2
) -> Iterator[list[MemoryError]]:
    """Make a method fail so many times with an unforeseen error; yield the errors raised."""
    genuine = getattr(owner, name)
    raised: list[MemoryError] = []

    def fail(*args: Any, **named: Any) -> Any:
        if len(raised) < times:
            raised.append(MemoryError(f"{name} {len(raised)}"))
            raise raised[-1]
        return genuine(*args, **named)

    monkeypatch.setattr(owner, name, fail)
    yield raised
    assert len(raised) == times
