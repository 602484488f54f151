"""The remaining times of leases in the live table."""

from __future__ import annotations

from harness import wait_until

from etcdnaming.cli.output.live_table import LeaseTimes


def test_new_lease_is_asked_for_at_once() -> None:
    """It does not wait until the leases that are known are asked for again."""
    asked: list[int] = []

    def time_to_live(lease: int) -> int:
        asked.append(lease)
        return 10 * lease

    times = LeaseTimes(time_to_live, lambda: None)
    times.start()
    times.request([1])
    wait_until(lambda: times.remaining == {1: 10})
    times.request([1, 2])
    wait_until(lambda: times.remaining == {1: 10, 2: 20})
    times.end()

    assert asked == [1, 2]
