"""Bridge and etcd die, freeze, forget and come back: calls go on, and then follow again."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Etcd, wait_until
from harness.backends import Backends
from harness.permitted import skip_unless_permitted
from harness.relay import Relay, cut_off_when, passed_on
from harness.xds import Language, Xds, addresses, languages

from etcdnaming import Client
from etcdnaming.xds.names import Kind

from .conftest import Service

TARGET = "xds:///foo/svc"

LATE = 60.0
"""Seconds in which clients are back at a bridge that has returned; Java and Go take their time."""

pytestmark = pytest.mark.timeout(180)


def test_bridge_that_is_killed_costs_no_call(
    xds: Xds, language: Language, service: Service, backends: Backends
) -> None:
    """What changes meanwhile is followed when it is back."""
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


def test_bridge_that_restarts_costs_no_call(
    xds: Xds, language: Language, service: Service, backends: Backends
) -> None:
    """As when it is updated."""
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


def test_bridge_that_restarts_without_etcd_does_not_listen(
    xds_of: Callable[[Etcd], Xds],
    own_etcd: Callable[..., Etcd],
    language: Language,
    backends: Backends,
) -> None:
    """It would say that there are no endpoints. Clients keep those they have."""
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


def test_client_that_starts_without_a_bridge_works_when_there_is_one(
    xds: Xds, language: Language, service: Service, backends: Backends
) -> None:
    """Until then it fails, or waits."""
    backend = backends()
    service.add(backend)
    bridge = xds.bridge("foo")
    bridge.kill(signal.SIGKILL)
    caller = xds.call(language, bridge.address, TARGET, "-deadline", "2", interval=100)
    wait_until(lambda: caller.errors, 30)
    bridge.start()
    caller.wait_for(backend.addr, timeout=LATE)


def test_etcd_that_is_away_costs_no_call(
    xds_of: Callable[[Etcd], Xds],
    own_etcd: Callable[..., Etcd],
    language: Language,
    backends: Backends,
) -> None:
    """The last endpoints stay; the next change is followed."""
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


def test_etcd_that_is_wiped_costs_no_call(
    xds_of: Callable[[Etcd], Xds],
    own_etcd: Callable[..., Etcd],
    language: Language,
    backends: Backends,
) -> None:
    """What was there is held for a while, so that it can register again."""
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


def test_etcd_that_is_restored_from_a_snapshot_costs_no_call(
    xds_of: Callable[[Etcd], Xds],
    own_etcd: Callable[..., Etcd],
    language: Language,
    backends: Backends,
    tmp_path: Path,
) -> None:
    """Another cluster ID, a lower revision: what it lacks is held, what it has again is served."""
    etcd = own_etcd()
    xds = xds_of(etcd)
    stays, returns, newer, newest = backends(), backends(), backends(), backends()
    with Client([etcd.endpoint]) as client:
        service = Service(client)
        service.add(stays, returns)
        etcd.ctl("snapshot", "save", str(tmp_path / "snapshot"))
        before = etcd.ctl_json("get", "nothing")["header"]
        service.remove(returns)
        service.add(newer)
        bridge = xds.bridge("foo", "--resync-hold=8s")
        caller = xds.call(language, bridge.address, TARGET)
        caller.wait_for(stays.addr, newer.addr)
        seen = bridge.json("/names")["revision"]
        etcd.restore(tmp_path / "snapshot")
        after = etcd.ctl_json("get", "nothing")["header"]
        assert after["cluster_id"] != before["cluster_id"]
        assert after["revision"] < seen
        caller.wait_for(stays.addr, returns.addr, newer.addr, timeout=LATE)
        service.add(newest)
        caller.wait_for(stays.addr, returns.addr, newest.addr, timeout=LATE)
        assert bridge.metric("held") == 0
        assert bridge.json("/names")["revision"] == etcd.revision()
        assert caller.errors == []


def test_compaction_while_the_bridge_is_cut_off_costs_no_call(
    xds_of: Callable[[Etcd], Xds],
    etcd: Etcd,
    language: Language,
    service: Service,
    backends: Backends,
) -> None:
    """It reads again; what is missing then is held."""
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


def test_old_connections_are_renewed_without_an_error(
    xds: Xds, language: Language, service: Service, backends: Backends
) -> None:
    """So clients spread over bridges again."""
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
    """What to put before a command to which ``bridges.test`` is 127.0.0.1 and 127.0.0.2."""
    from pathlib import Path

    hosts = Path(str(tmp_path)) / "hosts"
    names = ("127.0.0.1 localhost", "127.0.0.1 bridges.test", "127.0.0.2 bridges.test")
    hosts.write_text("".join(f"{name}\n" for name in names))
    mount = f"mount --bind {hosts} /etc/hosts && exec "
    before = ["unshare", "--mount", "sh", "-c", mount + '"$@"', "sh"]
    skip_unless_permitted("mount namespaces", [*before, "true"])
    return before


def test_bridges_behind_one_name_replace_each_other(
    xds: Xds,
    language: Language,
    service: Service,
    backends: Backends,
    one_name: list[str],
) -> None:
    """Each of them is all that is needed: there is no leader and no state."""
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


def test_client_stays_with_the_first_of_two_servers_that_fails(
    xds: Xds, language: Language, service: Service, backends: Backends
) -> None:
    """A second entry of ``xds_servers`` gets no stream; the client waits for the first one."""
    before, after = backends(), backends()
    service.add(before)
    first, second = xds.bridge("foo"), xds.bridge("foo")
    caller = xds.call(language, first.address, TARGET, second=second.address)
    caller.wait_for(before.addr)
    first.kill(signal.SIGKILL)
    service.add(after)
    service.remove(before)
    with socket.create_server(("127.0.0.1", first.port)) as refusing:
        refusing.settimeout(LATE)
        for _ in range(3):  # the attempts of the client to connect to the first one again
            refusing.accept()[0].close()
            caller.wait_for_calls(5)
            assert second.json("/streams")["streams"] == []
    assert caller.still_works(before.addr)
    first.start()
    caller.wait_for(after.addr, timeout=LATE)
    assert second.json("/streams")["streams"] == []
    assert caller.errors == []


@pytest.mark.parametrize(
    "language", languages(without={"node", "cpp", "ruby", "rust"}), indirect=True
)
def test_client_that_starts_uses_the_second_server_while_the_first_is_away(
    xds: Xds, language: Language, service: Service, backends: Backends
) -> None:
    """But not in every language, and only as long as it knows no endpoints yet."""
    backend = backends()
    service.add(backend)
    first, second = xds.bridge("foo"), xds.bridge("foo")
    first.kill(signal.SIGKILL)
    caller = xds.call(language, first.address, TARGET, "-wfr", second=second.address)
    caller.wait_for(backend.addr, timeout=LATE)


def test_bridges_agree_on_the_version(xds: Xds, service: Service) -> None:
    """It is etcd's revision."""
    service.add("10.0.0.1:80")
    streams = [xds.ads(xds.bridge("foo").address) for _ in range(2)]
    for stream in streams:
        stream.ask(Kind.ASSIGNMENT, "foo/svc")
        assert addresses(stream.get()) == {"foo/svc": ["10.0.0.1:80"]}
    service.add("10.0.0.2:80")

    one, other = (stream.get() for stream in streams)

    assert one.version_info == other.version_info
    assert int(one.version_info) > 1


def test_bridge_on_a_unix_socket_serves_its_host(
    xds: Xds, language: Language, service: Service, backends: Backends, tmp_path: object
) -> None:
    """What is left of the socket of one that was killed is no obstacle."""
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
