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
from ..registration.rules import OnConflict, OnDelete
from ..registration.status import RegistrationEvent
from .threads import in_loop, run, run_to_end

__all__ = ["Registration"]

WAIT = 1.0
"""Seconds that a thread waits in one go: so long it outlives a task that was cancelled."""


class Registration:
    """
    Endpoints that are in etcd while this is open, as `etcdnaming.Registration`.

        >>> async def main() -> None:
        ...     endpoints = {"foo/svc/e1": Endpoint("10.0.0.1:80")}
        ...     async with Registration(client, endpoints) as registration:
        ...         print(registration)  # here the service serves
        >>> asyncio.run(main())
        aio.<Registration of foo/svc/e1: registered>

    It belongs to the loop that runs when it is made. `set`, `remove`, `withdraw` and `restore` only
    say what is wanted, and return at once; `wait` waits until etcd holds it.

    Args:
        client: The client of the etcd to register in.

        endpoints: Endpoints by key. A key that ends in "/" gets the address as its name.

        ttl: TTL of the lease in seconds: how long the endpoints stay if this process dies.

        on_conflict: What to do with a key that is attached to another lease at the start:
            ``takeover``; ``wait`` until that lease ends, then and later; or ``fail``.

        on_delete: What to do when another client deletes a key: ``restore`` it, or ``leave`` it.

        on_state: Called in the loop with every `RegistrationEvent`. Without it, they are logged.

        wait: An ``async with`` block begins when all endpoints are registered. False: it begins at
            once, also while etcd is away, as a server's must that is to be stopped by a signal.

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
        wait: bool = True,
    ) -> None:
        self._wait = wait
        loop = asyncio.get_running_loop()
        self._registration = registration.Registration(
            client,
            endpoints,
            ttl=ttl,
            on_conflict=on_conflict,
            on_delete=on_delete,
            on_state=on_state if on_state is None else in_loop(loop, on_state),
        )

    def __repr__(self) -> str:
        return f"aio.{self._registration!r}"

    async def start(self, *, wait: bool = True, strict: bool | None = None) -> None:
        """
        Start to register the endpoints: see `etcdnaming.Registration.start`.

        If the task is cancelled while this waits, it goes on until `close`.

            >>> async def main() -> None:
            ...     registration = Registration(client, {"foo/svc/e1": Endpoint("10.0.0.1:80")})
            ...     await registration.start(wait=False)
            ...     print(await registration.wait(timeout=60), await registration.close())
            >>> asyncio.run(main())
            True True
        """
        strict = wait if strict is None else strict
        # Not cut short: otherwise `close` could come before it, and leave a registration behind.
        await run_to_end(partial(self._registration.start, wait=False, strict=strict))
        if wait:
            await self.wait()

    async def wait(self, timeout: float | None = None) -> bool:
        """
        Return whether etcd holds what was requested: see `etcdnaming.Registration.wait`.

            >>> async def main() -> None:
            ...     endpoints = {"foo/svc/e1": Endpoint("10.0.0.1:80")}
            ...     async with Registration(client, endpoints) as registration:
            ...         registration.withdraw()
            ...         print(await registration.wait(timeout=60), len(await manager.list()))
            >>> asyncio.run(main())
            True 0
        """
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = WAIT if end is None else max(0.0, end - time.monotonic())
            if await run(partial(self._registration.wait, min(left, WAIT))):
                return True
            if end is not None and time.monotonic() >= end:
                return False

    def set(self, key: str, endpoint: Endpoint) -> None:
        """
        Add *endpoint* or change the one at *key*, in the background.

            >>> async def main() -> None:
            ...     endpoints = {"foo/svc/e1": Endpoint("10.0.0.1:80")}
            ...     async with Registration(client, endpoints) as registration:
            ...         registration.set("foo/svc/e2", Endpoint("10.0.0.2:80"))
            ...         print(await registration.wait(timeout=60), len(await manager.list()))
            >>> asyncio.run(main())
            True 2
        """
        self._registration.set(key, endpoint)

    def remove(self, key: str) -> None:
        """
        Register *key* no longer, and delete it unless another client has taken it.

            >>> async def main() -> None:
            ...     endpoints = {"foo/svc/e1": Endpoint("10.0.0.1:80")}
            ...     async with Registration(client, endpoints) as registration:
            ...         registration.remove("foo/svc/e1")
            ...         print(await registration.wait(timeout=60), len(await manager.list()))
            >>> asyncio.run(main())
            True 0
        """
        self._registration.remove(key)

    def withdraw(self) -> None:
        """
        Delete all endpoints, but keep the lease, until `restore`.

            >>> async def main() -> None:
            ...     endpoints = {"foo/svc/e1": Endpoint("10.0.0.1:80")}
            ...     async with Registration(client, endpoints) as registration:
            ...         registration.withdraw()
            ...         print(await registration.wait(timeout=60), dict(registration.endpoints))
            >>> asyncio.run(main())
            True {}
        """
        self._registration.withdraw()

    def restore(self) -> None:
        """
        Register the withdrawn endpoints again.

            >>> async def main() -> None:
            ...     endpoints = {"foo/svc/e1": Endpoint("10.0.0.1:80")}
            ...     async with Registration(client, endpoints) as registration:
            ...         registration.withdraw()
            ...         registration.restore()
            ...         print(await registration.wait(timeout=60), len(await manager.list()))
            >>> asyncio.run(main())
            True 1
        """
        self._registration.restore()

    async def close(self, timeout: float = registration.CLOSE_TIMEOUT) -> bool:
        """
        Delete the registered keys, revoke the lease, and end.

        Return whether etcd has confirmed that within *timeout* seconds. A task that is cancelled
        meanwhile still waits for it, so that nothing is left behind when the program ends.

            >>> async def main() -> None:
            ...     registration = Registration(client, {"foo/svc/e1": Endpoint("10.0.0.1:80")})
            ...     await registration.start()
            ...     print(await registration.close(), len(await manager.list()))
            >>> asyncio.run(main())
            True 0
        """
        return await run_to_end(partial(self._registration.close, timeout))

    @property
    def registered(self) -> bool:
        """
        Return whether every endpoint is registered, as far as known.

            >>> async def main() -> None:
            ...     endpoints = {"foo/svc/e1": Endpoint("10.0.0.1:80")}
            ...     async with Registration(client, endpoints) as registration:
            ...         print(registration.registered)
            >>> asyncio.run(main())
            True
        """
        return self._registration.registered

    @property
    def lease(self) -> int:
        """
        Return the id of the lease; 0 if there is none.

            >>> async def main() -> None:
            ...     endpoints = {"foo/svc/e1": Endpoint("10.0.0.1:80")}
            ...     async with Registration(client, endpoints) as registration:
            ...         print(registration.lease == (await manager.get("foo/svc/e1")).lease)
            >>> asyncio.run(main())
            True
        """
        return self._registration.lease

    @property
    def renewal(self) -> tuple[int, float] | None:
        """
        Return the TTL of the lease in seconds, and when it was renewed last; ``None`` without one.

        That is a Unix time: of the last keep-alive request that etcd has confirmed.

            >>> async def main() -> None:
            ...     endpoints = {"foo/svc/e1": Endpoint("10.0.0.1:80")}
            ...     async with Registration(client, endpoints) as registration:
            ...         ttl, renewed = registration.renewal
            ...         print(ttl, 0 <= time.time() - renewed < 10)
            >>> asyncio.run(main())
            10 True
        """
        return self._registration.renewal

    @property
    def endpoints(self) -> Mapping[str, Endpoint | None]:
        """
        Return what etcd holds; ``None`` for another client's value that can't be read.

            >>> async def main() -> None:
            ...     endpoints = {"foo/svc/e1": Endpoint("10.0.0.1:80")}
            ...     async with Registration(client, endpoints) as registration:
            ...         print([*registration.endpoints])
            >>> asyncio.run(main())
            ['foo/svc/e1']
        """
        return self._registration.endpoints

    async def __aenter__(self) -> Registration:
        try:
            await self.start(wait=self._wait)
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
