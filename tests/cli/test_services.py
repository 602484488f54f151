"""`etcdnaming services`: which services are in etcd."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from harness import Etcd, Result, Run
from harness.auth import READER, READER_NEEDS

E1 = b'{"Addr":"1.2.3.4:80"}'


@pytest.fixture
def filled(etcd: Etcd) -> Etcd:
    """Return an etcd with three services, and two keys of another program."""
    keys = (b"a/x/e1", b"a/x/e2", b"a/y/e1", b"ab/e1")
    etcd.put_all({**dict.fromkeys(keys, E1), b"a/lock": b"held", b"other": E1})
    return etcd


def test_services_prints_the_services_of_all_of_etcd(run: Run, filled: Etcd) -> None:
    """What is no endpoint is counted on stderr."""
    assert run("services") == Result(
        0, "a/x\t2\na/y\t1\nab\t1\n", "2 keys there without an endpoint\n"
    )


def test_services_prints_those_under_a_prefix(run: Run, filled: Etcd) -> None:
    """As ``list --services`` does."""
    result = run("services", "a/")

    assert result == Result(0, "a/x\t2\na/y\t1\n", "1 key there without an endpoint\n")
    assert run("list", "--services", "a/") == result


def test_services_prints_an_object_with_all_members(run: Run, filled: Etcd) -> None:
    """For programs."""
    found = run("services", "a/", "-w", "json").json()

    assert found == {
        "header": found["header"],
        "prefix": "a",
        "services": [
            {"target": "a/x", "target_base64": None, "count": 2},
            {"target": "a/y", "target_base64": None, "count": 1},
        ],
        "others": 1,
    }


def test_services_prints_a_table_and_fields(run: Run, filled: Etcd) -> None:
    """The table's last line says where and when."""
    table = run("services", "-w", "table").out
    fields = run("services", "a/", "-w", "fields").out

    assert table.splitlines()[:2] == ["TARGET  ENDPOINTS", "a/x     2"]
    assert table.splitlines()[-1] == f"3 services, revision {filled.revision()}"
    assert '"Target" : "a/x"\n"Count" : 2\n' in fields
    assert fields.endswith('"Others" : 1\n')


@pytest.mark.parametrize("args", [[], ["none/"]])
def test_services_fails_when_nothing_is_found_and_that_is_requested(
    run: Run, etcd: Etcd, args: list[str]
) -> None:
    """Without the option, an empty list is no error."""
    where = " under none/" if args else ""

    assert run("services", *args) == Result(0, "", "")
    assert run("services", *args, "--fail-if-empty") == Result(
        7, "", f"Error: no service found{where}\n"
    )


def test_services_names_what_a_role_limited_to_a_prefix_may_not_read(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """With the prefix it works."""
    etcd = auth_etcd()
    etcd.put("svc/e1", E1.decode())
    run = Run(etcd.endpoint)

    assert run("services", "svc/", "--user", READER) == Result(0, "svc\t1\n", "")
    assert run("services", "--user", READER) == Result(
        1,
        "",
        f"{READER_NEEDS} read permission on all keys; add a PREFIX/ that the user may read\n",
    )
