"""Every command for operators, over TLS, for a role with one prefix: what it may do works."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from harness import READER, WRITER, Etcd, Result, Run
from harness.auth import READER_NEEDS, SERVER_FLAGS, add_users
from harness.programs import Programs
from harness.tls import Certificates, secure_etcd

from etcdnaming import wire
from etcdnaming.model import Endpoint

STORED = wire.encode(Endpoint("127.0.0.1:1", {"zone": "a"})).decode()
SAME = 'add svc/e1 127.0.0.1:1 {"zone":"a"}\n'
OTHER = 'add svc/e1 127.0.0.1:2 {"zone":"a"}\n'
UNSERVED = "Error: not serving: 1 of 1 endpoint\n"


@pytest.fixture(scope="module")
def _etcd(
    programs: Programs, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Etcd, Certificates]]:
    certificates = Certificates(tmp_path_factory.mktemp("certificates"))
    with closing(secure_etcd(programs, certificates, *SERVER_FLAGS, mutual=True)) as etcd:
        etcd.start()
        add_users(etcd)
        yield etcd, certificates


@pytest.fixture
def run_as(_etcd: tuple[Etcd, Certificates]) -> Callable[..., Result]:
    """Return ``run_as(USER, *ARGS, input="")``; etcd has ``svc/e1``, and asks for certificates."""
    etcd, certificates = _etcd
    etcd.put("svc/e1", STORED)
    tls = (f"--cacert={certificates.ca}", f"--cert={certificates.client.cert}")
    run = Run(f"https://{etcd.endpoint}")

    def call(user: str, *args: str, input: str = "") -> Result:
        return run(*args, *tls, f"--key={certificates.client.key}", f"--user={user}", input=input)

    return call


@pytest.mark.parametrize(
    ("args", "input", "status", "out", "err"),
    [
        (["get", "svc/e1"], "", 0, "svc/e1", ""),
        (["services", "svc/"], "", 0, "svc\t1\n", ""),
        (["check", "svc"], "", 1, "svc/e1\t127.0.0.1:1\tUNREACHABLE", UNSERVED),
        (["export", "svc"], "", 0, SAME, ""),
        (["diff", "svc", "-f", "-"], SAME, 0, "", ""),
        (["diff", "svc", "-f", "-"], OTHER, 1, "127.0.0.1:2", ""),
        (["apply", "svc", "-f", "-"], SAME, 0, "", ""),
        (["apply", "svc", "-f", "-", "--dry-run"], OTHER, 0, "127.0.0.1:2", ""),
        (["status"], "", 0, "reader", ""),
    ],
)
def test_role_with_read_permission_may_run_a_reading_command(
    run_as: Callable[..., Result], args: list[str], input: str, status: int, out: str, err: str
) -> None:
    """Nothing outside of the prefix is read on the way."""
    result = run_as(READER, *args, input=input)

    assert (result.status, result.err) == (status, err)
    assert out in result.out


@pytest.mark.parametrize(
    ("args", "input", "stored"),
    [
        (["set", "svc/e1", "--addr=127.0.0.1:2"], "", Endpoint("127.0.0.1:2", {"zone": "a"})),
        (["drain", "svc/e1"], "", Endpoint("127.0.0.1:1", {"draining": True, "zone": "a"})),
        (["undrain", "svc/e1"], "", Endpoint("127.0.0.1:1", {"zone": "a"})),
        (["apply", "svc", "-f", "-"], OTHER, Endpoint("127.0.0.1:2", {"zone": "a"})),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else "",
)
def test_role_with_write_permission_is_needed_for_a_writing_command(
    _etcd: tuple[Etcd, Certificates],
    run_as: Callable[..., Result],
    args: list[str],
    input: str,
    stored: Endpoint,
) -> None:
    """The refusal names user, permission and key, and nothing is written."""
    etcd, _ = _etcd

    refused = run_as(READER, *args, input=input)
    before = etcd.get("svc/e1")[b"svc/e1"]
    done = run_as(WRITER, *args, input=input)

    assert (refused.status, refused.out) == (1, "")
    assert refused.err == f"{READER_NEEDS} readwrite permission on svc/e1\n"
    assert before == STORED.encode()
    assert (done.status, done.err) == (0, "")
    assert wire.decode(etcd.get("svc/e1")[b"svc/e1"]) == stored


@pytest.mark.parametrize(
    ("args", "needs"),
    [
        (["get", "other/e1"], "read permission on other/e1"),
        (["get", "svc/e1", "other/e1"], "read permission on svc/e1, other/e1"),
        (["set", "other/e1", "--addr=127.0.0.1:2"], "readwrite permission on other/e1"),
        (["drain", "other/e1"], "readwrite permission on other/e1"),
        *(
            ([command, "other", *more], "read permission on the prefix other/")
            for command, *more in (
                ("list",),
                ("watch",),
                ("wait",),
                ("check",),
                ("export",),
                ("diff", "--file=-"),
            )
        ),
        (["services", "other/"], "read permission on the prefix other/"),
    ],
    ids=lambda each: each[0] if isinstance(each, list) else "",
)
def test_permission_error_names_the_permission_that_the_command_needs(
    run_as: Callable[..., Result], args: list[str], needs: str
) -> None:
    """What only reads needs the permission to read, and no other."""
    result = run_as(READER, *args)

    assert (result.status, result.out) == (2 if args[0] == "diff" else 1, "")
    assert result.err == f"{READER_NEEDS} {needs}\n"
