"""`etcdnaming watch` while etcd is away: it says so once, goes on, and misses nothing."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable

import pytest
from harness import AT_ONCE, READER, Certificates, Etcd, Process, Result, Spawn
from harness.auth import READER_NEEDS
from harness.watcher import put


def cpu_seconds(pid: int) -> float:
    """Return what a process has used so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
        user, system = stat.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def watching(spawn: Spawn, etcd: Etcd, *args: str) -> Process:
    """Return a watch of *etcd* that has shown the first set."""
    watch = spawn("watch", "svc", "-w", "json", f"--endpoints={etcd.endpoint}", *args)
    watch.wait_for_out("SYNCED")
    return watch


def told(watch: Process) -> list[tuple[str, str, bool]]:
    """Return type, address and whether it is a difference, of each change after the first set."""
    lines = [json.loads(line) for line in watch.out.splitlines()]
    synced = next(n for n, line in enumerate(lines) if line["type"] == "SYNCED")
    return [(line["type"], line["addr"], line["resync"]) for line in lines[synced + 1 :]]


@pytest.mark.server
def test_watch_reports_a_restart_and_misses_nothing(
    spawn: Spawn, own_etcd: Callable[..., Etcd]
) -> None:
    """One line when the connection is lost, one when it is back, in that order."""
    etcd = own_etcd()
    watch = watching(spawn, etcd)
    etcd.kill()
    watch.wait_for_err("disconnected")
    etcd.start()
    put(etcd, e1="1", e2="2")
    watch.wait_for_out('"addr":"2"')
    watch.wait_for_err("reconnected")

    assert told(watch) == [("PUT", "1", False), ("PUT", "2", False)]
    lost, found = watch.err.splitlines()
    assert lost.startswith("Warning: disconnected: ")
    assert f"{etcd.endpoint}: " in lost  # was called, or could not be: the stream may not be there
    assert found == f"reconnected to {etcd.endpoint}"


def test_an_etcd_that_comes_later_is_waited_for(
    spawn: Spawn, own_etcd: Callable[..., Etcd]
) -> None:
    """It need not be there first, as services that start together have it."""
    etcd = own_etcd()
    put(etcd, e1="1")
    etcd.stop()
    watch = spawn("watch", "svc", f"--endpoints={etcd.endpoint}", "--dial-timeout=300ms")
    watch.wait_for_err("not connected yet")
    etcd.start()
    watch.wait_for_out("\n")
    watch.wait_for_err(f"\nconnected to {etcd.endpoint}\n")

    assert watch.out == "PUT\tsvc/e1\t1\tnull\n"
    assert watch.err == (
        f"Warning: not connected yet: no etcd endpoint reached within 0.3s: {etcd.endpoint}: "
        f"connection refused\nconnected to {etcd.endpoint}\n"
    )


def test_watch_reads_etcd_again_after_compaction(
    spawn: Spawn, own_etcd: Callable[..., Etcd]
) -> None:
    """After a wipe, for one: the differences are marked, and stderr says why."""
    etcd = own_etcd()
    put(etcd, e1="1")
    watch = watching(spawn, etcd)
    put(etcd, e2="2")
    watch.wait_for_out('"addr":"2"')  # it is connected
    etcd.wipe()
    watch.wait_for_out('"DELETE"')
    watch.wait_for_err("reconnected")
    put(etcd, e3="3")
    watch.wait_for_out('"addr":"3"')

    deleted = [("DELETE", "1", True), ("DELETE", "2", True)]
    assert told(watch) == [("PUT", "2", False), *deleted, ("PUT", "3", False)]
    assert "\nresync: changes were lost; reading etcd again showed 2 differences\n" in watch.err


@pytest.mark.parametrize("option", ["--user=reader:wrong", "--auth-jwt-token=wrong"])
def test_watch_reports_a_failed_login(
    spawn: Spawn, auth_etcd: Callable[..., Etcd], option: str
) -> None:
    """Asking again would not help."""
    etcd = auth_etcd()

    result = spawn("watch", "svc", f"--endpoints={etcd.endpoint}", option).finish()

    assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)
    assert result.err.startswith("Error: ")


def test_watch_reports_a_missing_permission(spawn: Spawn, auth_etcd: Callable[..., Etcd]) -> None:
    """With the exit code of any refusal."""
    etcd = auth_etcd()

    result = spawn("watch", "other", f"--endpoints={etcd.endpoint}", f"--user={READER}").finish()

    assert result == Result(
        1,
        "",
        f"{READER_NEEDS} read permission on the prefix other/\n",
    )


def test_rights_that_are_taken_away_end_it(spawn: Spawn, auth_etcd: Callable[..., Etcd]) -> None:
    """At the latest with the next connection, which etcd refuses."""
    etcd = auth_etcd()
    watch = watching(spawn, etcd, f"--user={READER}")
    etcd.ctl("role", "revoke-permission", "reader", "svc/", "--prefix")
    etcd.kill()
    etcd.start()

    result = watch.finish()

    assert result.status == 1
    assert result.err.splitlines()[-1] == (f"{READER_NEEDS} read permission on the prefix svc/")


def test_trouble_with_tls_ends_it(
    spawn: Spawn, secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """No waiting heals that."""
    etcd = secure_etcd()

    plain = spawn("watch", "svc", f"--endpoints={etcd.endpoint}")
    stranger = spawn(
        "watch", "svc", f"--endpoints={etcd.endpoint}", f"--cacert={certificates.other_ca}"
    )

    for result in (plain.finish(), stranger.finish()):
        assert (result.status, result.out, result.err.count("\n")) == (2, "", 1)


@pytest.mark.long
@pytest.mark.server
def test_a_frozen_etcd_is_noticed(spawn: Spawn, own_etcd: Callable[..., Etcd]) -> None:
    """Within 15 s, although its connection stays open; afterwards everything is told."""
    etcd = own_etcd()
    put(etcd, e1="1")
    watch = watching(spawn, etcd)
    etcd.freeze()
    start = time.monotonic()
    watch.wait_for_err("disconnected")
    assert time.monotonic() - start < 15 + AT_ONCE
    time.sleep(5)
    etcd.thaw()
    put(etcd, e2="2")
    etcd.delete("svc/e1")
    watch.wait_for_out('"DELETE"')
    watch.wait_for_err("reconnected")

    assert told(watch) == [("PUT", "2", False), ("DELETE", "1", False)]
    assert watch.err.count("disconnected") == watch.err.count("reconnected") == 1


@pytest.mark.long
def test_watch_uses_little_cpu_while_etcd_is_down(
    spawn: Spawn, own_etcd: Callable[..., Etcd]
) -> None:
    """For a minute: less than 5 % of a core, and one line when it is back."""
    etcd = own_etcd()
    watch = watching(spawn, etcd)
    etcd.kill()
    watch.wait_for_err("disconnected")
    start, used = time.monotonic(), cpu_seconds(watch.pid)
    time.sleep(60)
    share = (cpu_seconds(watch.pid) - used) / (time.monotonic() - start)
    etcd.start()
    put(etcd, e1="1")
    watch.wait_for_out('"addr":"1"')
    watch.wait_for_err("reconnected")

    assert share < 0.05
    assert len(watch.err.splitlines()) == 2


@pytest.mark.long
def test_a_stopped_watch_catches_up(spawn: Spawn, own_etcd: Callable[..., Etcd]) -> None:
    """What was changed and compacted away while it slept is told once, however it was found."""
    etcd = own_etcd()
    put(etcd, e1="1", e2="2")
    watch = watching(spawn, etcd)
    watch.signal(signal.SIGSTOP)
    put(etcd, e1="9", e3="3")
    etcd.delete("svc/e2")
    etcd.ctl("compact", str(etcd.revision()))
    etcd.kill()
    etcd.start()
    watch.signal(signal.SIGCONT)
    put(etcd, e4="4")
    watch.wait_for_out('"addr":"4"')

    changes = sorted((kind, addr) for kind, addr, _ in told(watch))
    assert changes == [("DELETE", "2"), ("PUT", "3"), ("PUT", "4"), ("PUT", "9")]
