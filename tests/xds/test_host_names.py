"""Host names: looked up in several threads."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack
from functools import partial
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


def test_failed_lookup_is_logged_with_the_reason_only(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without the number of the error, and without the name of Python's codec."""

    def look_up(host: str, *args: Any, **named: Any) -> Any:
        host.encode("idna")
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    names = HostNames(lambda: None)
    try:
        names.want({"absent.test", "a..b"})
        wait_until(lambda: len(caplog.messages) == 2)
        assert sorted(caplog.messages) == [
            "endpoints on a..b are left out: invalid host name",
            "endpoints on absent.test are left out: Name or service not known",
        ]
    finally:
        names.want(set())


def test_threads_end_when_no_name_is_wanted_and_start_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """There is one for each name, until there are many names."""
    found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", ("10.0.0.1", 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    names = HostNames(lambda: None)
    try:
        for number in (1, 2, WORKERS + 3, 1):
            wanted = {f"{n}.test" for n in range(number)}
            names.want(wanted)
            wait_until(partial(all_are_answered, names, wanted))
            assert len(threads()) == min(number, WORKERS)
            names.want(set())
            wait_until(lambda: not threads())
    finally:
        names.want(set())


def all_known(names: HostNames, wanted: set[str]) -> bool:
    """Return whether each of *wanted* was looked up."""
    return all(map(names.answer, wanted))


def threads() -> list[threading.Thread]:
    """Return the threads that look up."""
    return [each for each in threading.enumerate() if each.name == "etcdnaming-hosts"]


def all_are_answered(names: HostNames, wanted: set[str]) -> bool:
    """Return whether each of *wanted* has been looked up."""
    return all(map(names.answer, wanted))
