"""`etcdnaming services`: which services are in etcd."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
import yaml
from harness import Etcd, Result, Run, Shell
from harness.auth import READER, READER_NEEDS

from etcdnaming import wire
from etcdnaming.model import Endpoint

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
        0, "a/x\t2\na/y\t1\nab\t1\n", "not counted: 2 keys without an endpoint\n"
    )


def test_services_prints_those_under_a_prefix(run: Run, filled: Etcd) -> None:
    """As ``list --services`` does."""
    result = run("services", "a/")

    assert result == Result(0, "a/x\t2\na/y\t1\n", "not counted: 1 key without an endpoint\n")
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


@pytest.mark.parametrize("count", [3_000, pytest.param(100_000, marks=pytest.mark.long)])
def test_services_counts_many_endpoints_in_little_memory(
    run: Run, shell: Shell, etcd: Etcd, count: int
) -> None:
    """Every format has each service once; no format needs memory for all values."""
    value = wire.encode(Endpoint("10.0.0.1:80", {"text": "x" * 900}))
    etcd.put_all({b"a/%02d/e%06d" % (n % 100, n): value for n in range(count)})
    expected = {f"a/{n:02}": count // 100 for n in range(100)}
    usage = "import resource; print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    script = f"import subprocess, sys; subprocess.run(sys.argv[1:], check=True); {usage}"

    command = f"{sys.executable} -c '{script}' etcdnaming services --command-timeout 60s"
    lines = shell(command).out.split("\n")
    in_json, in_yaml, table, fields = (
        run("services", "-w", output, "--command-timeout", "60s")
        for output in ("json", "yaml", "table", "fields")
    )

    assert lines[:-2] == [f"{target}\t{each}" for target, each in expected.items()]
    assert int(lines[-2]) < 200_000  # kilobytes
    for found in (in_json.json(), yaml.safe_load(in_yaml.out)):
        assert {each["target"]: each["count"] for each in found["services"]} == expected
    rows = [line.split() for line in table.out.splitlines()[1:101]]
    assert {target: int(each) for target, each in rows} == expected
    assert fields.out.count(f'"Count" : {count // 100}\n') == 100


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


def test_tables_of_services_and_of_check_have_natural_order(run: Run, etcd: Etcd) -> None:
    """As that of `list`: a number is compared by its value."""
    etcd.put_all({b"s%d/e%d" % (n, m): b'{"Addr":"127.0.0.1:1"}' for n in (10, 9) for m in (10, 9)})

    services = run("services", "-w", "table").out.splitlines()
    checked = run("check", "s9", "--tcp", "-w", "table").out.splitlines()

    assert [line.split()[0] for line in services[1:3]] == ["s9", "s10"]
    assert [line.split()[0] for line in checked[1:3]] == ["s9/e9", "s9/e10"]
