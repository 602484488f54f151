"""Host names: looked up in several threads."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack
from ipaddress import ip_address
from typing import Any

import pytest
from harness import wait_until

from etcdnaming.xds.host_names import WORKERS, HostNames


def test_name_is_looked_up_while_others_get_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each lookup without an answer keeps a thread busy, but not the last one."""
    answered, asked = threading.Event(), set[str]()

    def look_up(host: str, *args: Any, **named: Any) -> Any:
        asked.add(host)
        if host.startswith("silent"):
            answered.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("10.0.0.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    silent = {f"silent{n}.test" for n in range(WORKERS - 1)}
    names = HostNames(lambda: None)
    with ExitStack() as stack:
        stack.callback(names.want, set())
        stack.callback(answered.set)
        names.want(silent)
        wait_until(lambda: asked == silent)
        names.want({*silent, "quick.test"})
        wait_until(lambda: names.answer("quick.test") == frozenset({ip_address("10.0.0.1")}))
        assert not any(names.answer(each) for each in silent)
