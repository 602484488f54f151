"""`etcdnaming status`: every given etcd endpoint."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from harness import Etcd, Run
from harness.auth import READER
from harness.ports import free_port
from harness.programs import Programs
from harness.servers import Servers
from harness.tls import Certificates, secure_etcd


def test_status_prints_what_etcd_reports_of_itself(run: Run, etcd: Etcd) -> None:
    """The numbers are those of etcdctl."""
    expected = etcd.ctl_json("endpoint", "status")[0]["Status"]

    (member,) = run("status", "-w", "json").json()["members"]

    assert member["header"]["member_id"] == f"{expected['header']['member_id']:x}"
    assert member["header"]["revision"] == etcd.revision()
    assert member["version"] == expected["version"]
    assert member["role"] == "leader"
    assert member["db_size"] > 0
    assert (member["errors"], member["user"], member["tls"], member["reason"]) == ([], *[None] * 3)
    assert member["seconds"] > 0


@pytest.mark.parametrize("output", ["simple", "table", "fields"])
def test_status_prints_the_reason_for_an_endpoint_that_does_not_answer(
    run: Run, etcd: Etcd, output: str
) -> None:
    """The others are printed; the exit code is 1, and 2 when none answers."""
    closed = f"127.0.0.1:{free_port()}"
    options = ("--dial-timeout", "1s", "-w", output)

    result = run("status", "--endpoints", f"{closed},{etcd.endpoint}", *options)
    none = run("status", "--endpoints", closed, *options)

    assert (result.status, none.status) == (1, 2)
    assert result.out.index(closed) < result.out.index(etcd.endpoint)
    assert "connection refused" in result.out
    assert "leader" in result.out
    assert output == "fields" or len(result.out.splitlines()) == 2 + (output == "table")
    assert result.err == "Error: no answer from 1 of 2 etcd endpoints\n"


def test_status_prints_the_user_when_the_role_may_read_little(
    run: Run, auth_etcd: Callable[..., Etcd]
) -> None:
    """Without a login, too, a member that asks for none is shown."""
    etcd = auth_etcd()

    (member,) = run("status", "--endpoints", etcd.endpoint, "--user", READER, "-w", "json").json()[
        "members"
    ]

    assert (member["user"], member["role"]) == ("reader", "leader")


def test_status_prints_tls_and_the_end_of_the_certificate(
    run: Run, programs: Programs, certificates: Certificates, _servers: Servers
) -> None:
    """With client certificates, too."""
    etcd = _servers.start(secure_etcd(programs, certificates, mutual=True))
    pair = certificates.client
    options = (f"--cacert={certificates.ca}", f"--cert={pair.cert}", f"--key={pair.key}")

    result = run("status", "--endpoints", etcd.endpoint, *options, "-w", "json")

    (member,) = result.json()["members"]
    assert member["tls"].startswith("TLSv1.")
    assert len(member["expires"]) == len("2026-01-31")


def test_status_prints_an_alarm(run: Run, own_etcd: Callable[..., Etcd]) -> None:
    """A full database, for one."""
    etcd = own_etcd("--quota-backend-bytes=100000")
    for number in range(20):
        try:
            etcd.put(f"k{number}", "x" * 50_000)
        except Exception:  # noqa: BLE001 - the database is full
            break

    out = run("status", "--endpoints", etcd.endpoint).out

    assert "NOSPACE" in out.split("\t")[7]
