"""What stubs call: each call goes by the inner channel of its moment."""

from __future__ import annotations

from typing import Any
from weakref import WeakSet

from .current import Current
from .inner import Inner, Method
from .shapes import StreamStreamBase, StreamUnaryBase, UnaryStreamBase, UnaryUnaryBase
from .terms import Terms
from .waiting import Usher, wait_for_inner

__all__ = ["StreamStream", "StreamUnary", "Switchboard", "UnaryStream", "UnaryUnary"]


class Switchboard:
    """Where the calls of a channel are sent from; it knows those without a blocked caller."""

    def __init__(self, current: Current) -> None:
        self.current = current
        self.usher = Usher(current)
        self.under_way: WeakSet[Any] = WeakSet()

    def cancel_all(self) -> None:
        """End the calls under way, those on sets of endpoints that are no more, too."""
        for call in list(self.under_way):
            call.cancel()


class _Callable:
    """
    A method of a service.

    Args:
        owner: The channel, which lives as long as it can be called.
    """

    def __init__(self, owner: object, switchboard: Switchboard, method: Method) -> None:
        self._owner, self._switchboard, self._method = owner, switchboard, method
        self._current = switchboard.current

    def _block(self, how: str, args: Any, named: Any) -> Any:
        inner = self._current.view.inner
        if inner is None:
            inner, args = wait_for_inner(self._current, Terms.of(*args, **named))
            named = {}
        return getattr(inner.callable(self._method), how)(*args, **named)

    def _start(self, how: str, args: Any, named: Any) -> Any:
        inner = self._current.view.inner
        if inner is None:
            terms = Terms.of(*args, **named)
            call = self._switchboard.usher.send(terms, _Start(self._method, how), self._owner)
        else:
            call = _begin(inner, self._method, how, args, named)
        self._switchboard.under_way.add(call)
        return call


class _Start:
    """How to send a call later."""

    def __init__(self, method: Method, how: str) -> None:
        self._method, self._how = method, how

    def __call__(self, inner: Inner, terms: Terms) -> Any:
        return _begin(inner, self._method, self._how, terms, {})


def _begin(inner: Inner, method: Method, how: str, args: Any, named: Any) -> Any:
    call = getattr(inner.callable(method), how)(*args, **named)
    if method.kind == "unary_stream":
        call.inner = inner  # gRPC cancels single-threaded calls without this reference
    return call


class UnaryUnary(_Callable, UnaryUnaryBase):
    """One request, one response."""

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Return the response."""
        return self._block("__call__", args, named)

    def with_call(self, *args: Any, **named: Any) -> Any:
        """Return the response and the call."""
        return self._block("with_call", args, named)

    def future(self, *args: Any, **named: Any) -> Any:
        """Return the call, which is a future."""
        return self._start("future", args, named)


class UnaryStream(_Callable, UnaryStreamBase):
    """One request, many responses."""

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Return the call, which is an iterator of responses."""
        return self._start("__call__", args, named)


class StreamUnary(_Callable, StreamUnaryBase):
    """Many requests, one response."""

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Return the response."""
        return self._block("__call__", args, named)

    def with_call(self, *args: Any, **named: Any) -> Any:
        """Return the response and the call."""
        return self._block("with_call", args, named)

    def future(self, *args: Any, **named: Any) -> Any:
        """Return the call, which is a future."""
        return self._start("future", args, named)


class StreamStream(_Callable, StreamStreamBase):
    """Many requests, many responses."""

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Return the call, which is an iterator of responses."""
        return self._start("__call__", args, named)
