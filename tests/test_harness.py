"""The fixtures of the harness do what other tests rely on."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
from harness import READER, WRITER, Certificates, Cluster, Etcd, EtcdctlError, Proxy, Run


def test_etcd_fixture_is_empty_at_the_start(etcd: Etcd) -> None:
    """Whatever ran before, keys on leases included."""
    etcd.put("svc/e1", "x", lease=etcd.grant(60))
    etcd.put("svc/e2", b"\x00\xff\n")
    etcd.put(b"svc/\xff", "")

    assert etcd.get("") == {b"svc/e1": b"x", b"svc/e2": b"\x00\xff\n", b"svc/\xff": b""}
    assert etcd.lease_of("svc/e1") == etcd.leases()[0]

    etcd.empty()

    assert (etcd.get(""), etcd.leases()) == ({}, [])


def refused(etcd: Etcd) -> str:
    """Have *etcd* log a request, and return the lease ID in it."""
    lease = etcd.grant(60)
    etcd.revoke(lease)
    with pytest.raises(EtcdctlError):
        etcd.revoke(lease)
    return f"{lease:x}"


def test_etcd_fixture_reports_only_what_was_logged_in_this_test(etcd: Etcd) -> None:
    """Other tests have used the same server."""
    assert etcd.last_lines() == ""
    earlier = refused(etcd)
    assert earlier in etcd.last_lines()
    etcd.begin_log()
    later = refused(etcd)
    assert earlier not in etcd.last_lines()
    assert later in etcd.last_lines()


def test_etcd_fixture_puts_more_keys_than_a_transaction_takes(etcd: Etcd) -> None:
    """All of them are stored."""
    values = {b"svc/%d" % n: b"%d" % n for n in range(1000)}

    etcd.put_all(values)

    assert etcd.get("svc/") == values


@pytest.mark.parametrize("end", [Etcd.kill, Etcd.stop], ids=["kill", "stop"])
def test_etcd_fixture_keeps_its_data_when_restarted(
    own_etcd: Callable[..., Etcd], end: Callable[[Etcd], None]
) -> None:
    """It is the same etcd at the same address."""
    etcd = own_etcd()
    etcd.put("svc/e1", "x")

    end(etcd)
    etcd.start()

    assert etcd.get("") == {b"svc/e1": b"x"}


def test_etcd_fixture_starts_at_revision_1_when_wiped(own_etcd: Callable[..., Etcd]) -> None:
    """With another history, but the same cluster id."""
    etcd = own_etcd()
    etcd.put("svc/e1", "x")
    before = etcd.ctl_json("get", "x")["header"]

    etcd.wipe()

    after = etcd.ctl_json("get", "x")["header"]
    assert (after["revision"], after["cluster_id"]) == (1, before["cluster_id"])


def test_etcd_fixture_does_not_answer_when_frozen(own_etcd: Callable[..., Etcd]) -> None:
    """Afterwards it goes on as before."""
    etcd = own_etcd()
    etcd.freeze()
    with pytest.raises(EtcdctlError):
        etcd.ctl("get", "x", "--command-timeout=300ms")
    etcd.thaw()

    assert etcd.revision() == 1


def test_cluster_fixture_works_without_its_leader(cluster: Cluster) -> None:
    """Two of three members are enough."""
    old = cluster.leader()
    old.kill()

    assert cluster.leader() is not old
    cluster.put("svc/e1", "x")
    cluster.followers()[0].freeze()


def test_cluster_fixture_is_repaired_for_the_next_test(cluster: Cluster) -> None:
    """The test before killed one member and froze another."""
    assert all(member.get("") == {} for member in cluster.members)


def test_auth_fixture_limits_users_to_their_roles(auth_etcd: Callable[..., Etcd]) -> None:
    """The reader reads, the writer writes, and only in their prefix."""
    etcd = auth_etcd()
    writer, reader = (etcd.with_flags(f"--user={user}") for user in (WRITER, READER))

    writer.put("svc/e1", "x")
    assert reader.get("svc/") == {b"svc/e1": b"x"}
    with pytest.raises(EtcdctlError, match="permission denied"):
        writer.put("other", "x")
    with pytest.raises(EtcdctlError, match="permission denied"):
        reader.put("svc/e1", "y")


@pytest.mark.parametrize("mutual", [False, True], ids=["TLS", "mutual TLS"])
def test_secure_fixture_uses_new_certificates_when_restarted(
    secure_etcd: Callable[..., Etcd], certificates: Certificates, mutual: bool
) -> None:
    """Also of another CA."""
    etcd = secure_etcd(mutual=mutual)
    etcd.put("svc/e1", "x")

    etcd.stop()
    certificates.renew("etcd.example")
    etcd.start()

    assert etcd.get("") == {b"svc/e1": b"x"}


def test_secure_fixture_refuses_a_client_of_another_authority(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """With mutual TLS."""
    etcd = secure_etcd(mutual=True)
    stranger = certificates.other_client
    refused = etcd.with_flags(
        f"--cacert={certificates.ca}", f"--cert={stranger.cert}", f"--key={stranger.key}"
    )

    with pytest.raises(EtcdctlError):
        refused.ctl("get", "x", "--dial-timeout=1s", "--command-timeout=1s")


def test_proxy_fixture_forwards_writes(etcd: Etcd, grpc_proxy: Callable[..., Proxy]) -> None:
    """A put through it is stored in the etcd behind it."""
    grpc_proxy(etcd).put("svc/e1", "x")

    assert etcd.get("") == {b"svc/e1": b"x"}


def test_run_restores_signal_handlers(run: Run) -> None:
    """Otherwise deadlines would not end a test, and child processes would ignore signals."""
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}

    call = ("lease-register", "svc/e1", "--addr", "1:1", "--ready-file", "/nowhere/x")
    assert run(*call).status == 128
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before


def test_environment_names_no_etcd() -> None:
    """The developer's own etcd must be out of reach."""
    assert [name for name in os.environ if name.startswith("ETCD")] == []
