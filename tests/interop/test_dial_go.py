"""A Go gRPC client finds Python servers by ``etcd:///…`` and loses no call when they change."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import TypeAlias

import pytest
from harness import Spawn, wait_until
from harness.backends import Backend, Backends, method
from harness.go import GoClient, has_go
from harness.process import Process

from etcdnaming import Endpoint, Registration
from etcdnaming.etcd import Client

pytestmark = [
    pytest.mark.interop,
    pytest.mark.server,
    pytest.mark.skipif(not has_go(), reason="needs Go"),
    pytest.mark.timeout(300),  # the first build of Go's client takes a minute or more
]

Register: TypeAlias = Callable[[str, str], AbstractContextManager[object]]
"""``register(key, addr)``: a block in which a server is registered."""


def by_library(client: Client, spawn: Spawn) -> Register:
    """As a Python service does."""
    return lambda key, addr: Registration(client, {key: Endpoint(addr)})


def by_command(client: Client, spawn: Spawn) -> Register:
    """As a container does, which is ended by SIGTERM."""

    @contextmanager
    def register(key: str, addr: str) -> Iterator[None]:
        process = spawn("lease-register", key, "--addr", addr)
        process.wait_for_out("OK\n", timeout=30)
        yield
        process.signal(signal.SIGTERM)
        assert process.finish().status == 0

    return register


@pytest.fixture(params=[by_library, by_command])
def register(request: pytest.FixtureRequest, client: Client, spawn: Spawn) -> Register:
    """Return each way to register a server."""
    registered: Register = request.param(client, spawn)
    return registered


class Calls:
    """The answers to a Go program that calls all the time."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._seen = 0

    def wait_for_exactly(self, *servers: Backend) -> None:
        """Return when from now on all of *servers*, and no others, have answered."""
        wanted = {server.addr for server in servers}
        wait_until(lambda: set(self._new(40)) == wanted, 20)

    def all(self) -> list[str]:
        """End the program, and return all answers."""
        result = self._process.finish()
        assert (result.status, result.err) == (0, "")
        return result.out.splitlines()

    def _new(self, count: int) -> list[str]:
        """Return *count* answers, once there are so many more than last time."""
        answers = self._process.out.splitlines()
        if len(answers) < self._seen + count:
            return []
        new, self._seen = answers[self._seen :], len(answers)
        return new


def test_go_client_follows_python_servers_without_a_lost_call(
    go: GoClient, register: Register, backends: Backends
) -> None:
    """They start, stop, and start elsewhere, in the middle of hundreds of calls."""
    process = go.start("call", "svc", method("Slow"), "0.01")
    with closing(process):
        calls = Calls(process)
        steady, leaving, coming = backends(), backends(), backends()
        with register("svc/steady", steady.addr):
            calls.wait_for_exactly(steady)
            with register("svc/other", leaving.addr):
                calls.wait_for_exactly(steady, leaving)
            calls.wait_for_exactly(steady)  # a clean shutdown removes the key first
            leaving.stop()
            with register("svc/other", coming.addr):
                calls.wait_for_exactly(steady, coming)
            answers = calls.all()
    assert {answer for answer in answers if answer.startswith("failed")} == set()
    assert len(answers) == sum(each.calls["Slow"] for each in (steady, leaving, coming))


def test_go_client_survives_a_change_of_address_under_one_key(
    go: GoClient, register: Register, backends: Backends
) -> None:
    """As in a new deployment: the new server takes the key over, the old one leaves."""
    old, new = backends(), backends()
    process = go.start("call", "svc", method("Slow"), "0.01")
    with closing(process):
        calls = Calls(process)
        with register("svc/e1", old.addr):
            calls.wait_for_exactly(old)
            with register("svc/e1", new.addr):
                calls.wait_for_exactly(new)
                old.stop()
                calls.wait_for_exactly(new)
                answers = calls.all()
    assert {answer for answer in answers if answer.startswith("failed")} == set()
