"""The pages for operators, by HTTP: /metrics, /healthz, /readyz, /streams, /names."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from typing import TYPE_CHECKING

from ... import wire
from ...extras import missing
from ...listening import ListenAddress, listen_on
from ...model import JSON
from ...monitoring.pages import Page, PageServer, json_page, json_text_page, text_page
from ..catalog import EndpointState
from ..names import Kind
from .journal import kind_name
from .session import Session

if TYPE_CHECKING:
    from ...monitoring.prometheus import Metrics
    from .bridge import Bridge

__all__ = ["Admin"]


class Admin:
    """Serves what there is to know of *bridge*."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._metrics: Metrics | None = None
        self._server = PageServer(
            {
                "/metrics": lambda _: self._metrics_page(),
                "/healthz": lambda _: text_page("200 OK", "ok"),
                "/readyz": lambda _: self._readyz(),
                "/streams": lambda _: self._streams(),
                "/names": self._names_page,
            }
        )

    async def start(self, address: ListenAddress) -> str:
        """
        Listen; return the address with the port that was taken.

        Raises:
            InvalidSettingError: It can't be listened on.
        """
        sockets, taken = listen_on(address)
        await self._server.start(sockets)
        return taken

    async def stop(self) -> None:
        """End."""
        await self._server.stop()

    def _readyz(self) -> Page:
        if self._bridge.ready:
            return text_page("200 OK", "ready")
        return text_page("503 Service Unavailable", "not ready")

    def _streams(self) -> Page:
        return json_page({"streams": [_stream(each) for each in self._bridge.hub.sessions]})

    def _metrics_page(self) -> Page:
        try:
            from ...monitoring.prometheus import Metrics
            from .metrics import collect
        except ModuleNotFoundError:
            text = f"no metrics: {missing('metrics')}"
            return text_page("501 Not Implemented", text)
        if self._metrics is None:
            self._metrics = Metrics(partial(collect, self._bridge))
        return self._metrics.page()

    def _names_page(self, query: Mapping[str, Sequence[str]]) -> Page:
        """Return all names or, with ``?name=TARGET``, one."""
        name = query.get("name", [""])[0]
        return self._name_page(name) if name else json_page(self._names())

    def _names(self) -> JSON:
        catalog = self._bridge.catalog
        return {"revision": catalog.revision, "names": catalog.services()}

    def _name_page(self, name: str) -> Page:
        catalog = self._bridge.catalog
        rest: dict[str, JSON] = {
            "name": name,
            "revision": catalog.revision,
            "subscribers": [_node(each) for each in self._bridge.hub.subscribers(name)],
        }
        endpoints = f"[{','.join(map(_endpoint, catalog.endpoints(name)))}]"
        return json_text_page(_with("endpoints", endpoints, rest))


def _endpoint(state: EndpointState) -> str:
    rest = state._asdict()
    return _with("metadata", wire.dumps(rest.pop("metadata")), rest)


def _with(name: str, written: str, rest: dict[str, JSON]) -> str:
    """Return an object of *rest* and one more member, whose JSON may be too deep for Python's."""
    return f"{{{json.dumps(name)}: {written}, {json.dumps(rest)[1:]}"


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
