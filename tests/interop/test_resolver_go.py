"""Channels reach servers written in Go, registered by Go's manager and by etcdnaming."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.wrappers_pb2 import StringValue
from harness import Etcd, wait_until
from harness.ports import free_port
from harness.process import command

from etcdnaming import Endpoint, aio, insecure_channel
from etcdnaming.etcd import Client

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("go") is None, reason="needs Go"),
    pytest.mark.timeout(600),  # the first build of Go's client takes a minute or more
]

TARGET = "foo/svc"
WHO: dict[str, Any] = {
    "request_serializer": StringValue.SerializeToString,
    "response_deserializer": StringValue.FromString,
}


@pytest.fixture(scope="module")
def greeter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the program of ``tests/interop/go/greeter``."""
    program = tmp_path_factory.mktemp("go") / "greeter"
    source = Path(__file__).parent / "go" / "greeter"
    subprocess.run(["go", "build", "-o", program, "."], cwd=source, check=True)
    return program


class Serve:
    """Starts servers, each of which ends with its stdin; all of them end with the test."""

    def __init__(self, greeter: Path, stack: ExitStack) -> None:
        self._greeter, self._stack = greeter, stack

    def registered_by_go(self, etcd: Etcd) -> str:
        """Return the address of one that registers itself."""
        addr = f"127.0.0.1:{free_port()}"
        self._run([*self._server(addr), "-etcd", etcd.endpoint, "-target", TARGET])
        return addr

    def registered_by_us(self, etcd: Etcd) -> str:
        """Return the address of one that knows nothing of etcd."""
        addr = f"127.0.0.1:{free_port()}"
        wrapper = command("lease-register", f"{TARGET}/", f"--endpoints={etcd.endpoint}")
        self._run([*wrapper, "--addr", addr, "--", *self._server(addr)])
        return addr

    def _server(self, addr: str) -> list[str]:
        return [str(self._greeter), "-addr", addr]

    def _run(self, words: list[str]) -> None:
        self._stack.enter_context(running(words))


@contextmanager
def running(words: list[str]) -> Iterator[None]:
    """Run a server, or a command around one, and wait until it is ready."""
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        yield


@pytest.fixture
def serve(greeter: Path) -> Iterator[Serve]:
    """Start servers that end with the test."""
    with ExitStack() as stack:
        yield Serve(greeter, stack)


def test_channel_reaches_servers_registered_by_go_and_by_python(
    etcd: Etcd, client: Client, serve: Serve
) -> None:
    """Half of the calls each, with threads and with asyncio."""
    gos, ours = serve.registered_by_go(etcd), serve.registered_by_us(etcd)
    with insecure_channel(f"etcd:///{TARGET}", client) as channel:
        wait_until(lambda: {each.addr for each in channel.endpoints} == {gos, ours})
        assert Endpoint(gos, {"by": "Go"}) in channel.endpoints
        who: Any = channel.unary_unary("/test.Service/Who", **WHO)
        wait_until(lambda: {who(StringValue(), timeout=5).value for _ in range(4)} == {gos, ours})
        answers = Counter(who(StringValue(), timeout=5).value for _ in range(40))
        assert answers == {gos: 20, ours: 20}
        asyncio.run(asyncio.wait_for(_reach(client, {gos, ours}), 30))


async def _reach(client: Client, addrs: set[str]) -> None:
    async with aio.insecure_channel(TARGET, client) as channel:
        who = channel.unary_unary("/test.Service/Who", **WHO)
        seen: set[str] = set()
        while seen != addrs:
            seen.add((await who(StringValue(), timeout=5)).value)
