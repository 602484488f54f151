"""Background threads continue after every error: registrations, watches and channels recover."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from harness import TIMEOUT, Etcd, wait_until
from harness.failing import failing
from harness.registrations import EventLog, holds
from harness.watcher import Watcher, put, stored

from etcdnaming import Client, Endpoint, Registration, insecure_channel
from etcdnaming.errors import ClientClosedError
from etcdnaming.etcd import client as etcd_client
from etcdnaming.etcd import key_watch, known_keys
from etcdnaming.registration import loop, registration
from etcdnaming.xds import catalog, endpoint_cache, follower
from etcdnaming.xds.embedded import server

CROWDED = Path(__file__).parent.parent / "harness" / "crowded.py"

KEY = "svc/e1"
HERE, THERE = Endpoint("10.0.0.1:80"), Endpoint("10.0.0.2:80")


class Crowded:
    """A running `harness.crowded` program."""

    def __init__(self, etcd: Etcd) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(CROWDED), etcd.endpoint],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __call__(self, command: str = "look") -> Any:
        """Run *command* in the program, and return its answer."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def end(self) -> int:
        """End the program, and return its exit code."""
        self._process.communicate(timeout=30)
        return self._process.returncode

    def close(self) -> None:
        """Kill the program if it still runs."""
        self._process.kill()
        self._process.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="the limit counts threads on Linux")
def test_registration_watch_and_channel_recover_from_a_full_process_table(
    own_etcd: Callable[..., Etcd],
) -> None:
    """No thread can be started while etcd restarts, so no connection can be made."""
    etcd = own_etcd()
    with closing(Crowded(etcd)) as program:
        wait_until(lambda: program()["endpoints"] == ["10.0.0.1:80"])
        program("full")
        etcd.stop()
        wait_until(lambda: program()["lost"])
        etcd.start()
        failures = program()["failures"]
        wait_until(lambda: program()["failures"] > failures + 5, timeout=30)
        put(etcd, e2="10.0.0.2:80")
        assert not program()["registered"]
        program("room")
        wait_until(lambda: program()["registered"], timeout=60)
        wait_until(lambda: "svc/e2" in program()["seen"], timeout=60)
        wait_until(lambda: len(program()["endpoints"]) == 2, timeout=60)
        assert program.end() == 0
    assert [entry.key for entry in etcd.entries("svc/")] == [b"svc/e2"]


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (loop.RegistrationLoop, "_register"),
        (loop.RegistrationLoop, "_publish"),
        (loop.RegistrationLoop, "_read_inbox"),
        (registration.Registration, "_call_back"),
        (key_watch.KeyWatch, "_watch_once"),
        (key_watch.KeyWatch, "_received"),
        (etcd_client.Client, "lease_grant"),
    ],
)
@pytest.mark.usefixtures("caplog")  # the error is logged
def test_registration_continues_after_an_unexpected_error(
    etcd: Etcd, client: Client, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    """The registration restores a deleted key, and leaves no lease behind."""
    events = EventLog()
    with failing(monkeypatch, owner, name):
        held = Registration(client, {KEY: HERE}, on_state=events)
        held.start(wait=False)
        assert held.wait(60)
        etcd.delete(KEY)
        wait_until(lambda: holds(etcd, KEY, HERE, held.lease), timeout=60)
        held.set(KEY, THERE)
        assert held.wait(60)
        assert holds(etcd, KEY, THERE, held.lease)
        assert held.close(60)
    assert etcd.leases() == []
    assert events.kinds[-1] == "revoked"


def test_registrations_end_with_their_client_after_an_unexpected_error(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The error, at the end of one of them, leaves no thread that waits for another."""
    client = Client([etcd.endpoint])
    held = [Registration(client, {f"svc/e{n}": HERE}) for n in range(3)]
    for each in held:
        each.start()
    with failing(monkeypatch, loop.RegistrationLoop, "abandon", times=1):
        client.close()
        wait_until(lambda: not any(each.registered for each in held))
        for each in held:
            with pytest.raises(ClientClosedError):
                each.wait(TIMEOUT)
    assert "goes on after an error" in caplog.text


@pytest.mark.parametrize("name", ["add", "read", "check"])
@pytest.mark.usefixtures("caplog")  # the error is logged
def test_watch_continues_after_an_unexpected_error(
    etcd: Etcd, client: Client, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """No change is missed, and the consumer gets no error."""
    put(etcd, e1="1")
    with failing(monkeypatch, known_keys.KnownKeys, name, times=1), Watcher(client) as watcher:
        watcher.wait_until_connected()
        put(etcd, e2="2")
        watcher.wait_until(lambda watcher: "svc/e2" in watcher.replayed, timeout=60)
        assert watcher.error is None


@pytest.mark.parametrize(
    ("owner", "name"),
    [
        (endpoint_cache.EndpointCache, "apply"),
        (catalog.Catalog, "_update"),
        (server.Server, "_write"),
        (server.Server, "_mark_changes"),
    ],
)
@pytest.mark.usefixtures("caplog")  # the error is logged
def test_channel_follows_its_target_after_an_unexpected_error(
    etcd: Etcd, client: Client, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
) -> None:
    """The channel does not keep its old endpoints."""
    monkeypatch.setattr(follower, "RETRY", 0.1)
    etcd.put(KEY, stored(HERE.addr))
    with insecure_channel("svc", client) as channel:
        channel.subscribe(lambda _: None, try_to_connect=True)
        wait_until(lambda: channel.endpoints == (HERE,))
        with failing(monkeypatch, owner, name, times=1) as raised:
            etcd.put("svc/e2", stored(THERE.addr))
            wait_until(lambda: raised and channel.endpoints == (HERE, THERE), timeout=60)
