"""Pauses between attempts: they grow, are random, and start again after a stable stream."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from etcdnaming.errors import AuthenticationError, ConnectionFailedError, TokenRefusedError
from etcdnaming.etcd import deadline
from etcdnaming.etcd.deadline import Backoff, doubled, full_jitter, jittered

TIMES = 400
"""So many random numbers come close to both ends of their range."""


def spread(pause: Callable[[], float]) -> tuple[float, float]:
    """Return the shortest and the longest of many pauses."""
    pauses = [pause() for _ in range(TIMES)]
    return min(pauses), max(pauses)


@pytest.mark.parametrize(
    ("failures", "longest"), [(0, 0.2), (1, 0.4), (3, 1.6), (5, 5.0), (9, 5.0), (5000, 5.0)]
)
def test_pause_is_any_part_of_a_bound_that_doubles(failures: int, longest: float) -> None:
    """Clients that failed together do not return together."""
    low, high = spread(lambda: full_jitter(failures))
    assert 0 <= low < longest / 10
    assert longest * 0.9 < high <= longest


def test_pause_is_bounded_by_the_caller() -> None:
    """A stream of leases may not pause as long as a call."""
    assert 1.8 < spread(lambda: full_jitter(9, 2.0))[1] <= 2.0
    assert [doubled(1.0, times, 20.0) for times in (0, 1, 4, 5, 10_000)] == [1, 2, 16, 20, 20]


def test_period_differs_by_a_tenth_at_most() -> None:
    """Clients that began together do not stay together, and none waits much longer."""
    low, high = spread(lambda: jittered(10.0))
    assert 9 <= low < 9.2
    assert 10.8 < high <= 11


def test_backoff_pauses_from_the_second_failure_on() -> None:
    """A single break is no reason to wait."""
    assert {Backoff(5.0).pause() for _ in range(9)} == {0.0}

    def third() -> float:
        pauses = Backoff(5.0)
        return [pauses.pause() for _ in range(3)][-1]

    assert 0.7 < spread(third)[1] <= 0.8
    pauses = Backoff(5.0)
    assert spread(pauses.pause)[1] > 4.5
    assert pauses.failures == TIMES


@pytest.mark.parametrize(("stable_after", "failures"), [(0.0, 0), (60.0, 2)])
def test_backoff_starts_again_after_a_stable_stream_only(
    monkeypatch: pytest.MonkeyPatch, stable_after: float, failures: int
) -> None:
    """A stream that breaks at once is one more failure."""
    monkeypatch.setattr(deadline, "STABLE_AFTER", stable_after)
    pauses = Backoff(5.0)
    pauses.pause()
    pauses.pause()
    pauses.opened()
    pauses.ended()
    assert pauses.failures == failures


def test_backoff_pauses_long_after_a_refused_login_only() -> None:
    """A refused password is not sent again soon; a refused token is renewed at once."""
    low, high = spread(lambda: Backoff(2.0).pause_after(AuthenticationError("wrong")))
    assert 27 <= low < 28.5
    assert 31.5 < high <= 33
    for error in (TokenRefusedError("old"), ConnectionFailedError("away")):
        assert Backoff(2.0).pause_after(error) == 0.0
