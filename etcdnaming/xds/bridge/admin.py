"""The pages for operators, by HTTP: /metrics, /healthz, /readyz, /streams, /names."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urlsplit

from ...errors import InvalidSettingError
from ...model import JSON
from ..names import Kind
from .journal import kind_name
from .listening import ListenAddress, check_free
from .session import Session

if TYPE_CHECKING:
    from .bridge import Bridge
    from .metrics import Metrics

__all__ = ["Admin"]

TIMEOUT = 10.0
"""Seconds for a request to arrive."""

MAX_HEADERS = 100


class _Page(NamedTuple):
    status: str
    type: str
    body: bytes


class Admin:
    """Serves what there is to know of *bridge*."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._metrics: Metrics | None = None
        self._server: asyncio.Server | None = None
        self._pages: dict[str, Callable[[], _Page]] = {
            "/metrics": self._metrics_page,
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/streams": self._streams,
        }

    async def start(self, address: ListenAddress) -> str:
        """
        Listen; return the address with the port that was taken.

        Raises:
            InvalidSettingError: It can't be listened on.
        """
        check_free(address)
        try:
            if address.path:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(address.path)
                self._server = await asyncio.start_unix_server(self._serve, address.path)
                return address.text
            self._server = await asyncio.start_server(self._serve, address.host, address.port)
        except OSError as exc:
            raise InvalidSettingError(f"can't listen on {address.text}: {exc.strerror}") from exc
        port = self._server.sockets[0].getsockname()[1]
        return f"{address.text.rpartition(':')[0]}:{port}"

    def stop(self) -> None:
        """End."""
        if self._server:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, ValueError, asyncio.TimeoutError):
            method, path = await asyncio.wait_for(_request(reader), TIMEOUT)
            page = self._page(method, path)
            head = (
                f"HTTP/1.1 {page.status}\r\nContent-Type: {page.type}\r\n"
                f"Content-Length: {len(page.body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode() + (b"" if method == "HEAD" else page.body))
            await asyncio.wait_for(writer.drain(), TIMEOUT)
        writer.close()

    def _page(self, method: str, target: str) -> _Page:
        if method not in ("GET", "HEAD"):
            return _text("405 Method Not Allowed", "only GET")
        url = urlsplit(target)
        if url.path == "/names":
            return self._names_page(parse_qs(url.query).get("name", [""])[0])
        page = self._pages.get(url.path)
        if page is None:
            return _text(
                "404 Not Found", f"there are: {' '.join(self._pages)} /names /names?name=TARGET"
            )
        return page()

    def _healthz(self) -> _Page:
        return _text("200 OK", "ok")

    def _readyz(self) -> _Page:
        if self._bridge.ready:
            return _text("200 OK", "ready")
        return _text("503 Service Unavailable", "not ready")

    def _streams(self) -> _Page:
        return _json({"streams": [_stream(each) for each in self._bridge.hub.sessions]})

    def _metrics_page(self) -> _Page:
        try:
            from .metrics import Metrics
        except ModuleNotFoundError:
            text = "metrics need prometheus_client: pip install 'etcdnaming[metrics]'"
            return _text("501 Not Implemented", text)
        if self._metrics is None:
            self._metrics = Metrics(self._bridge)
        return _Page("200 OK", self._metrics.content_type, self._metrics.text())

    def _names_page(self, name: str) -> _Page:
        return _json(self._name(name) if name else self._names())

    def _names(self) -> JSON:
        catalog = self._bridge.catalog
        return {"revision": catalog.revision, "names": catalog.services()}

    def _name(self, name: str) -> JSON:
        catalog = self._bridge.catalog
        subscribers = [_node(each) for each in self._bridge.hub.subscribers(name)]
        endpoints = [each._asdict() for each in catalog.endpoints(name)]
        return {
            "name": name,
            "revision": catalog.revision,
            "endpoints": endpoints,
            "subscribers": subscribers,
        }


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


def _text(status: str, text: str) -> _Page:
    return _Page(status, "text/plain; charset=utf-8", f"{text}\n".encode())


def _json(value: JSON) -> _Page:
    return _Page("200 OK", "application/json", json.dumps(value, default=list).encode() + b"\n")


def _node(session: Session) -> dict[str, JSON]:
    node = session.stream.node
    return {
        "node": node.id,
        "zone": node.locality.zone,
        "agent": f"{node.user_agent_name} {node.user_agent_version}".strip(),
        "peer": session.peer,
    }


def _stream(session: Session) -> dict[str, JSON]:
    since = datetime.fromtimestamp(session.since, timezone.utc).isoformat(timespec="milliseconds")
    types = {
        kind_name(kind): {
            "names": sorted(subscription.names),
            "sent_version": subscription.sent_version,
            "accepted_version": subscription.accepted_version,
            "error": subscription.error,
        }
        for kind in Kind
        if (subscription := session.stream.subscriptions.get(kind))
    }
    return {**_node(session), "since": since, "types": types}
