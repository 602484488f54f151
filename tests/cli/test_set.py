"""`etcdnaming set`, `drain` and `undrain`: change an endpoint without losing anything else."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from harness import READER, WRITER, Etcd, Result, Run
from harness.auth import READER_NEEDS

OK = Result(0, "OK\n", "")


@pytest.fixture
def one(etcd: Etcd) -> Etcd:
    """Return an etcd with an endpoint that has metadata."""
    etcd.put("svc/e1", '{"Addr":"1.2.3.4:80","Metadata":{"weight":1,"zone":"a","n":1.50}}')
    return etcd


def metadata(etcd: Etcd, key: str) -> object:
    """Return the metadata that is stored at *key*."""
    return json.loads(etcd.get(key)[key.encode()])["Metadata"]


def test_set_changes_one_member_and_stays_on_the_lease(run: Run, one: Etcd) -> None:
    """A new weight loses neither zone nor address nor lease."""
    lease = one.grant(60)
    one.put("svc/e1", '{"Addr":"1.2.3.4:80","Metadata":{"weight":1,"zone":"a"}}', lease)

    assert run("set", "svc/e1", "--metadata-merge", '{"weight":3}') == OK

    assert one.get("svc/") == {
        b"svc/e1": b'{"Op":0,"Addr":"1.2.3.4:80","Metadata":{"weight":3,"zone":"a"}}'
    }
    assert one.entry("svc/e1").lease == lease


def test_set_changes_the_address_only(run: Run, one: Etcd) -> None:
    """The metadata stays; --metadata-json null removes it."""
    assert run("set", "svc/e1", "--addr", "1.2.3.5:80") == OK
    assert one.get("svc/")[b"svc/e1"].startswith(b'{"Op":0,"Addr":"1.2.3.5:80","Metadata":{"n"')

    assert run("set", "svc/e1", "--metadata-json", "null") == OK
    assert metadata(one, "svc/e1") is None


def test_set_warns_when_it_replaces_metadata_that_is_not_an_object(run: Run, one: Etcd) -> None:
    """RFC 7396 says so; null is no loss."""
    one.put("svc/e1", '{"Addr":"1:1","Metadata":"hi"}')
    one.put("svc/e2", '{"Addr":"1:1"}')

    assert run("set", "svc/e1", "--metadata-merge", '{"weight":3}').err == (
        "Warning: svc/e1: its metadata was not an object, and is replaced\n"
    )
    assert run("set", "svc/e2", "--metadata-merge", '{"weight":3}') == OK
    assert metadata(one, "svc/e1") == metadata(one, "svc/e2") == {"weight": 3}


def test_drain_and_undrain_change_several_endpoints_in_one_transaction(run: Run, one: Etcd) -> None:
    """The rest of the metadata stays, with the digits of its numbers."""
    one.put("svc/e2", '{"Addr":"1.2.3.5:80"}')
    before = one.revision()

    assert run("drain", "svc/e1", "svc/e2") == OK
    assert metadata(one, "svc/e1") == {"weight": 1, "zone": "a", "n": 1.5, "draining": True}
    assert metadata(one, "svc/e2") == {"draining": True}
    assert one.revision() == before + 1

    assert run("undrain", "svc/e1", "svc/e2") == OK
    assert metadata(one, "svc/e1") == {"weight": 1, "zone": "a", "n": 1.5}
    assert metadata(one, "svc/e2") == {}


@pytest.mark.parametrize(
    ("args", "status", "message"),
    [
        (["drain", "svc/e1", "svc/x"], 7, "not found: svc/x: nothing was written"),
        (["set", "svc/x", "--addr", "1:1"], 7, "not found: svc/x: nothing was written"),
        (
            ["drain", "svc/e1", "svc/text"],
            3,
            "svc/text: its metadata is not an object: nothing was written",
        ),
        (["undrain", "svc/bad", "--dry-run"], 3, "svc/bad: "),
        (["set", "svc/bad", "--addr", "1:1"], 3, "svc/bad: "),
        (["drain", *(f"svc/{n}" for n in range(129))], 128, "129 operations are more than the 128"),
    ],
)
def test_a_change_that_is_not_possible_writes_nothing(
    run: Run, one: Etcd, args: list[str], status: int, message: str
) -> None:
    """One line says why."""
    one.put("svc/text", '{"Addr":"1:1","Metadata":"hi"}')
    one.put("svc/bad", "nonsense")
    before = one.revision()

    result = run(*args)

    assert (result.status, result.out, result.err.count("\n")) == (status, "", 1)
    assert result.err.startswith(f"Error: {message}")
    assert one.revision() == before


def test_dry_run_prints_the_changed_endpoint_and_the_compare(run: Run, one: Etcd) -> None:
    """Nothing is written."""
    before = one.revision()

    assert run("set", "svc/e1", "--metadata-merge", '{"n":null}', "--dry-run") == Result(
        0,
        f'# if svc/e1 has mod_revision {before}\nadd svc/e1 1.2.3.4:80 {{"weight":1,"zone":"a"}}\n',
        "",
    )
    assert run("drain", "svc/e1", "--dry-run", "-w", "json").json()["updates"][0]["metadata"] == {
        "weight": 1,
        "zone": "a",
        "n": 1.5,
        "draining": True,
    }
    assert one.revision() == before


def test_a_change_prints_the_previous_values_in_every_format(run: Run, one: Etcd) -> None:
    """With --prev-kv."""
    change = ("drain", "svc/e1", "--prev-kv", "-w")

    found = run(*change, "json").json()
    assert found["endpoints"][0]["metadata"]["draining"] is True
    assert found["prev"][0]["metadata"] == {"weight": 1, "zone": "a", "n": 1.5}
    run("undrain", "svc/e1")
    assert run(*change, "simple").out == 'OK\nsvc/e1\t1.2.3.4:80\t{"n":1.5,"weight":1,"zone":"a"}\n'
    assert '"PrevKey" : "svc/e1"\n' in run(*change, "fields").out
    assert "was  svc/e1  1.2.3.4:80" in run(*change, "table").out


def test_commands_of_an_operator_need_only_their_permissions(
    auth_etcd: Callable[..., Etcd],
) -> None:
    """A role limited to the prefix is enough, and a role that only reads changes nothing."""
    etcd = auth_etcd()
    etcd.put("svc/e1", '{"Addr":"1:1"}', etcd.grant(60))
    run = Run(etcd.endpoint)

    for args in (["drain", "svc/e1"], ["set", "svc/e1", "--addr", "2:2"]):
        assert run(*args, "--user", WRITER) == OK
        refused = run(*args, "--user", READER)
        assert (refused.status, refused.out) == (1, "")
        assert refused.err == f"{READER_NEEDS} readwrite permission on svc/e1\n"
    got = run("get", "svc/e1", "--user", READER, "-w", "json")
    assert (got.status, got.err) == (0, "")
    assert got.json()["endpoints"][0]["granted_ttl"] == 60
    assert run("list", "svc/e1", "--user", READER) == Result(
        0, "", "svc/e1 is a key: use etcdnaming get svc/e1\n"
    )
