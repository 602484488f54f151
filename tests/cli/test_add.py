"""`etcdnaming add`, verified with etcdctl."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Etcd, Result, Run, wait_until
from harness.auth import READER, READER_NEEDS, WRITER
from harness.hostile import HostileProxy

from etcdnaming.etcd import rpc

LEASE_LINE = re.compile(r"lease ([0-9a-f]{16}) granted with TTL\((\d+)s\)\n")


def test_add_stores_the_same_bytes_as_go(run: Run, etcd: Etcd) -> None:
    """Services in Go can read the endpoint."""
    warning = "Warning: the address '1.2.3.4' has no port: write 1.2.3.4:PORT\n"
    assert run("add", "foo/bar/svc/e1", "--addr", "1.2.3.4") == Result(0, "OK\n", warning)
    assert etcd.get("foo") == {b"foo/bar/svc/e1": b'{"Op":0,"Addr":"1.2.3.4","Metadata":null}'}


@pytest.mark.parametrize(
    ("option", "value", "stored"),
    [
        ("--metadata", "zone <a>", rb'"zone \u003ca\u003e"'),
        ("--metadata", "", b'""'),
        (
            "--metadata-json",
            '{"b": [1.0, null], "a": 12345678901234567890}',
            b'{"a":12345678901234567890,"b":[1,null]}',
        ),
        ("--metadata-json", "null", b"null"),
    ],
)
def test_add_stores_metadata_from_text_or_json(
    run: Run, etcd: Etcd, option: str, value: str, stored: bytes
) -> None:
    """Text is stored as a JSON string, as in etcd's own guide."""
    assert run("add", "svc/e1", "--addr", "1:2", option, value) == Result(0, "OK\n", "")
    assert etcd.get("") == {b"svc/e1": b'{"Op":0,"Addr":"1:2","Metadata":' + stored + b"}"}


@pytest.mark.parametrize(("text", "kind"), [('{"zone":"a"}', "object"), (' ["a"]', "array")])
@pytest.mark.parametrize("dry_run", [(), ("--dry-run",)])
def test_add_warns_of_metadata_text_that_is_json(
    run: Run, etcd: Etcd, text: str, kind: str, dry_run: tuple[str, ...]
) -> None:
    """The text is stored as a JSON string."""
    result = run("add", "svc/e1", "--addr", "1:1", "--metadata", text, *dry_run)

    warning = f"--metadata stores this JSON {kind} as text; --metadata-json stores the {kind}"
    assert (result.status, result.err) == (0, f"Warning: {warning}\n")
    stored = json.dumps({"Op": 0, "Addr": "1:1", "Metadata": text}, separators=(",", ":"))
    assert etcd.get("") == ({} if dry_run else {b"svc/e1": stored.encode()})


@pytest.mark.parametrize("text", ["zone=a", "{zone}", "[a", "5", "null", '"a"', "{}x", ""])
def test_add_takes_other_metadata_text_without_a_warning(run: Run, text: str) -> None:
    """Text that only begins like JSON is included."""
    result = run("add", "svc/e1", "--addr", "1:1", "--metadata", text)

    assert result == Result(0, "OK\n", "")


def test_add_reads_metadata_from_a_file_or_stdin(run: Run, etcd: Etcd, tmp_path: Path) -> None:
    """Some metadata is too long or too secret for a command line."""
    file = tmp_path / "metadata.json"
    file.write_text('{"zone": "a"}\n')

    run("add", "svc/e1", "--addr", "1:1", "--metadata-file", file)
    run("add", "svc/e2", "--addr", "1:2", "--metadata-file", "-", input='["b"]')

    assert etcd.get("") == {
        b"svc/e1": b'{"Op":0,"Addr":"1:1","Metadata":{"zone":"a"}}',
        b"svc/e2": b'{"Op":0,"Addr":"1:2","Metadata":["b"]}',
    }


def test_add_names_the_file_when_it_is_not_json(run: Run, etcd: Etcd, tmp_path: Path) -> None:
    """Nothing is stored."""
    file = tmp_path / "metadata.json"
    file.write_text("zone: a")

    result = run("add", "svc/e1", "--addr", "1:1", "--metadata-file", file)

    message = f"Error: {file}: not JSON: a value expected at character 0, found 'zone: a'\n"
    assert result == Result(3, "", message)
    assert etcd.get("") == {}


def test_add_completes_a_key_that_ends_in_a_slash(run: Run, etcd: Etcd) -> None:
    """The address becomes the name of the endpoint."""
    run("add", "svc/", "--addr", "10.0.0.1:80")

    assert etcd.get("") == {b"svc/10.0.0.1:80": b'{"Op":0,"Addr":"10.0.0.1:80","Metadata":null}'}


def test_add_refuses_to_complete_a_key_from_an_address_with_a_slash(run: Run, etcd: Etcd) -> None:
    """The key would belong to another target."""
    result = run("add", "svc/", "--addr", "unix:/run/svc.sock")

    message = "Error: the address 'unix:/run/svc.sock' has a '/': write the KEY in full\n"
    assert result == Result(128, "", message)
    assert etcd.get("") == {}


def test_add_refuses_a_port_when_etcd_is_reached_by_loopback(run: Run, etcd: Etcd) -> None:
    """Other machines could not dial 127.0.0.1."""
    result = run("add", "svc/e1", "--addr", ":50051")

    assert result == Result(
        128,
        "",
        "Error: :50051 has no host, and this machine reaches etcd by 127.0.0.1, which others can't "
        "dial: use HOST:50051, or 127.0.0.1:50051 for clients on this machine "
        "(see etcdnaming add --help)\n",
    )
    assert etcd.get("") == {}


@pytest.mark.parametrize(
    "addr", ["http://1.2.3.4:80", "1.2.3.4:99999", "1.2.3.4 :80", " ", ":", "a\n:1", "", "a:"]
)
@pytest.mark.parametrize("options", [[], ["--dry-run"], ["--ttl", "60"]])
def test_add_refuses_an_address_that_no_client_can_dial(
    run: Run, etcd: Etcd, addr: str, options: list[str]
) -> None:
    """Nothing is written before the check, so no lease remains."""
    result = run("add", "svc/e1", "--addr", addr, *options)

    assert (result.status, result.out) == (128, "")
    assert re.fullmatch(r"Error: the address .*; --force stores it anyway\n", result.err)
    assert etcd.get("") == {}
    assert etcd.leases() == []


def test_add_stores_an_address_that_no_client_can_dial_with_force(run: Run, etcd: Etcd) -> None:
    """A warning gives the reason."""
    result = run("add", "svc/e1", "--addr", "http://a:1\x1b[2J", "--force")

    warning = r"Warning: the address 'http://a:1\x1b[2J' has a blank or a control character"
    assert result == Result(0, "OK\n", f"{warning}\n")
    assert etcd.get("") == {b"svc/e1": rb'{"Op":0,"Addr":"http://a:1\u001b[2J","Metadata":null}'}


@pytest.mark.parametrize(
    ("addr", "host"),
    [("0.0.0.0:80", "0.0.0.0"), ("[::]:80", "[::]")],  # noqa: S104
)
def test_add_warns_of_an_address_that_clients_cannot_dial(run: Run, addr: str, host: str) -> None:
    """Wildcard addresses are often copied from the configuration of a server."""
    warning = f"Warning: {addr}: servers listen on {host}, but clients can't dial it\n"

    assert run("add", "svc/e1", "--addr", addr) == Result(0, "OK\n", warning)


def test_add_keeps_the_lease_of_an_existing_endpoint(run: Run, etcd: Etcd) -> None:
    """etcdctl put would detach it without a warning."""
    lease = etcd.grant(60)
    etcd.put("svc/e1", '{"Addr":"1:1"}', lease)

    run("add", "svc/e1", "--addr", "1:2")

    assert etcd.get("") == {b"svc/e1": b'{"Op":0,"Addr":"1:2","Metadata":null}'}
    assert etcd.lease_of("svc/e1") == lease


def test_add_prints_no_lease_for_a_new_endpoint_and_that_another_keeps_its_lease(
    run: Run, etcd: Etcd
) -> None:
    """A new endpoint has no lease to keep."""
    etcd.put("svc/old", "{}", etcd.grant(60))
    shown = {}
    for name in ("new", "old"):
        for form in ("table", "json", "fields"):
            shown[name, form] = run("add", f"svc/{name}", "--addr", "1:2", "-w", form)
            etcd.delete("svc/new")

    rows = {name: shown[name, "table"].out.splitlines()[1].split() for name in ("new", "old")}
    assert rows == {
        "new": ["add", "svc/new", "1:2", "-"],
        "old": ["add", "svc/old", "1:2", "kept"],
    }
    assert shown["new", "json"].json()["endpoint"]["lease"] == "0"
    assert shown["old", "json"].json()["endpoint"]["lease"] is None
    assert '"Lease" : 0\n' in shown["new", "fields"].out
    assert "Lease" not in shown["old", "fields"].out


@pytest.mark.parametrize("option", [["--no-lease"], ["--lease", "0"], ["--no-lease=true"]])
def test_add_detaches_from_the_lease_with_no_lease(run: Run, etcd: Etcd, option: list[str]) -> None:
    """--lease 0 does the same."""
    etcd.put("svc/e1", '{"Addr":"1:1"}', etcd.grant(60))

    assert run("add", "svc/e1", "--addr", "1:2", *option) == Result(0, "OK\n", "")
    assert etcd.lease_of("svc/e1") == 0


def test_add_attaches_to_the_given_lease(run: Run, etcd: Etcd) -> None:
    """The lease ID is hex, as etcdctl prints it."""
    lease = etcd.grant(60)

    assert run("add", "svc/e1", "--addr", "1:2", "--lease", f"{lease:x}") == Result(0, "OK\n", "")
    assert etcd.lease_of("svc/e1") == lease


def test_add_fails_when_the_lease_is_unknown(run: Run, etcd: Etcd) -> None:
    """The message is that of etcd, and nothing is stored."""
    result = run("add", "svc/e1", "--addr", "1:2", "--lease", "123")

    assert result == Result(1, "", "Error: etcdserver: requested lease not found\n")
    assert etcd.get("") == {}


@pytest.mark.parametrize(("ttl", "seconds"), [("60", 60), ("1m30s", 90)])
def test_add_grants_a_lease_with_ttl(run: Run, etcd: Etcd, ttl: str, seconds: int) -> None:
    """The lease ID is printed, so that the lease can be kept alive."""
    result = run("add", "svc/e1", "--addr", "1:2", "--ttl", ttl)

    said = LEASE_LINE.fullmatch(result.err)
    assert said
    assert (result.status, result.out, int(said[2])) == (0, "OK\n", seconds)
    assert etcd.lease_of("svc/e1") == int(said[1], 16)


def test_add_reports_the_granted_ttl(run: Run) -> None:
    """etcd has a minimum TTL, so the lease may last longer than requested."""
    said = LEASE_LINE.fullmatch(run("add", "svc/e1", "--addr", "1:2", "--ttl", "1").err)

    assert said
    assert int(said[2]) >= 1


def test_endpoint_is_deleted_when_its_lease_expires(run: Run, etcd: Etcd) -> None:
    """Nothing renews the lease that add grants."""
    run("add", "svc/e1", "--addr", "1:2", "--ttl", "1")

    wait_until(lambda: etcd.get("") == {})


def test_add_revokes_the_lease_when_the_endpoint_is_not_stored(run: Run, etcd: Etcd) -> None:
    """Otherwise the lease would remain until it expires."""
    etcd.put("svc/e1", "{}")

    result = run("add", "svc/e1", "--addr", "1:2", "--ttl", "60", "--if-absent")

    assert result == Result(8, "", "Error: condition not met: if svc/e1 is absent\n")
    assert etcd.leases() == []


def test_add_with_ttl_keeps_the_lease_when_the_outcome_is_unknown(run: Run, etcd: Etcd) -> None:
    """Revoking it would delete the endpoint, which may have been stored."""

    def spoil(answer: rpc.TxnResponse) -> None:
        del answer.responses[:]

    with HostileProxy(etcd.endpoint) as proxy:
        proxy.changes["Txn"] = spoil
        result = run("--endpoints", proxy.endpoint, "add", "svc/e1", "--addr", "1:1", "--ttl", "60")

    warning, error = result.err.splitlines()
    lease = etcd.lease_of("svc/e1")
    assert result.status == 1
    assert warning == f"Warning: lease {lease:016x} with TTL(60s) remains until it expires"
    assert error.endswith("the change may have been applied")


def test_add_fails_with_if_absent_when_the_key_exists(run: Run, etcd: Etcd) -> None:
    """The endpoint that was stored first stays."""
    assert run("add", "svc/e1", "--addr", "1:1", "--if-absent") == Result(0, "OK\n", "")

    result = run("add", "svc/e1", "--addr", "1:2", "--if-absent")

    assert result == Result(8, "", "Error: condition not met: if svc/e1 is absent\n")
    assert etcd.get("") == {b"svc/e1": b'{"Op":0,"Addr":"1:1","Metadata":null}'}


def test_add_fails_with_if_mod_rev_when_the_key_has_changed(run: Run, etcd: Etcd) -> None:
    """No concurrent change is lost."""
    run("add", "svc/e1", "--addr", "1:1")
    seen = etcd.entry("svc/e1").mod_revision

    first = run("add", "svc/e1", "--addr", "1:2", "--if-mod-rev", str(seen))
    second = run("add", "svc/e1", "--addr", "1:3", "--if-mod-rev", str(seen))

    assert first == Result(0, "OK\n", "")
    message = f"Error: condition not met: if svc/e1 has mod_revision {seen}\n"
    assert second == Result(8, "", message)
    assert etcd.get("") == {b"svc/e1": b'{"Op":0,"Addr":"1:2","Metadata":null}'}


def test_add_prints_the_previous_endpoint_with_prev_kv(run: Run) -> None:
    """It follows the OK."""
    run("add", "svc/e1", "--addr", "1:1", "--metadata", "old")

    result = run("add", "svc/e1", "--addr", "1:2", "--prev-kv")

    assert result == Result(0, 'OK\nsvc/e1\t1:1\t"old"\n', "")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["e1"], "invalid target '': the key 'e1' needs one: write TARGET/NAME"),
        (["/e1"], "invalid target '': the key '/e1' needs one: write TARGET/NAME"),
        (
            ["other/e1", "--target", "svc"],
            "endpoints: endpoint key should be prefixed with 'svc/' got: 'other/e1'",
        ),
        (
            ["svc_other/e1", "--target", "etcd:///svc"],
            "endpoints: endpoint key should be prefixed with 'svc/' got: 'svc_other/e1'",
        ),
    ],
)
def test_add_refuses_a_key_outside_its_target(
    run: Run, etcd: Etcd, args: list[str], message: str
) -> None:
    """The message is that of Go, and nothing is sent."""
    assert run("add", *args, "--addr", "1:2") == Result(128, "", f"Error: {message}\n")
    assert etcd.get("") == {}


def test_add_accepts_a_key_several_levels_below_the_given_target(run: Run, etcd: Etcd) -> None:
    """The option --target overrides the key's own prefix."""
    assert run("add", "svc/a/e1", "--target", "svc/", "--addr", "1:2").status == 0
    assert list(etcd.get("")) == [b"svc/a/e1"]


def test_add_accepts_a_key_of_any_bytes(run: Run, etcd: Etcd) -> None:
    """The bytes of the command line are sent to etcd unchanged."""
    assert run("add", b"svc/\xff\n", "--addr", "1:2") == Result(0, "OK\n", "")
    assert list(etcd.get("")) == [b"svc/\xff\n"]


@pytest.mark.parametrize("options", [["--addr"], ["--addr", "1:2", "--metadata"]])
def test_add_refuses_an_address_or_metadata_that_is_not_utf8(
    run: Run, etcd: Etcd, options: list[str]
) -> None:
    """They are stored as JSON, which has no other encoding."""
    result = run("add", "svc/e1", *options, b"\xff")

    message = f"Error: Invalid value for '{options[-1]}': not UTF-8 (see etcdnaming add --help)\n"
    assert result == Result(128, "", message)
    assert etcd.get("") == {}


def test_add_writes_nothing_in_a_dry_run(run: Run, etcd: Etcd) -> None:
    """It prints an update file instead."""
    result = run("add", "svc/", "--addr", "1:2", "--metadata", "x", "--if-absent", "--dry-run")

    assert result == Result(0, '# if svc/1:2 is absent\nadd svc/1:2 1:2 "x"\n', "")
    assert etcd.get("") == {}


@pytest.mark.parametrize("format", ["fields", "json", "simple", "table"])
def test_add_prints_its_result_in_every_format(run: Run, etcd: Etcd, format: str) -> None:
    """etcdctl has no table for put, and reports this only after the put."""
    result = run("-w", format, "add", "svc/e1", "--addr", "1:2")

    assert (result.status, result.err) == (0, "")
    assert result.out
    assert list(etcd.get("")) == [b"svc/e1"]


@pytest.mark.server
def test_add_fails_when_the_user_may_only_read(auth_etcd: Callable[..., Etcd]) -> None:
    """Older etcd does not check the permissions of nested transactions."""
    etcd = auth_etcd()
    etcd.put("svc/e1", "{}")

    result = Run(etcd.endpoint)("--user", READER, "add", "svc/e1", "--addr", "1:2")

    assert result == Result(
        1,
        "",
        f"{READER_NEEDS} readwrite permission on svc/e1\n",
    )
    assert etcd.get("") == {b"svc/e1": b"{}"}


@pytest.mark.server
def test_add_needs_permission_only_for_the_prefix(auth_etcd: Callable[..., Etcd]) -> None:
    """It accesses no key outside of the prefix."""
    etcd = auth_etcd()

    result = Run(etcd.endpoint)("--user", WRITER, "add", "svc/e1", "--addr", "1:2", "--ttl", "60")

    assert result.status == 0
    assert list(etcd.get("")) == [b"svc/e1"]
