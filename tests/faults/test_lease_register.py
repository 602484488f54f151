"""`etcdnaming lease-register` while etcd, its users and its neighbours give it trouble."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from harness import (
    AT_ONCE,
    WRITER,
    Certificates,
    Etcd,
    Etcdctl,
    Process,
    Proxy,
    Spawn,
    auth,
    wait_until,
)
from harness.pids import parent_of
from harness.registering import ADDR, KEY, REGISTER, VALUE, is_empty

TTL = 2

CMD = ("--", "sh", "-c", "echo $$; exec sleep 600")

PATIENT = ("--dial-timeout", "60s", "--command-timeout", "60s")
"""Timeouts so long that only the promised bound can end the wait."""


def begun(spawn: Spawn, etcd: Etcdctl, *args: str, ttl: int = 10) -> tuple[Process, int]:
    """Return a registered run, and the process id of its command."""
    endpoints = ("--endpoints", etcd.endpoints)
    process = spawn(*REGISTER, *endpoints, "--ttl", str(ttl), *args, *CMD)
    process.wait_for_out("\n")
    process.wait_for_err("OK\n")
    return process, int(process.out)


def said(process: Process, words: str, times: int) -> bool:
    """Return whether that is how many times *words* were said."""
    return process.err.count(words) == times


def end(process: Process) -> None:
    """Check that it ends in good order."""
    process.signal(signal.SIGTERM)
    assert process.finish().status == 143


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_command_outlives_twenty_outages(spawn: Spawn, own_etcd: Callable[..., Etcd]) -> None:
    """It is the same process; what was lost and is back is told once."""
    etcd = own_etcd()
    process, pid = begun(spawn, etcd, ttl=TTL)
    for number in range(1, 21):
        etcd.stop()
        time.sleep(1.5 * TTL)
        etcd.start()
        wait_until(partial(said, process, "registered again after ", number))
        assert said(process, "Warning: lease ", number)
        assert (etcd.entry(KEY).value, etcd.leases()) == (VALUE, [etcd.lease_of(KEY)])
    assert parent_of(pid) == process.pid
    assert process.out == f"{pid}\n"
    end(process)
    assert is_empty(etcd)


@pytest.mark.parametrize(
    "trouble",
    ["revoked", *(pytest.param(each, marks=pytest.mark.long) for each in ("frozen", "wiped"))],
)
def test_a_lease_that_is_gone_is_replaced(
    spawn: Spawn, own_etcd: Callable[..., Etcd], trouble: str
) -> None:
    """By one, under the same command."""
    etcd = own_etcd()
    process, pid = begun(spawn, etcd, ttl=TTL if trouble == "frozen" else 10)
    lease = etcd.lease_of(KEY)
    if trouble == "frozen":
        etcd.freeze()
        time.sleep(3 * TTL)
        etcd.thaw()
    elif trouble == "wiped":
        etcd.wipe()
    else:
        etcd.revoke(lease)
    process.wait_for_err("registered again after")
    assert [etcd.lease_of(KEY)] == etcd.leases() != [lease]
    assert process.err.count(f"Warning: lease {lease:016x} lost: ") == 1
    assert parent_of(pid) == process.pid
    end(process)


def test_an_outage_that_is_shorter_than_a_ttl_is_not_worth_a_word(
    spawn: Spawn, own_etcd: Callable[..., Etcd]
) -> None:
    """The lease is the same, and what happens to the key afterwards is seen."""
    etcd = own_etcd()
    process, pid = begun(spawn, etcd)
    said_before, lease = process.err, etcd.lease_of(KEY)
    etcd.stop()
    time.sleep(TTL)
    etcd.start()
    etcd.delete(KEY)
    wait_until(lambda: etcd.get(KEY))
    again = f"Warning: {KEY} is registered again: it was deleted\n"
    process.wait_for_err(again)
    assert process.err == said_before + again
    assert (etcd.lease_of(KEY), etcd.leases()) == (lease, [lease])
    assert parent_of(pid) == process.pid


@pytest.mark.parametrize(
    ("hears", "status"), [pytest.param(True, 143, marks=pytest.mark.long), (False, 137)]
)
def test_the_end_is_bounded_when_etcd_does_not_answer(
    spawn: Spawn, own_etcd: Callable[..., Etcd], hears: bool, status: int
) -> None:
    """By drain, stop-timeout and two seconds; and what may be left is told."""
    etcd, drain, patience = own_etcd(), 1.0, 1.0
    trap = "" if hears else "trap '' TERM; "
    limits = ("--drain", f"{drain:g}s", "--stop-timeout", f"{patience:g}s", *PATIENT)
    process = spawn(
        *(*REGISTER, "--endpoints", etcd.endpoint, *limits),
        *("--", "sh", "-c", f"{trap}while :; do sleep 0.1; done"),
    )
    process.wait_for_err("OK\n")
    etcd.freeze()
    begin = time.monotonic()
    process.signal(signal.SIGTERM)

    result = process.finish()
    took = time.monotonic() - begin
    assert result.status == status
    assert took < drain + (0 if hears else patience) + 2 + AT_ONCE
    assert "etcd has not confirmed the end: what is left of it ends with its lease" in result.err
    etcd.thaw()


def test_a_crash_while_etcd_does_not_answer_is_not_waited_for_long(
    spawn: Spawn, own_etcd: Callable[..., Etcd]
) -> None:
    """Nor does it cost the exit code."""
    etcd = own_etcd()
    process = spawn(
        *(*REGISTER, "--endpoints", etcd.endpoint, *PATIENT),
        *("--", "sh", "-c", "read line; exit 9"),
    )
    process.wait_for_err("OK\n")
    etcd.freeze()
    begin = time.monotonic()
    process.stdin.write(b"\n")

    assert process.finish().status == 9
    assert time.monotonic() - begin < 2 + AT_ONCE
    etcd.thaw()


def test_a_lost_lease_is_the_end_if_that_is_wanted(
    spawn: Spawn, own_etcd: Callable[..., Etcd]
) -> None:
    """Exit code 5, and CMD is stopped; an outage shorter than that is none."""
    etcd = own_etcd()
    ttl = 6  # longer than a restart takes on a busy machine
    process, pid = begun(spawn, etcd, "--on-lost", "exit", ttl=ttl)
    etcd.stop()
    etcd.start()
    time.sleep(1)
    assert parent_of(pid) == process.pid
    frozen = time.monotonic()
    etcd.freeze()

    result = process.finish()
    assert time.monotonic() - frozen < ttl + 1 + 2 + AT_ONCE
    assert result.status == 5
    assert result.err.count("Error: the lease was lost: ") == 1
    assert parent_of(pid) == 0
    etcd.thaw()


def test_of_many_who_start_at_once_one_wins(spawn: Spawn, etcd: Etcd) -> None:
    """The others never run their commands."""
    check_one_wins(spawn, etcd, 6)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_of_a_hundred_who_start_at_once_one_wins(spawn: Spawn, etcd: Etcd) -> None:
    """Likewise."""
    check_one_wins(spawn, etcd, 100)


def check_one_wins(spawn: Spawn, etcd: Etcd, count: int) -> None:
    """Start so many for one key."""
    fail = ("--on-conflict", "fail", "--dial-timeout", "60s", "--command-timeout", "60s")
    every = [spawn(*REGISTER, *fail, *CMD) for _ in range(count)]
    wait_until(lambda: sum("OK\n" in each.err for each in every) == 1, timeout=120)
    (winner,) = [each for each in every if "OK\n" in each.err]
    for each in every:
        if each is not winner:
            result = each.finish(120)
            assert (result.status, result.out) == (8, "")
            assert result.err.splitlines()[-1].startswith(f"Error: {KEY} is held by lease")
    assert [etcd.lease_of(KEY)] == etcd.leases()
    winner.wait_for_out("\n")
    end(winner)
    assert is_empty(etcd)


def test_who_takes_over_is_not_disturbed(spawn: Spawn, etcd: Etcd) -> None:
    """The old one goes on, and leaves everything alone when it goes."""
    old, pid = begun(spawn, etcd)
    new, _ = begun(spawn, etcd, "--metadata", "new")
    lease = etcd.lease_of(KEY)
    old.wait_for_err(f"Warning: {KEY} was taken over by lease {lease:016x}\n")
    assert f"Warning: {KEY} was taken over from lease " in new.err
    assert parent_of(pid) == old.pid
    end(old)
    time.sleep(0.5)
    assert (etcd.lease_of(KEY), etcd.leases()) == (lease, [lease])
    assert b'"new"' in etcd.entry(KEY).value
    end(new)
    assert is_empty(etcd)


def test_who_waits_follows(spawn: Spawn, etcd: Etcd) -> None:
    """As soon as the key is free, and no earlier."""
    old, _ = begun(spawn, etcd)
    lease = etcd.lease_of(KEY)
    new = spawn(*REGISTER, "--metadata", "new", "--on-conflict", "wait", *CMD)
    new.wait_for_err(f"Warning: {KEY} is held by lease {lease:016x}, waiting for its end\n")
    assert etcd.lease_of(KEY) == lease
    end(old)
    new.wait_for_err("OK\n")
    assert b'"new"' in etcd.entry(KEY).value
    another, _ = begun(spawn, etcd)
    new.wait_for_err(f"Warning: {KEY} was taken over by lease {etcd.lease_of(KEY):016x}\n")
    end(another)
    new.wait_for_err(f"Warning: {KEY} is registered again: no other lease holds it any more\n")
    assert b'"new"' in etcd.entry(KEY).value


def test_an_operator_has_the_last_word(spawn: Spawn, etcd: Etcd, tmp_path: Path) -> None:
    """What he sets sticks; what he deletes is put back, or stays away if that is wanted."""
    for policy in ("restore", "leave"):
        process, _ = begun(spawn, etcd, "--on-delete", policy)
        lease, drained = etcd.lease_of(KEY), b'{"Op":0,"Addr":"1.2.3.4:80","Metadata":{"weight":0}}'
        file = tmp_path / "updates"
        file.write_text(f'add {KEY} {ADDR} {{"weight":0}}\n')
        assert spawn("txn-update", file).finish().out == "SUCCESS\n"
        changed = f'Warning: {KEY} was changed by somebody to {ADDR} {{"weight":0}}, which stands\n'
        process.wait_for_err(changed)
        assert (etcd.entry(KEY).value, etcd.lease_of(KEY)) == (drained, lease)
        etcd.delete(KEY)
        if policy == "restore":
            process.wait_for_err(f"Warning: {KEY} is registered again: it was deleted\n")
            assert etcd.entry(KEY).value == drained
            etcd.put(KEY, "{}")
            process.wait_for_err("is registered again: it was put without a lease\n")
        else:
            process.wait_for_err(f"Warning: {KEY} was deleted by somebody, and stays away\n")
            assert not etcd.get(KEY)
        end(process)
        assert is_empty(etcd)


def by_a_proxy(request: pytest.FixtureRequest) -> tuple[Etcd, list[str]]:
    """Return an etcd, and the options that reach it through its proxy."""
    etcd: Etcd = request.getfixturevalue("own_etcd")()
    proxy: Proxy = request.getfixturevalue("grpc_proxy")(etcd)
    return etcd, ["--endpoints", proxy.endpoint]


def as_a_user(request: pytest.FixtureRequest) -> tuple[Etcd, list[str]]:
    """Return one that lets in only who has a prefix of his own, and whose tokens soon expire."""
    etcd: Etcd = request.getfixturevalue("auth_etcd")("--auth-token-ttl=1")
    return etcd, ["--endpoints", etcd.endpoint, "--user", WRITER]


def with_tls(request: pytest.FixtureRequest) -> tuple[Etcd, list[str]]:
    """Return one that speaks TLS only, with certificates on both sides."""
    etcd: Etcd = request.getfixturevalue("secure_etcd")(mutual=True)
    files: Certificates = request.getfixturevalue("certificates")
    pair = ["--cert", str(files.client.cert), "--key", str(files.client.key)]
    return etcd, ["--endpoints", f"https://{etcd.endpoint}", "--cacert", str(files.ca), *pair]


def with_everything(request: pytest.FixtureRequest) -> tuple[Etcd, list[str]]:
    """Return one that speaks TLS to its own clients, and lets in only whom it knows."""
    etcd: Etcd = request.getfixturevalue("secure_etcd")(*auth.SERVER_FLAGS, "--auth-token-ttl=1")
    auth.add_users(etcd)
    authority = str(request.getfixturevalue("certificates").ca)
    where = ["--endpoints", f"https://{etcd.endpoint}", "--cacert", authority]
    return etcd, [*where, "--user", WRITER]


def by_a_proxy_as_a_user(request: pytest.FixtureRequest) -> tuple[Etcd, list[str]]:
    """Return one that lets in only whom it knows, also through its proxy."""
    etcd: Etcd = request.getfixturevalue("auth_etcd")("--auth-token-ttl=1")
    proxy: Proxy = request.getfixturevalue("grpc_proxy")(etcd)
    return etcd, ["--endpoints", proxy.endpoint, "--user", WRITER]


def registered_by(spawn: Spawn, way: tuple[Etcd, list[str]], ttl: int) -> tuple[Etcd, Process]:
    """Return the etcd at the end of *way*, and who is registered there."""
    etcd, options = way
    process = spawn(*REGISTER, *options, "--ttl", str(ttl), *CMD)
    process.wait_for_err("OK\n")
    return etcd, process


WAYS = [by_a_proxy, as_a_user, with_tls, with_everything, by_a_proxy_as_a_user]


@pytest.mark.parametrize("way", WAYS)
def test_it_is_the_same_on_every_way_to_etcd(
    spawn: Spawn,
    way: Callable[[pytest.FixtureRequest], tuple[Etcd, list[str]]],
    request: pytest.FixtureRequest,
) -> None:
    """Registered, put back, kept alive, left."""
    etcd, process = registered_by(spawn, way(request), ttl=4)
    lease = etcd.lease_of(KEY)
    time.sleep(5)  # longer than the TTL
    etcd.delete(KEY)
    wait_until(lambda: etcd.get(KEY))
    assert (etcd.lease_of(KEY), etcd.leases()) == (lease, [lease])
    end(process)
    assert is_empty(etcd)


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS)
def test_it_comes_back_on_every_way_to_etcd(
    spawn: Spawn,
    way: Callable[[pytest.FixtureRequest], tuple[Etcd, list[str]]],
    request: pytest.FixtureRequest,
) -> None:
    """From an outage in which its lease has ended, and then from one in which nothing has."""
    etcd, process = registered_by(spawn, way(request), TTL)
    etcd.freeze()
    time.sleep(3 * TTL)
    etcd.thaw()
    wait_until(partial(said, process, "registered again after ", 1))
    etcd.stop()
    time.sleep(3 * TTL)
    etcd.start()
    wait_until(partial(said, process, "registered again after ", 2))
    assert said(process, "Warning: lease ", 2)
    wait_until(lambda: etcd.leases() == [etcd.lease_of(KEY)])
    end(process)
    assert is_empty(etcd)


@pytest.mark.parametrize(
    ("options", "words", "status"),
    [
        (["--user", "writer:wrong"], "authentication failed", 2),
        (["--user", "reader:reader-secret"], "permission denied", 1),
    ],
)
def test_a_refusal_stops_no_command_that_runs(
    spawn: Spawn, auth_etcd: Callable[..., Etcd], options: list[str], words: str, status: int
) -> None:
    """It is told; who was to wait for the registration ends by it."""
    etcd = auth_etcd()
    options += ["--endpoints", etcd.endpoint]
    process = spawn(*REGISTER, *options, *CMD)
    process.wait_for_err(words)
    time.sleep(0.5)
    assert process.err.count("\n") == 1 + ("granted" in process.err)
    assert parent_of(int(process.out)) == process.pid
    end(process)

    result = spawn(*REGISTER, *options, "--start", "registered", *CMD).finish()
    assert (result.status, result.out) == (status, "")
    assert words in result.err.splitlines()[-1]
    assert is_empty(etcd)


@pytest.mark.long
def test_a_login_that_was_refused_is_tried_again(
    spawn: Spawn, auth_etcd: Callable[..., Etcd], tmp_path: Path
) -> None:
    """Within half a minute of the day when the password is right."""
    etcd, file = auth_etcd(), tmp_path / "password"
    name, _, password = WRITER.partition(":")
    file.write_text("wrong")
    login = ("--user", name, "--password-file", str(file), "--endpoints", etcd.endpoint)
    process = spawn(*REGISTER, *login, *CMD)
    process.wait_for_err("authentication failed")
    file.write_text(password)

    process.wait_for_err("OK\n", timeout=60)
    assert etcd.entry(KEY).value == VALUE
    end(process)


def test_a_password_that_was_rotated_stops_no_command(
    spawn: Spawn, auth_etcd: Callable[..., Etcd], tmp_path: Path
) -> None:
    """It is read again from its file when the restart of etcd has made all tokens void."""
    etcd, file = auth_etcd(), tmp_path / "password"
    name, _, password = WRITER.partition(":")
    file.write_text(password)
    login = ("--user", name, "--password-file", str(file))
    process, pid = begun(spawn, etcd, *login, ttl=5)
    file.write_text("rotated")  # first: from the next line on nobody is let in with the old one
    etcd.ctl("user", "passwd", "--interactive=false", name, input="rotated\n")
    etcd.stop()
    etcd.start()
    etcd.delete(KEY)
    wait_until(lambda: etcd.get(KEY))
    time.sleep(6)  # longer than the TTL
    assert [etcd.lease_of(KEY)] == etcd.leases()
    assert parent_of(pid) == process.pid
    assert "failed" not in process.err
    end(process)
    assert is_empty(etcd)


@pytest.mark.long
def test_what_was_rotated_stops_no_command(
    spawn: Spawn, secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """The certificates of both sides, the authority included; read again when they are needed."""
    etcd = secure_etcd(mutual=True)
    pair = ("--cert", str(certificates.client.cert), "--key", str(certificates.client.key))
    process = spawn(
        *(*REGISTER, "--endpoints", f"https://{etcd.endpoint}", "--ttl", str(TTL)),
        *("--cacert", str(certificates.ca), *pair, *CMD),
    )
    process.wait_for_err("OK\n")
    for number in range(1, 4):
        etcd.stop()
        certificates.renew()
        time.sleep(2 * TTL)
        etcd.start()
        wait_until(partial(said, process, "registered again after ", number))
        assert said(process, "Warning: lease ", number)
        assert [etcd.lease_of(KEY)] == etcd.leases()
    assert parent_of(int(process.out)) == process.pid
    end(process)
    assert is_empty(etcd)
