"""Run the programs of service/, which README.md shows, beside each other."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from harness import Etcd, wait_until
from harness.examples import EXAMPLES
from harness.ports import free_port
from harness.process import Process

SERVICE = EXAMPLES / "service"
README = (EXAMPLES.parent / "README.md").read_text("utf-8")
GREETER = "foo/bar/greeter/"


def answer(addr: str) -> bytes:
    """Return what the server at *addr* says."""
    with grpc.insecure_channel(addr, [("grpc.use_local_subchannel_pool", 1)]) as channel:
        call: Any = channel.unary_unary("/demo.Greeter/Hello")
        return bytes(call(b"you", timeout=5))


def test_service_leaves_etcd_before_it_stops_and_no_call_fails(
    etcd: Etcd, start: Callable[..., Process]
) -> None:
    """One server after the other; the client and the watcher see both, and go on."""
    variables = {"ETCDNAMING_ENDPOINTS": etcd.endpoint}

    def run(name: str, *args: str) -> Process:
        return start([sys.executable, str(SERVICE / name), *args], variables)

    first, second, third = (f"127.0.0.1:{free_port()}" for _ in range(3))
    watcher = run("watcher.py", GREETER)
    client = run("client.py")
    for name, addr, zone in (("server.py", first, "a"), ("aio_server.py", second, "b")):
        server = run(name, addr)
        client.wait_for_out(f"hello world from one of {addr}\n")
        watcher.wait_for_out(f"{{{addr!r}: {{'zone': {zone!r}}}}}\n")
        server.signal(signal.SIGTERM)
        wait_until(lambda: etcd.get(GREETER) == {})
        assert answer(addr) == b"hello you"  # it drains
        assert server.finish() == (0, "", "")
    assert etcd.leases() == []

    etcd.put(f"{GREETER}e1", f'{{"Addr":"{first}","Metadata":{{"zone":"c"}}}}')
    assert run("deploy.py", first, third).finish() == (0, "", "")
    watcher.wait_for_out(f"{{{third!r}: {{'zone': 'c'}}}}\n")
    assert "'draining': True" in watcher.out
    failed = run("deploy.py", first, third).finish()
    assert (failed.status, failed.err) == (1, f"{first} is not among the 1 endpoints\n")
    for process in (client, watcher):
        process.signal(signal.SIGINT)
    # Between two servers there is none, which on a busy machine lasts longer than a call waits.
    assert client.finish().status == 0
    assert {*client.err.splitlines()} <= {"DEADLINE_EXCEEDED with 0 servers"}
    assert watcher.finish() == (0, watcher.out, "connected\n")


def test_service_and_its_clients_can_be_stopped_while_etcd_is_away(
    start: Callable[..., Process],
) -> None:
    """None needs etcd to start; each says what is wrong, and ends without a traceback."""
    addr = f"127.0.0.1:{free_port()}"
    second, etcd = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    variables = {"ETCDNAMING_ENDPOINTS": etcd}
    reason = f"no etcd endpoint reached within 2s: {etcd}: connection refused"
    programs = {
        "server.py": (addr, f"the registration of {GREETER}{addr}: {reason}\n"),
        "aio_server.py": (second, f"the registration of {GREETER}{second}: {reason}\n"),
        "client.py": (None, f"foo/bar/greeter: its endpoints can't be read: {reason}\n"),
        "watcher.py": (GREETER, f"disconnected: {reason}\n"),
    }
    started = {
        name: start([sys.executable, str(SERVICE / name), *([arg] if arg else [])], variables)
        for name, (arg, _) in programs.items()
    }
    for name, (_, message) in programs.items():
        started[name].wait_for_err(message)
    assert answer(addr) == b"hello you"
    deploy = start([sys.executable, str(SERVICE / "deploy.py"), addr, addr], variables)
    client = started.pop("client.py")
    for process in started.values():
        process.signal(signal.SIGINT)
    client.wait_for_err("DEADLINE_EXCEEDED with 0 servers\n")
    client.signal(signal.SIGINT)
    for name, process in {**started, "client.py": client}.items():
        assert process.finish().status == 0, name
        assert "Traceback" not in process.err, name
    failed = deploy.finish()
    assert (failed.status, failed.err) == (1, f"{reason}\n")


@pytest.mark.parametrize("name", ["server.py", "aio_server.py", "client.py", "watcher.py"])
def test_readme_shows_the_programs_of_service(name: str) -> None:
    """They are run above, and mypy and pyright check them."""
    assert f"```py\n{(SERVICE / name).read_text('utf-8')}```\n" in README
