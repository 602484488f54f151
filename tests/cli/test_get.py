"""`etcdnaming get`: one endpoint in full."""

from __future__ import annotations

import re

import pytest
from harness import Etcd, Result, Run

E1 = '{"Addr":"1.2.3.4:80","Metadata":{"zone":"a"}}'


def test_get_prints_everything_known_about_an_endpoint(run: Run, etcd: Etcd) -> None:
    """Lease with its TTLs, revisions, and whether it can be dialled."""
    lease = etcd.grant(1000)
    etcd.put("svc/e1", "{}", lease)
    created = etcd.revision()
    etcd.put("svc/e1", E1, lease)

    in_pipe = run("get", "svc/e1")
    in_table = run("get", "svc/e1", "-w", "table")

    assert (in_pipe.status, in_pipe.err) == (0, "")
    facts = dict(line.split("\t") for line in in_pipe.out.splitlines())
    ttl = facts.pop("TTL")
    assert re.fullmatch(r"(1000|99\d)s of 1000s", ttl)
    assert facts == {
        "KEY": "svc/e1",
        "ADDR": "1.2.3.4:80",
        "METADATA": '{"zone":"a"}',
        "LEASE": f"{lease:016x}",
        "CREATE REVISION": str(created),
        "MOD REVISION": str(created + 1),
        "VERSION": "2",
        "DIALABLE": "yes",
    }
    assert "ADDR             1.2.3.4:80\n" in in_table.out


def test_get_prints_an_object_with_all_members(run: Run, etcd: Etcd) -> None:
    """Also for what is missing or can't be read, with the keys in the order given."""
    etcd.put("svc/e1", '{"Addr":"localhost"}')
    etcd.put("svc/bad", "nonsense")

    result = run("get", "svc/x", "svc/e1", "svc/bad", "-w", "json")
    found = result.json()

    assert found == {
        "header": found["header"],
        "endpoints": [
            {
                "key": "svc/e1",
                "key_base64": None,
                "addr": "localhost",
                "metadata": None,
                "create_revision": etcd.revision() - 1,
                "mod_revision": etcd.revision() - 1,
                "version": 1,
                "lease": "0",
                "granted_ttl": None,
                "ttl": None,
                "dialable": False,
                "fault": "the address 'localhost' has no port: write localhost:PORT",
            }
        ],
        "invalid": [
            {
                "key": "svc/bad",
                "key_base64": None,
                "reason": found["invalid"][0]["reason"],
                "value_base64": "bm9uc2Vuc2U=",
                "mod_revision": etcd.revision(),
            }
        ],
        "missing": [{"key": "svc/x", "key_base64": None}],
    }
    assert result.status == 7
    assert result.err.splitlines()[0].startswith("Warning: svc/bad: ")
    assert result.err.splitlines()[1:] == ["Error: not found: svc/x"]


@pytest.mark.parametrize("output", ["simple", "table", "fields"])
def test_get_prints_the_endpoints_that_exist_when_a_key_does_not(
    run: Run, etcd: Etcd, output: str
) -> None:
    """The exit code is that of a missing key; an unreadable value is shown with its reason."""
    etcd.put("svc/e1", '{"Addr":"localhost"}', etcd.grant(1000))
    etcd.put("svc/bad", "nonsense\n")

    result = run("get", "svc/x", "svc/e1", "svc/bad", "-w", output)

    assert result.status == 7
    assert result.err.splitlines()[1:] == ["Error: not found: svc/x"]
    assert "has no port: write localhost:PORT" in result.out
    assert "1000" in result.out
    assert "nonsense\\n" in result.out
    assert result.out.count("svc/bad") == 1


@pytest.mark.parametrize("key", ["foo/svc", "foo/svc/"])
@pytest.mark.parametrize(
    "command",
    [["get"], ["drain"], ["undrain", "--dry-run"], ["set", "--addr=1:2"]],
    ids=lambda each: each[0],
)
def test_command_for_keys_names_list_when_the_key_is_a_target(
    run: Run, etcd: Etcd, command: list[str], key: str
) -> None:
    """In etcdctl both are the command get."""
    etcd.put("foo/svc/e1", '{"Addr":"1:1"}')

    result = run(*command, key)

    hint = "foo/svc is a target: use etcdnaming list foo/svc\n"
    error = f"not found: {key}" + ("" if command == ["get"] else ": nothing was written")
    assert result == (7, "", f"{hint}Error: {error}\n")


def test_get_prints_a_key_and_a_value_that_are_not_utf8(run: Run, etcd: Etcd) -> None:
    """With escapes."""
    etcd.put_all({b"svc/\xff": b"\xfe"})

    assert "KEY\tsvc/\\xff\n" in run("get", b"svc/\xff").out


def test_get_reads_more_keys_than_a_transaction_takes(run: Run, etcd: Etcd) -> None:
    """Without a limit of its own."""
    keys = [f"svc/e{number}" for number in range(200)]
    etcd.put_all({key.encode(): E1.encode() for key in keys})

    assert run("get", *keys).out.count("1.2.3.4:80") == len(keys)


def test_list_names_get_when_the_target_is_a_key(run: Run, etcd: Etcd) -> None:
    """An empty list alone would look as if the endpoint did not exist."""
    etcd.put("svc/e1", E1)

    assert run("list", "svc/e1") == Result(0, "", "svc/e1 is a key: use etcdnaming get svc/e1\n")
    assert run("list", "svc/e2").err == ""
