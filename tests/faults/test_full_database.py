"""A full database: no write that was applied is reported as refused, and deleting works."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

import pytest
from harness import Etcd, EtcdctlError, Run, wait_until

from etcdnaming import Client, Endpoint, EndpointManager, Registration, RegistrationEvent
from etcdnaming.errors import EtcdnamingError, NoSpaceError, OutcomeUnknownError
from etcdnaming.model import Update

pytestmark = pytest.mark.server

QUOTA = 8 << 20
WRITERS = 30
ONE = b'{"Op":0,"Addr":"1:1","Metadata":null}'


@pytest.fixture
def full_etcd(own_etcd: Callable[..., Etcd]) -> Etcd:
    """One that holds svc/e1 and svc/e2, and has no space for more."""
    etcd = own_etcd()
    for key in ("svc/e1", "svc/e2"):
        etcd.put(key, ONE)
    fill(etcd)
    return etcd


def fill(etcd: Etcd) -> None:
    """Start it again with less space than it uses."""
    etcd.stop()
    etcd.server_flags = ("--quota-backend-bytes=1",)
    etcd.start()
    with pytest.raises(EtcdctlError, match="database space exceeded"):
        etcd.put("svc/e3", ONE)


def crossed(etcd: Etcd, write: Callable[[Client, int], object]) -> dict[int, EtcdnamingError]:
    """Let many clients write until the quota is crossed; return which writes failed, and how."""
    failures: dict[int, EtcdnamingError] = {}
    lock = threading.Lock()

    def work(writer: int) -> None:
        for number in range(writer, 2 * (QUOTA >> 14), WRITERS):
            try:
                write(client, number)
            except EtcdnamingError as exc:
                with lock:
                    failures[number] = exc
                return

    with Client([etcd.endpoint]) as client:
        threads = [threading.Thread(target=work, args=(each,)) for each in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return failures


def put(client: Client, number: int) -> object:
    """Store an endpoint of 16 KiB."""
    manager = EndpointManager(client, "svc")
    return manager.add_endpoint(f"svc/{number}", Endpoint("x" * (1 << 14)))


def put_two(client: Client, number: int) -> object:
    """Store two of 8 KiB, in a transaction that compares."""
    large = Endpoint("x" * (1 << 13))
    updates = [Update.add(f"svc/{number}", large), Update.add(f"svc/{number}.2", large)]
    return EndpointManager(client, "svc").update(updates)


@pytest.mark.parametrize("write", [put, put_two])
def test_write_that_crosses_the_quota_is_never_reported_as_refused_when_it_was_applied(
    own_etcd: Callable[..., Etcd], write: Callable[[Client, int], object]
) -> None:
    """etcd checks the quota again after it has applied a write, with the same words."""
    etcd = own_etcd(f"--quota-backend-bytes={QUOTA}")

    failures = crossed(etcd, write)

    there = etcd.get("svc/")
    applied = [exc for number, exc in failures.items() if b"svc/%d" % number in there]
    assert failures
    assert all(isinstance(exc, OutcomeUnknownError) for exc in applied)
    # How many are applied is a matter of luck, and no answer says which.
    assert {type(exc) for exc in failures.values()} == {NoSpaceError}


def test_grant_is_not_reported_as_refused_when_there_is_no_space(full_etcd: Etcd) -> None:
    """etcd checks the quota after it has granted a lease, too."""
    with (
        Client([full_etcd.endpoint]) as client,
        pytest.raises(NoSpaceError, match="may have been applied"),
    ):
        client.lease_grant(60)


def test_registration_reports_that_there_is_no_space_for_a_lost_lease(
    own_etcd: Callable[..., Etcd],
) -> None:
    """It lasts until an operator makes space, unlike other unknown outcomes."""
    etcd = own_etcd()
    events: list[RegistrationEvent] = []
    with (
        Client([etcd.endpoint]) as client,
        Registration(client, {"svc/e1": Endpoint("1:1")}, ttl=10, on_state=events.append) as held,
    ):
        fill(etcd)
        etcd.revoke(held.lease)
        wait_until(lambda: any(isinstance(event.error, NoSpaceError) for event in events), 30)
        wait_until(lambda: "lost" in [event.kind for event in events], 30)


@pytest.mark.parametrize(
    "args",
    [
        ("add", "svc/e3", "--addr", "1:1"),
        ("add", "svc/e3", "--addr", "1:1", "--ttl", "60"),
        ("add", "svc/e3", "--addr", "1:1", "--if-absent"),
        ("txn-update", "--add", "svc/e3=1:1", "--add", "svc/e4=1:1"),
        ("txn-update", "--add", "svc/e3=1:1", "--del", "svc/e1"),
    ],
)
def test_command_says_that_its_write_may_have_been_applied_when_there_is_no_space(
    full_etcd: Etcd, run: Run, args: Sequence[str]
) -> None:
    """In one line, with exit code 1 and nothing on stdout."""
    for options in ([], ["-w", "json"]):
        result = run("--endpoints", full_etcd.endpoint, *options, *args)
        assert (result.status, result.out) == (1, "")
        assert result.err == (
            f"Error: {full_etcd.endpoint}: etcdserver: mvcc: database space exceeded: "
            "the change may have been applied\n"
        )


@pytest.mark.parametrize("options", [[], ["--prev-kv"]])
def test_delete_of_one_key_works_when_there_is_no_space(
    full_etcd: Etcd, run: Run, options: Sequence[str]
) -> None:
    """As that of etcdctl, whose DeleteRange no etcd refuses for lack of space."""
    result = run("--endpoints", full_etcd.endpoint, "del", "svc/e1", *options)

    assert (result.status, result.err) == (0, "")
    assert result.out.splitlines()[0] == "1"
    assert [*full_etcd.get("svc/")] == [b"svc/e2"]


def test_delete_from_a_file_works_when_there_is_no_space(full_etcd: Etcd, run: Run) -> None:
    """An add before the delete of the same key is folded away."""
    updates = "add svc/e1 1:1\ndel svc/e1\n"
    result = run("--endpoints", full_etcd.endpoint, "txn-update", "-", input=updates)

    assert (result.status, result.out, result.err) == (0, "SUCCESS\n", "")
    assert [*full_etcd.get("svc/")] == [b"svc/e2"]


def test_delete_of_all_works_when_there_is_no_space(full_etcd: Etcd, run: Run) -> None:
    """It was a DeleteRange from the beginning."""
    result = run("--endpoints", full_etcd.endpoint, "del", "--all", "svc/", "--yes")

    assert (result.status, result.out) == (0, "2\n")
