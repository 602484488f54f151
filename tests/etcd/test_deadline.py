"""Deadlines: one for all calls of an operation."""

from __future__ import annotations

from contextvars import copy_context

from etcdnaming.etcd.deadline import within


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
