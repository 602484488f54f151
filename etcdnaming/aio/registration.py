"""`Registration` as an asynchronous context manager."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType

from ..etcd import Client
from ..model import Endpoint
from ..registration import registration
from ..registration.event import RegistrationEvent
from ..registration.rules import OnConflict, OnDelete
from .threads import call_in_loop, run, run_to_end

__all__ = ["Registration"]

WAIT = 1.0
"""Seconds that a thread waits in one go: so long it outlives a task that was cancelled."""


class Registration:
    """
    Endpoints that are in etcd while this is open, as `etcdnaming.Registration`.

        >>> async def main(client: Client) -> None:
        ...     async with Registration(client, {"foo/svc/e1": Endpoint("10.0.0.1:80")}):
        ...         await asyncio.sleep(60)  # registered for a minute

    It belongs to the loop that runs when it is made. `set`, `remove`, `withdraw` and `restore` only
    say what is wanted, and return at once; `wait` waits until etcd holds it.

    Args:
        client: The client of the etcd to register in.

        endpoints: Endpoints by key. A key that ends in "/" gets the address as its name.

        ttl: TTL of the lease in seconds: how long the endpoints stay if this process dies.

        on_conflict: What to do with a key that is attached to another lease at the start:
            ``takeover``; ``wait`` until that lease ends, then and later; or ``fail``.

        on_delete: What to do when another client deletes a key: ``restore`` it, or ``leave`` it.

        on_state: Called in the loop with every `RegistrationEvent`.

    Raises:
        InvalidSettingError, InvalidTargetError, InvalidEndpointError: Nothing was sent.
        RuntimeError: No loop is running.
    """

    def __init__(
        self,
        client: Client,
        endpoints: Mapping[str, Endpoint],
        *,
        ttl: int = 10,
        on_conflict: OnConflict = "takeover",
        on_delete: OnDelete = "restore",
        on_state: Callable[[RegistrationEvent], None] | None = None,
    ) -> None:
        loop = asyncio.get_running_loop()

        def report(event: RegistrationEvent) -> None:
            if on_state is not None:
                call_in_loop(loop, partial(on_state, event))

        self._registration = registration.Registration(
            client,
            endpoints,
            ttl=ttl,
            on_conflict=on_conflict,
            on_delete=on_delete,
            on_state=report,
        )

    def __repr__(self) -> str:
        return f"aio.{self._registration!r}"

    async def start(self, *, wait: bool = True, strict: bool | None = None) -> None:
        """
        Start to register the endpoints: see `etcdnaming.Registration.start`.

        If the task is cancelled while this waits, it goes on until `close`.
        """
        strict = wait if strict is None else strict
        # Not cut short: otherwise `close` could come before it, and leave a registration behind.
        await run_to_end(partial(self._registration.start, wait=False, strict=strict))
        if wait:
            await self.wait()

    async def wait(self, timeout: float | None = None) -> bool:
        """Return whether etcd holds what was requested: see `etcdnaming.Registration.wait`."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = WAIT if end is None else max(0.0, end - time.monotonic())
            if await run(partial(self._registration.wait, min(left, WAIT))):
                return True
            if end is not None and time.monotonic() >= end:
                return False

    def set(self, key: str, endpoint: Endpoint) -> None:
        """Add *endpoint* or change the one at *key*, in the background."""
        self._registration.set(key, endpoint)

    def remove(self, key: str) -> None:
        """Register *key* no longer, and delete it unless another client has taken it."""
        self._registration.remove(key)

    def withdraw(self) -> None:
        """Delete all endpoints, but keep the lease, until `restore`."""
        self._registration.withdraw()

    def restore(self) -> None:
        """Register the withdrawn endpoints again."""
        self._registration.restore()

    async def close(self, timeout: float = registration.CLOSE_TIMEOUT) -> bool:
        """
        Delete the registered keys, revoke the lease, and end.

        Return whether etcd has confirmed that within *timeout* seconds. A task that is cancelled
        meanwhile still waits for it, so that nothing is left behind when the program ends.
        """
        return await run_to_end(partial(self._registration.close, timeout))

    @property
    def registered(self) -> bool:
        """Return whether every endpoint is registered, as far as known."""
        return self._registration.registered

    @property
    def lease(self) -> int:
        """Return the id of the lease; 0 if there is none."""
        return self._registration.lease

    @property
    def renewal(self) -> tuple[int, float] | None:
        """
        Return the TTL of the lease in seconds, and when it was renewed last; ``None`` without one.

        That is a Unix time: of the last keep-alive request that etcd has confirmed.
        """
        return self._registration.renewal

    @property
    def endpoints(self) -> Mapping[str, Endpoint | None]:
        """Return what etcd holds; ``None`` for another client's value that can't be read."""
        return self._registration.endpoints

    async def __aenter__(self) -> Registration:
        try:
            await self.start()
        except BaseException:  # a cancelled task must not leave anything behind either
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
