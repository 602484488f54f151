"""What other tests take for granted of the fixtures."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
from harness import READER, WRITER, Certificates, Cluster, Etcd, EtcdctlError, Proxy, Run


def test_etcd_is_empty_at_first(etcd: Etcd) -> None:
    """Whatever ran before, keys on leases included."""
    etcd.put("svc/e1", "x", lease=etcd.grant(60))
    etcd.put("svc/e2", b"\x00\xff\n")
    etcd.put(b"svc/\xff", "")

    assert etcd.get("") == {b"svc/e1": b"x", b"svc/e2": b"\x00\xff\n", b"svc/\xff": b""}
    assert etcd.lease_of("svc/e1") == etcd.leases()[0]

    etcd.empty()

    assert (etcd.get(""), etcd.leases()) == ({}, [])


def test_all_is_put(etcd: Etcd) -> None:
    """More than one transaction takes."""
    values = {b"svc/%d" % n: b"%d" % n for n in range(1000)}

    etcd.put_all(values)

    assert etcd.get("svc/") == values


@pytest.mark.parametrize("end", [Etcd.kill, Etcd.stop], ids=["kill", "stop"])
def test_data_outlive_the_server(
    own_etcd: Callable[..., Etcd], end: Callable[[Etcd], None]
) -> None:
    """Started again, it is the same etcd at the same place."""
    etcd = own_etcd()
    etcd.put("svc/e1", "x")

    end(etcd)
    etcd.start()

    assert etcd.get("") == {b"svc/e1": b"x"}


def test_a_wiped_etcd_begins_again(own_etcd: Callable[..., Etcd]) -> None:
    """Another history, but the same cluster id."""
    etcd = own_etcd()
    etcd.put("svc/e1", "x")
    before = etcd.ctl_json("get", "x")["header"]

    etcd.wipe()

    after = etcd.ctl_json("get", "x")["header"]
    assert (after["revision"], after["cluster_id"]) == (1, before["cluster_id"])


def test_a_frozen_etcd_does_not_answer(own_etcd: Callable[..., Etcd]) -> None:
    """But it goes on where it was."""
    etcd = own_etcd()
    etcd.freeze()
    with pytest.raises(EtcdctlError):
        etcd.ctl("get", "x", "--command-timeout=300ms")
    etcd.thaw()

    assert etcd.revision() == 1


def test_a_cluster_lives_without_its_leader(cluster: Cluster) -> None:
    """Two of three are enough."""
    old = cluster.leader()
    old.kill()

    assert cluster.leader() is not old
    cluster.put("svc/e1", "x")
    cluster.followers()[0].freeze()


def test_a_cluster_is_whole_again_for_the_next_test(cluster: Cluster) -> None:
    """The one before killed one member and froze another."""
    assert all(member.get("") == {} for member in cluster.members)


def test_users_are_held_to_their_roles(auth_etcd: Callable[..., Etcd]) -> None:
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
def test_a_secure_etcd_takes_new_certificates(
    secure_etcd: Callable[..., Etcd], certificates: Certificates, mutual: bool
) -> None:
    """Started again, that is, when the authority is another."""
    etcd = secure_etcd(mutual=mutual)
    etcd.put("svc/e1", "x")

    etcd.stop()
    certificates.renew("etcd.example")
    etcd.start()

    assert etcd.get("") == {b"svc/e1": b"x"}


def test_mutual_tls_wants_a_client_of_its_authority(
    secure_etcd: Callable[..., Etcd], certificates: Certificates
) -> None:
    """Another authority's is refused."""
    etcd = secure_etcd(mutual=True)
    stranger = certificates.other_client
    refused = etcd.with_flags(
        f"--cacert={certificates.ca}", f"--cert={stranger.cert}", f"--key={stranger.key}"
    )

    with pytest.raises(EtcdctlError):
        refused.ctl("get", "x", "--dial-timeout=1s", "--command-timeout=1s")


def test_a_proxy_passes_on(etcd: Etcd, grpc_proxy: Callable[..., Proxy]) -> None:
    """What is put through it is in the etcd behind."""
    grpc_proxy(etcd).put("svc/e1", "x")

    assert etcd.get("") == {b"svc/e1": b"x"}


def test_a_call_of_the_program_leaves_signals_as_they_were(run: Run) -> None:
    """Or deadlines would be heard by nobody, and what other tests start would ignore some."""
    before = {number: signal.getsignal(number) for number in signal.valid_signals()}

    call = ("lease-register", "svc/e1", "--addr", "1:1", "--ready-file", "/nowhere/x")
    assert run(*call).status == 128
    assert {number: signal.getsignal(number) for number in signal.valid_signals()} == before


def test_the_environment_knows_no_etcd() -> None:
    """The caller's own etcd must be out of reach."""
    assert [name for name in os.environ if name.startswith("ETCD")] == []
