"""Deadlines: one for all calls of an operation."""

from __future__ import annotations

import sys
from contextvars import copy_context
from types import FrameType
from typing import Any

import pytest

from etcdnaming.etcd.deadline import _Bounded, within


def test_inner_deadline_is_that_of_the_operation_around_it() -> None:
    """The next operation has a deadline of its own, and so has another context."""
    with within(5) as outer:
        with within(60) as inner, within(1) as innermost:
            assert inner is innermost is outer
        outer.cut()
        with within(60) as later:
            assert later.left() == 0
        assert copy_context().run(lambda: within(60).__enter__()) is outer
    with within(60) as other:
        assert other.left() > 50


@pytest.mark.parametrize("method", [_Bounded.__enter__, _Bounded.__exit__])
@pytest.mark.parametrize("event", ["call", "return"])
def test_deadline_ends_with_its_block_when_ctrl_c_is_pressed_at_its_edge(
    method: Any, event: str
) -> None:
    """Otherwise no later call of the thread would have any time, for as long as it runs."""

    def interrupt(frame: FrameType, happened: str, _: object) -> Any:
        if frame.f_code is not method.__code__:
            return None
        if happened == event:
            raise KeyboardInterrupt
        return interrupt

    trace = sys.gettrace()
    sys.settrace(interrupt)
    try:
        with within(0):
            pass
    except KeyboardInterrupt:
        interrupted = True
    finally:
        sys.settrace(trace)

    assert interrupted
    with within(60) as later:
        assert later.left() > 50
