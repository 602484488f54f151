"""A full database: no applied write is reported as refused, and deletes work."""

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
    """An etcd with svc/e1 and svc/e2, and no space for more."""
    etcd = own_etcd()
    for key in ("svc/e1", "svc/e2"):
        etcd.put(key, ONE)
    fill(etcd)
    return etcd


def fill(etcd: Etcd) -> None:
    """Restart *etcd* with a quota below its current size."""
    etcd.stop()
    etcd.server_flags = ("--quota-backend-bytes=1",)
    etcd.start()
    with pytest.raises(EtcdctlError, match="database space exceeded"):
        etcd.put("svc/e3", ONE)


def crossed(etcd: Etcd, write: Callable[[Client, int], object]) -> dict[int, EtcdnamingError]:
    """Write with many threads until the quota is exceeded, and return the failed writes' errors."""
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
    """Store two endpoints of 8 KiB in a transaction with conditions."""
    large = Endpoint("x" * (1 << 13))
    updates = [Update.add(f"svc/{number}", large), Update.add(f"svc/{number}.2", large)]
    return EndpointManager(client, "svc").update(updates)


@pytest.mark.parametrize("write", [put, put_two])
def test_write_that_exceeds_the_quota_is_never_reported_as_refused_when_it_was_applied(
    own_etcd: Callable[..., Etcd], write: Callable[[Client, int], object]
) -> None:
    """etcd checks the quota again after it has applied a write, and returns the same error."""
    etcd = own_etcd(f"--quota-backend-bytes={QUOTA}")

    failures = crossed(etcd, write)

    there = etcd.get("svc/")
    applied = [exc for number, exc in failures.items() if b"svc/%d" % number in there]
    assert failures
    assert all(isinstance(exc, OutcomeUnknownError) for exc in applied)
    # How many are applied depends on timing, and no answer says which.
    assert {type(exc) for exc in failures.values()} == {NoSpaceError}


def test_grant_has_an_unknown_outcome_when_there_is_no_space(full_etcd: Etcd) -> None:
    """etcd checks the quota also after it has granted a lease."""
    with (
        Client([full_etcd.endpoint]) as client,
        pytest.raises(NoSpaceError, match="may have been applied"),
    ):
        client.lease_grant(60)


def test_registration_reports_no_space_when_its_lease_is_lost(
    own_etcd: Callable[..., Etcd],
) -> None:
    """Unlike other unknown outcomes, the error lasts until an operator makes space."""
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
def test_write_command_reports_an_unknown_outcome_when_there_is_no_space(
    full_etcd: Etcd, run: Run, args: Sequence[str]
) -> None:
    """The error is one line with exit code 1 and an empty stdout."""
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
    """Like etcdctl, the command uses DeleteRange, which etcd accepts without free space."""
    result = run("--endpoints", full_etcd.endpoint, "del", "svc/e1", *options)

    assert (result.status, result.err) == (0, "")
    assert result.out.splitlines()[0] == "1"
    assert [*full_etcd.get("svc/")] == [b"svc/e2"]


def test_delete_in_a_file_works_when_there_is_no_space(full_etcd: Etcd, run: Run) -> None:
    """An earlier add of the same key in the file is dropped."""
    updates = "add svc/e1 1:1\ndel svc/e1\n"
    result = run("--endpoints", full_etcd.endpoint, "txn-update", "-", input=updates)

    assert (result.status, result.out, result.err) == (0, "SUCCESS\n", "")
    assert [*full_etcd.get("svc/")] == [b"svc/e2"]


def test_delete_of_all_works_when_there_is_no_space(full_etcd: Etcd, run: Run) -> None:
    """The command always uses DeleteRange."""
    result = run("--endpoints", full_etcd.endpoint, "del", "--all", "svc/", "--yes")

    assert (result.status, result.out) == (0, "2\n")
