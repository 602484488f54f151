"""Bridge and etcd die, freeze, lose their data and recover: no call fails meanwhile."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable

import pytest
from harness import Etcd, wait_until
from harness.backends import Backends
from harness.relay import Relay, cut_off_when, passed_on
from harness.xds import Language, Xds, addresses

from etcdnaming import Client
from etcdnaming.xds.names import Kind

from .conftest import Service

TARGET = "xds:///foo/svc"

LATE = 60.0
"""Seconds in which clients are back at a bridge that has returned; Java and Go take their time."""

pytestmark = pytest.mark.timeout(180)


def test_no_call_fails_when_the_bridge_is_killed(
    xds: Xds, language: Language, service: Service, backends: Backends
) -> None:
    """Changes made meanwhile take effect when it is back."""
    first, second = backends(), backends()
    service.add(first)
    bridge = xds.bridge("foo")
    caller = xds.call(language, bridge.address, TARGET)
    caller.wait_for(first.addr)
    bridge.kill(signal.SIGKILL)
    service.add(second)
    service.remove(first)
    caller.wait_for_calls(20)
    assert caller.still_works(first.addr)
    bridge.start()
    caller.wait_for(second.addr, timeout=LATE)
    assert caller.errors == []


def test_no_call_fails_when_the_bridge_restarts(
    xds: Xds, language: Language, service: Service, backends: Backends
) -> None:
    """An update of the bridge is such a restart."""
    first, second = backends(), backends()
    service.add(first)
    bridge = xds.bridge("foo", "--drain=1s")
    caller = xds.call(language, bridge.address, TARGET)
    caller.wait_for(first.addr)
    bridge.kill(signal.SIGTERM)
    bridge.start()
    service.add(second)
    caller.wait_for(first.addr, second.addr, timeout=LATE)
    assert caller.errors == []


def test_bridge_does_not_listen_when_it_restarts_without_etcd(
    xds_of: Callable[[Etcd], Xds],
    own_etcd: Callable[..., Etcd],
    language: Language,
    backends: Backends,
) -> None:
    """A bridge that listened would serve empty sets; clients keep the endpoints they have."""
    etcd = own_etcd()
    xds = xds_of(etcd)
    first, second = backends(), backends()
    with Client([etcd.endpoint]) as client:
        service = Service(client)
        service.add(first)
        bridge = xds.bridge("foo")
        caller = xds.call(language, bridge.address, TARGET)
        caller.wait_for(first.addr)
        etcd.kill()
        bridge.kill(signal.SIGKILL)
        process = bridge.launch()
        process.wait_for_err("waiting for etcd, not listening yet: ", 30)
        assert not bridge.listens
        assert (bridge.page("/healthz")[0], bridge.page("/readyz")[0]) == (200, 503)
        caller.wait_for_calls(20)
        assert caller.still_works(first.addr)
        etcd.start()
        service.add(second)
        bridge.wait()
        assert bridge.page("/readyz")[0] == 200
        caller.wait_for(first.addr, second.addr, timeout=LATE)
        assert caller.errors == []


def test_client_that_starts_before_the_bridge_works_when_the_bridge_starts(
    xds: Xds, language: Language, service: Service, backends: Backends
) -> None:
    """The calls of the client fail or wait until then."""
    backend = backends()
    service.add(backend)
    bridge = xds.bridge("foo")
    bridge.kill(signal.SIGKILL)
    caller = xds.call(language, bridge.address, TARGET, "-deadline", "2", interval=100)
    wait_until(lambda: caller.errors, 30)
    bridge.start()
    caller.wait_for(backend.addr, timeout=LATE)


def test_no_call_fails_while_etcd_is_down(
    xds_of: Callable[[Etcd], Xds],
    own_etcd: Callable[..., Etcd],
    language: Language,
    backends: Backends,
) -> None:
    """The last endpoints stay, and the next change takes effect."""
    etcd = own_etcd()
    xds = xds_of(etcd)
    first, second = backends(), backends()
    with Client([etcd.endpoint]) as client:
        service = Service(client)
        service.add(first)
        bridge = xds.bridge("foo")
        caller = xds.call(language, bridge.address, TARGET)
        caller.wait_for(first.addr)
        etcd.kill()
        wait_until(lambda: bridge.metric("etcd_age_seconds") > 0, 30)
        caller.wait_for_calls(20)
        assert bridge.page("/readyz")[0] == 200
        etcd.start()
        service.add(second)
        caller.wait_for(first.addr, second.addr, timeout=LATE)
        wait_until(lambda: bridge.metric("etcd_age_seconds") == 0, 30)
        assert caller.errors == []


def test_no_call_fails_when_etcd_is_wiped(
    xds_of: Callable[[Etcd], Xds],
    own_etcd: Callable[..., Etcd],
    language: Language,
    backends: Backends,
) -> None:
    """The bridge holds the old endpoints for a while, so that they can register again."""
    etcd = own_etcd()
    xds = xds_of(etcd)
    first, second = backends(), backends()
    with Client([etcd.endpoint]) as client:
        service = Service(client)
        service.add(first)
        bridge = xds.bridge("foo", "--resync-hold=8s")
        caller = xds.call(language, bridge.address, TARGET)
        caller.wait_for(first.addr)
        etcd.wipe()
        service.add(second)
        wait_until(lambda: bridge.metric("held") == 1, 30)
        caller.wait_for(first.addr, second.addr)
        caller.wait_for(second.addr, timeout=LATE)
        assert bridge.metric("held") == 0
        assert bridge.metric("resyncs_total") == 1
        assert caller.errors == []


def test_no_call_fails_when_etcd_is_compacted_while_the_bridge_is_disconnected(
    xds_of: Callable[[Etcd], Xds],
    etcd: Etcd,
    language: Language,
    service: Service,
    backends: Backends,
) -> None:
    """The bridge reads again, and holds the endpoints that are missing then."""
    stays, leaves, comes = backends(), backends(), backends()
    service.add(stays, leaves)
    cut = threading.Event()
    with Relay(etcd.endpoint, cut_off_when(cut), passed_on) as relay:
        xds = xds_of(relay)  # type: ignore[arg-type]  # it has an endpoint, too
        bridge = xds.bridge("foo", "--resync-hold=8s")
        caller = xds.call(language, bridge.address, TARGET)
        caller.wait_for(stays.addr, leaves.addr)
        service.remove(leaves)
        service.add(comes)
        etcd.ctl("compact", str(etcd.revision()))
        cut.set()
        caller.wait_for(stays.addr, leaves.addr, comes.addr)
        caller.wait_for(stays.addr, comes.addr)
        assert caller.errors == []
        xds.close()
        bridge.process.close()


def test_no_call_fails_when_connections_exceed_max_age(
    xds: Xds, language: Language, service: Service, backends: Backends
) -> None:
    """Clients that reconnect are spread over all bridges again."""
    first, second = backends(), backends()
    service.add(first)
    bridge = xds.bridge("foo", "--max-age=1s")
    caller = xds.call(language, bridge.address, TARGET)
    caller.wait_for(first.addr)
    peer = bridge.json("/streams")["streams"][0]["peer"]
    wait_until(
        lambda: any(each["peer"] != peer for each in bridge.json("/streams")["streams"]), LATE
    )
    for _ in range(3):
        service.add(second)
        caller.wait_for(first.addr, second.addr, timeout=LATE)
        service.remove(second)
        caller.wait_for(first.addr, timeout=LATE)
    assert caller.errors == []


@pytest.fixture
def one_name(xds: Xds, tmp_path: object) -> list[str]:
    """Return a command prefix under which ``bridges.test`` is 127.0.0.1 and 127.0.0.2."""
    import subprocess
    from pathlib import Path

    hosts = Path(str(tmp_path)) / "hosts"
    names = ("127.0.0.1 localhost", "127.0.0.1 bridges.test", "127.0.0.2 bridges.test")
    hosts.write_text("".join(f"{name}\n" for name in names))
    mount = f"mount --bind {hosts} /etc/hosts && exec "
    before = ["unshare", "--mount", "sh", "-c", mount + '"$@"', "sh"]
    try:
        subprocess.run([*before, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        pytest.skip(f"no mount namespaces here: {exc}")
    return before


def test_client_uses_the_other_bridge_of_a_name_when_one_is_killed(
    xds: Xds,
    language: Language,
    service: Service,
    backends: Backends,
    one_name: list[str],
) -> None:
    """Bridges have no leader and no state, so one is enough."""
    first, second, third = backends(), backends(), backends()
    service.add(first)
    one = xds.bridge("foo")
    other = xds.launch("foo", f"--listen=127.0.0.2:{one.port}").wait()
    caller = xds.call(language, f"bridges.test:{one.port}", TARGET, before=one_name)
    caller.wait_for(first.addr)
    used, spare = (one, other) if one.json("/streams")["streams"] else (other, one)
    used.kill(signal.SIGKILL)
    service.add(second)
    caller.wait_for(first.addr, second.addr, timeout=LATE)
    used.start()
    spare.kill(signal.SIGKILL)
    service.add(third)
    caller.wait_for(first.addr, second.addr, third.addr, timeout=LATE)
    assert caller.errors == []


def test_bridges_send_the_same_version(xds: Xds, service: Service) -> None:
    """The version is the revision of etcd."""
    service.add("10.0.0.1:80")
    streams = [xds.ads(xds.bridge("foo").address) for _ in range(2)]
    for stream in streams:
        stream.ask(Kind.ASSIGNMENT, "foo/svc")
        assert addresses(stream.get()) == {"foo/svc": ["10.0.0.1:80"]}
    service.add("10.0.0.2:80")

    one, other = (stream.get() for stream in streams)

    assert one.version_info == other.version_info
    assert int(one.version_info) > 1


def test_bridge_reuses_a_unix_socket_after_it_was_killed(
    xds: Xds, language: Language, service: Service, backends: Backends, tmp_path: object
) -> None:
    """The file that the killed bridge has left is replaced."""
    first, second = backends(), backends()
    service.add(first)
    address = f"unix:{tmp_path}/xds.sock"
    bridge = xds.bridge("foo", f"--listen={address}")
    caller = xds.call(language, address, TARGET)
    caller.wait_for(first.addr)
    bridge.kill(signal.SIGKILL)
    bridge.start()
    service.add(second)
    caller.wait_for(first.addr, second.addr, timeout=LATE)
    assert caller.errors == []
