"""Serve a few pages by HTTP, on asyncio: what a page shows is up to its function."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias
from urllib.parse import parse_qs, urlsplit

from ..model import JSON

__all__ = [
    "Page",
    "PageFunction",
    "PageServer",
    "PageThread",
    "json_page",
    "json_text_page",
    "text_page",
]

TIMEOUT = 10.0
"""Seconds for a request to arrive, and for its answer to be taken."""

STOP_TIMEOUT = 1.0
"""Seconds for the answers that are being sent when the server stops."""

MAX_HEADERS = 100

MAX_CONNECTIONS = 64
"""Further ones are closed at once: they must not take the descriptors that the process needs."""


class Page(NamedTuple):
    """An answer: the HTTP status, the content type and the content."""

    status: str
    type: str
    body: bytes


PageFunction: TypeAlias = Callable[[Mapping[str, Sequence[str]]], Page]
"""Return a page for the parameters of the query."""


class PageServer:
    """Serves *pages* by their paths, from `start` to `stop`, all in one event loop."""

    def __init__(self, pages: Mapping[str, PageFunction]) -> None:
        self._pages = pages
        self._servers: list[asyncio.AbstractServer] = []
        self._answering: set[asyncio.Task[None]] = set()
        self._connections = 0

    async def start(self, sockets: Sequence[socket.socket]) -> None:
        """Accept connections on *sockets*, which listen."""
        for each in sockets:
            start = (
                asyncio.start_unix_server if each.family == socket.AF_UNIX else asyncio.start_server
            )
            self._servers.append(await start(self._serve, sock=each))

    async def stop(self) -> None:
        """Accept no more connections, and return when those with a request are answered."""
        for each in self._servers:
            each.close()
        if self._answering:
            await asyncio.wait(self._answering, timeout=STOP_TIMEOUT)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections <= MAX_CONNECTIONS:
                await self._answer(reader, writer)
        finally:
            self._connections -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.TimeoutError):
            method, path = await asyncio.wait_for(_request(reader), TIMEOUT)
            answering = asyncio.ensure_future(_send(writer, method, self._page(method, path)))
            self._answering.add(answering)
            try:
                await answering
            finally:
                self._answering.discard(answering)

    def _page(self, method: str, target: str) -> Page:
        if method not in ("GET", "HEAD"):
            return text_page("405 Method Not Allowed", "only GET")
        url = urlsplit(target)
        page = self._pages.get(url.path)
        if page is None:
            return text_page("404 Not Found", f"there are: {' '.join(self._pages)}")
        try:
            return page(parse_qs(url.query))
        except Exception as exc:  # noqa: BLE001 - the server goes on whatever a page does
            return text_page("500 Internal Server Error", f"{type(exc).__name__}: {exc}")


class PageThread:
    """
    Serves *pages* on *sockets*, which listen, in a thread of its own: the one that calls `run`.

    Raises:
        OSError: There are too many open files.
    """

    def __init__(self, pages: Mapping[str, PageFunction], sockets: Sequence[socket.socket]) -> None:
        self._server = PageServer(pages)
        self._loop = asyncio.new_event_loop()
        self._loop.run_until_complete(self._server.start(sockets))

    def run(self) -> None:
        """Serve for ever."""
        self._loop.run_forever()

    def stop(self) -> None:
        """Stop listening, and return when the requests are answered; from another thread."""
        stopped = asyncio.run_coroutine_threadsafe(self._server.stop(), self._loop)
        with contextlib.suppress(concurrent.futures.TimeoutError):
            stopped.result(2 * STOP_TIMEOUT)


def text_page(status: str, text: str) -> Page:
    """Return a page with the line *text*."""
    return Page(status, "text/plain; charset=utf-8", f"{text}\n".encode("utf-8", "replace"))


def json_page(value: JSON) -> Page:
    """Return a page with *value*."""
    return json_text_page(json.dumps(value, default=list))


def json_text_page(text: str) -> Page:
    """Return a page with *text*, which is JSON."""
    return Page("200 OK", "application/json", text.encode() + b"\n")


async def _send(writer: asyncio.StreamWriter, method: str, page: Page) -> None:
    head = (
        f"HTTP/1.1 {page.status}\r\nContent-Type: {page.type}\r\n"
        f"Content-Length: {len(page.body)}\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode() + (b"" if method == "HEAD" else page.body))
    await asyncio.wait_for(writer.drain(), TIMEOUT)


async def _request(reader: asyncio.StreamReader) -> tuple[str, str]:
    """
    Return the method and the target of a request.

    Raises:
        ValueError: It is none.
    """
    method, target, _ = (await reader.readline()).decode("latin-1").split(" ")
    for _ in range(MAX_HEADERS):
        if (await reader.readline()) in (b"\r\n", b"\n", b""):
            return method, target
    raise ValueError("too many headers")
