"""What a server counts. `metrics` makes Prometheus' series of it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter

__all__ = ["Counters", "Histogram"]


class Histogram:
    """How long something took, by upper bounds in seconds."""

    BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)

    def __init__(self) -> None:
        self.counts = [0] * (len(self.BOUNDS) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.BOUNDS, seconds)] += 1
        self.sum += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """Return how many took no longer than each bound."""
        total, found = 0, []
        for bound, count in zip([*map(str, self.BOUNDS), "+Inf"], self.counts, strict=True):
            total += count
            found.append((bound, float(total)))
        return found


class Counters:
    """Totals since the start. Those with labels are by type, or by reason."""

    def __init__(self) -> None:
        self.responses: Counter[str] = Counter()
        self.response_bytes = 0
        self.nacks: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.stale_requests = 0
        self.resent = 0
        self.change_seconds = Histogram()
