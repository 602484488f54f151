"""`etcdnaming list`, with keys that etcdctl has stored."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pytest
from harness import Etcd, Result, Run
from harness.auth import READER

E1 = b'{"Op":0,"Addr":"10.0.0.1:80","Metadata":{"zone":"a"}}'
E2 = b'{"Op":0,"Addr":"10.0.0.2:80","Metadata":null}'
BAD = b'{"Addr":3}'

LINE_1 = 'svc/e1\t10.0.0.1:80\t{"zone":"a"}\n'
LINE_2 = "svc/e2\t10.0.0.2:80\tnull\n"


@pytest.fixture
def two(etcd: Etcd) -> Etcd:
    """Return an etcd with two endpoints of `svc`, and keys beside it."""
    etcd.put_all(
        {b"svc/e1": E1, b"svc/e2": E2, b"svc": E2, b"svc_other/e1": E2, b"sv": E2, b"svc0": E2}
    )
    return etcd


@pytest.mark.parametrize("target", ["svc", "svc/", "etcd:///svc", "etcd://svc", "etcd:///svc/"])
def test_list_prints_only_the_given_target(run: Run, two: Etcd, target: str) -> None:
    """All spellings of a target are equal; targets that begin with the same name are not listed."""
    assert run("list", target) == Result(0, LINE_1 + LINE_2, "")


def test_list_prints_nothing_when_the_target_is_empty(run: Run) -> None:
    """An empty target is not an error."""
    assert run("list", "svc") == Result(0, "", "")


def test_list_reads_values_as_go_does(run: Run, etcd: Etcd) -> None:
    """Go ignores the case of member names, and all members are optional."""
    etcd.put("svc/e1", '{"addr": "1:1", "unknown": [1]}')
    etcd.put("svc/e2", "null")

    assert run("list", "svc") == Result(0, "svc/e1\t1:1\tnull\nsvc/e2\t\tnull\n", "")


@pytest.mark.parametrize(
    ("option", "out"),
    [
        ("--keys-only", "svc/e1\nsvc/e2\n"),
        ("--addrs-only", "10.0.0.1:80\n10.0.0.2:80\n"),
        ("--count-only", "2\n"),
    ],
)
def test_list_prints_only_the_requested_part(run: Run, two: Etcd, option: str, out: str) -> None:
    """Keys, addresses or the number of keys."""
    assert run("list", "svc", option) == Result(0, out, "")


def test_list_reads_a_past_revision_with_rev(run: Run, two: Etcd) -> None:
    """Later changes do not appear."""
    revision = two.revision()
    two.delete("svc/e1")

    assert run("list", "svc", "--rev", str(revision)) == Result(0, LINE_1 + LINE_2, "")
    assert run("list", "svc") == Result(0, LINE_2, "")
    table = run("list", "svc", "--rev", str(revision), "-w", "table").out
    assert table.endswith(f"\n2 endpoints under svc, revision {revision}\n")


def test_list_fails_when_the_revision_is_compacted(run: Run, two: Etcd) -> None:
    """The message is that of etcd."""
    two.ctl("compact", str(two.revision()))

    message = "Error: etcdserver: mvcc: required revision has been compacted\n"
    assert run("list", "svc", "--rev", "1") == Result(1, "", message)


def test_list_stops_at_the_limit(run: Run, two: Etcd) -> None:
    """Every format says that there are more keys, and nothing says so if there are not."""
    note = "--limit 1: read 1 of 2 keys under svc/\n"
    for options, out in (
        ([], LINE_1),
        (["--keys-only"], "svc/e1\n"),
        (["--addrs-only"], "10.0.0.1:80\n"),
        (["--addrs-only", "-w", "table"], "10.0.0.1:80\n"),
    ):
        assert run("list", "svc", "--limit", "1", *options) == Result(0, out, note)
    for name in ("fields", "json", "table", "yaml"):
        assert run("-w", name, "list", "svc", "--limit", "1").err == note
        assert run("-w", name, "list", "svc", "--limit", "2").err == ""

    found = run("-w", "json", "list", "svc", "--limit", "1").json()
    assert (found["count"], found["more"]) == (2, True)


@pytest.mark.parametrize("option", [[], ["--keys-only"], ["--addrs-only"]])
def test_list_reads_from_one_member_with_consistency_s(
    run: Run, two: Etcd, option: list[str]
) -> None:
    """Such reads work without a leader."""
    assert run("list", "svc", "--consistency", "s", *option) == run("list", "svc", *option)


def test_list_warns_of_an_invalid_value(run: Run, two: Etcd) -> None:
    """The other endpoints are still printed."""
    two.put("svc/e0", BAD)

    warning = "Warning: svc/e0: Addr is not a string\n"
    assert run("list", "svc") == Result(0, LINE_1 + LINE_2, warning)


def test_list_fails_with_strict_when_a_value_is_invalid(run: Run, two: Etcd) -> None:
    """The error names each invalid key."""
    two.put("svc/e0", BAD)
    two.put("svc/e3", "x")

    result = run("list", "svc", "--strict")

    assert (result.status, result.out) == (3, "")
    assert re.fullmatch(r"Error: svc/e0: Addr is not a string; svc/e3: .*\n", result.err)


def test_list_succeeds_with_strict_when_all_values_are_valid(run: Run, two: Etcd) -> None:
    """The output is the same as without the option."""
    assert run("list", "svc", "--strict") == Result(0, LINE_1 + LINE_2, "")


@pytest.mark.parametrize(
    ("args", "out", "where"),
    [
        (["none"], "", "none"),
        (["none", "--keys-only"], "", "none"),
        (["none", "--addrs-only"], "", "none"),
        (["none", "--count-only"], "0\n", "none"),
        (["--services", "none/"], "", "none"),
    ],
)
def test_list_fails_with_fail_if_empty_when_there_are_no_endpoints(
    run: Run, args: list[str], out: str, where: str
) -> None:
    """The exit code is 7."""
    message = f"Error: nothing found under {where}/\n"

    assert run("list", *args, "--fail-if-empty") == Result(7, out, message)


def test_list_fails_with_fail_if_empty_when_all_values_are_invalid(run: Run, etcd: Etcd) -> None:
    """No client could use such a key."""
    etcd.put("svc/e1", BAD)

    assert run("list", "svc", "--fail-if-empty").status == 7


def test_list_succeeds_with_fail_if_empty_when_there_are_endpoints(run: Run, two: Etcd) -> None:
    """The output is the same as without the option."""
    assert run("list", "svc", "--fail-if-empty") == Result(0, LINE_1 + LINE_2, "")


@pytest.mark.server
@pytest.mark.parametrize(
    ("option", "out"),
    [
        ([], LINE_2),
        (["--keys-only"], "svc/e2\n"),
        (["--addrs-only"], "10.0.0.2:80\n"),
        (["--count-only"], "1\n"),
    ],
)
def test_list_prints_only_permanent_endpoints_with_no_lease(
    run: Run, two: Etcd, option: list[str], out: str
) -> None:
    """They stay in etcd after their owner has exited."""
    lease = two.grant(60)
    two.put("svc/e1", E1, lease)
    two.put("svc/e3", BAD, lease)

    assert run("list", "svc", "--no-lease", *option) == Result(0, out, "")


def test_list_services_prints_targets_and_their_key_counts(run: Run, etcd: Etcd) -> None:
    """Only targets under the prefix are printed."""
    keys = ["a/x/e1", "a/x/e2", "a/y/deep/e1", "a/e1", "ab/z/e1"]
    etcd.put_all({key.encode(): E1 for key in keys})

    assert run("list", "--services", "a/") == Result(0, "a\t1\na/x\t2\na/y/deep\t1\n", "")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "Missing argument 'TARGET', or --services PREFIX/"),
        ([""], "Invalid value for 'TARGET...': invalid target '': it names no service"),
        (["/"], "Invalid value for 'TARGET...': invalid target '/': it names no service"),
        (
            ["etcd:///"],
            "Invalid value for 'TARGET...': invalid target 'etcd:///': it names no service",
        ),
        (
            ["etcd://10.0.0.1:2379/svc"],
            (
                "Invalid value for 'TARGET...': invalid target 'etcd://\u2026/svc': "
                "it must not name a host: write etcd:///svc"
            ),
        ),
        (
            ["--services", "svc"],
            "Invalid value for '--services': 'svc' is not a target that ends in \"/\", e.g. svc/",
        ),
        (["svc", "--services", "svc/"], "TARGET... and --services can't be combined"),
        (["svc", "--keys-only", "--count-only"], "--keys-only and --count-only can't be combined"),
        (["svc", "--strict", "--keys-only"], "--keys-only and --strict can't be combined"),
        (["svc", "--no-lease", "--limit", "3"], "--no-lease and --limit can't be combined"),
        (
            ["svc", "--limit", "x"],
            "Invalid value for '--limit': 'x' is not a whole number of 0 or more",
        ),
        (
            ["svc", "--rev", "-1"],
            "Invalid value for '--rev': '-1' is not a whole number of 0 or more",
        ),
        (
            ["svc", "--consistency", "x"],
            "Invalid value for '--consistency': 'x' is not one of 'l', 's'",
        ),
        (["svc", "--keys-only", "--sort", "addr"], "--keys-only and --sort addr can't be combined"),
        (["svc", "--limit", "1", "--selector", "a"], "--selector and --limit can't be combined"),
    ],
)
def test_list_refuses_wrong_usage(run: Run, args: list[str], message: str) -> None:
    """The message is one line that refers to the help."""
    assert run("list", *args) == Result(128, "", f"Error: {message} (see etcdnaming list --help)\n")


def test_list_escapes_control_characters_from_etcd(run: Run, etcd: Etcd) -> None:
    """A user with write permission in etcd could store escape codes."""
    etcd.put(b"svc/\x1b[31m\t\xff", json.dumps({"Addr": "\x1b]0;x\x07\n[red]"}))
    etcd.put(b"svc/\x1b\x9b", "\x1b[0m")

    result = run("list", "svc")

    assert result.out == "svc/\\x1b[31m\\t\\xff\t\\x1b]0;x\\x07\\n[red]\tnull\n"
    assert result.err.startswith("Warning: svc/\\x1b\\x9b: ")
    assert result.err.removesuffix("\n").isprintable()


def test_list_table_prints_the_remaining_ttl_of_a_lease(run: Run, etcd: Etcd) -> None:
    """It shows which endpoints are about to expire."""
    lease = etcd.grant(1000)
    etcd.put("svc/e1", E1, lease)

    table = run("-w", "table", "list", "svc").out

    assert f"{lease:016x}" in table
    assert re.search(r"\b(16m\d+s|1000s|99\ds)", table)


@pytest.mark.server
def test_list_needs_permission_only_for_the_prefix(auth_etcd: Callable[..., Etcd]) -> None:
    """It accesses no key outside of the prefix."""
    etcd = auth_etcd()
    etcd.put("svc/e1", E1, etcd.grant(60))
    run = Run(etcd.endpoint)

    assert run("--user", READER, "list", "svc") == Result(0, LINE_1, "")
    assert run("--user", READER, "list", "svc", "-w", "table").status == 0
    assert run("--user", READER, "list", "--services", "svc/") == Result(0, "svc\t1\n", "")


def test_list_prints_all_endpoints_of_a_large_target(run: Run, etcd: Etcd) -> None:
    """Each is printed once, in the order of the keys."""
    keys = [f"svc/e{number:05}" for number in range(5_000)]
    etcd.put_all({key.encode(): E2 for key in keys})

    lines = run("list", "svc").out.splitlines()

    assert lines == [f"{key}\t10.0.0.2:80\tnull" for key in keys]


@pytest.mark.server
@pytest.mark.parametrize("format", ["fields", "json"])
def test_list_keys_only_prints_leases(run: Run, etcd: Etcd, format: str) -> None:
    """From 3.7 on, etcd omits the lease of a key whose value is not requested."""
    lease = etcd.grant(600)
    etcd.put("svc/e1", E1, lease)
    shown = {"fields": f'"Lease" : {lease}\n', "json": f'"lease":"{lease:016x}"'}[format]
    assert shown in run("-w", format, "list", "svc", "--keys-only").out
