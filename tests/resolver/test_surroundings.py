"""Channels in programs with a proxy in the environment, with xDS of their own, or killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from harness import Etcd, Spawn
from harness.counting import WHO, CountingServers
from harness.watcher import stored
from harness.xds import Xds

from etcdnaming import Client, insecure_channel
from etcdnaming.xds.embedded.bootstrap import VARIABLE, is_ours

PROGRAM = Path(__file__).parent.parent / "harness" / "xds_beside_channel.py"

KILLED = """
import os, signal, sys
from etcdnaming import Client, insecure_channel
client = Client([sys.argv[1]])
channel = insecure_channel("foo/svc", client)
print(channel.unary_unary("/test.Service/Who")(b"", timeout=20).decode(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def addr(etcd: Etcd) -> Iterator[str]:
    """Return the address of a registered server."""
    with closing(CountingServers()) as servers:
        (addr,) = servers.start()
        etcd.put("foo/svc/1", stored(addr))
        yield addr


def test_channel_ignores_the_proxy_of_the_environment(
    client: Client, addr: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Endpoints are addresses that a proxy need not reach."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(name, raising=False)
    with insecure_channel("foo/svc", client) as channel:
        call: Any = channel.unary_unary(WHO)
        assert call(b"", timeout=20) == addr.encode()


def test_nothing_is_left_behind_when_a_program_with_a_channel_is_killed(
    etcd: Etcd, addr: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its private socket has no file at any time while it is used."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", KILLED, etcd.endpoint], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, f"{addr}\n")
    assert not [*tmp_path.iterdir()]


def test_channel_works_in_a_program_that_one_with_channels_has_started(
    etcd: Etcd, client: Client, addr: str
) -> None:
    """It inherits the bootstrap, which leads to the other one's socket, and replaces it."""
    with insecure_channel("foo/svc", client):
        assert is_ours(os.environ[VARIABLE])
        words = [sys.executable, "-c", KILLED, etcd.endpoint]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout == f"{addr}\n", done.stderr


@pytest.mark.parametrize("order", ["before", "after"])
def test_channel_works_when_the_program_has_an_xds_bootstrap_of_its_own(
    etcd: Etcd, addr: str, spawn: Spawn, tmp_path: Path, order: str
) -> None:
    """If that is set first, the program's own channel works, too; else gRPC may ignore it."""
    with closing(Xds(spawn, tmp_path)) as xds:
        bridge = xds.bridge("foo").address
        words = [sys.executable, str(PROGRAM), order, etcd.endpoint, bridge]
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    lines = done.stdout.splitlines()
    assert lines[-1] == addr, done.stderr
    assert lines.count(addr) >= 2, done.stdout
