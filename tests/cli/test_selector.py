"""`--selector` and `--sort`, on list, watch and wait."""

from __future__ import annotations

import json

import pytest
from harness import Etcd, Result, Run, Spawn
from harness.watcher import put

from etcdnaming.cli.selector import parse_selector
from etcdnaming.model import JSON, Endpoint


@pytest.mark.parametrize(
    ("text", "selected"),
    [
        ("zone=a", ["a"]),
        ("zone==a", ["a"]),
        ('zone="a"', ["a"]),
        ("zone", ["a", "b"]),
        ("!zone", ["none", "text", "null"]),
        ("zone!=a", ["b", "none", "text", "null"]),
        ("weight=0", ["a", "b"]),
        ('weight="0"', ["b"]),
        ("weight!=0,!zone", ["none", "text", "null"]),
        (" zone = a , up = true ", ["a"]),
        ("name=", ["none"]),
        ('name!=""', ["a", "b", "text", "null"]),
    ],
)
def test_selector_compares_members_of_metadata_as_kubectl_does(
    text: str, selected: list[str]
) -> None:
    """A value is the text of a string, or JSON; `!=` is also true without the member."""
    metadata: dict[str, JSON] = {
        "a": {"zone": "a", "weight": 0, "up": True},
        "b": {"zone": "b", "weight": "0"},
        "none": {"name": ""},
        "text": "zone",
        "null": None,
    }

    matches = parse_selector(text).matches
    assert [name for name in metadata if matches(Endpoint("1:1", metadata[name]))] == selected


@pytest.mark.parametrize("text", ["", ",", "a,", "=a", "a=b=c", "!a=b", 'a="b', "a b", "!"])
@pytest.mark.parametrize("command", ["list", "watch", "wait"])
def test_invalid_selector_is_a_usage_error(command: str, text: str) -> None:
    """Nothing is sent: there is no etcd here."""
    result = Run("127.0.0.1:1")(command, "svc", "--selector", text)

    assert (result.status, result.out) == (128, "")
    assert f"{text!r} is not a selector such as zone=a" in result.err


def metadata(etcd: Etcd, **endpoints: JSON) -> None:
    """Store endpoints with this metadata."""
    for name, each in endpoints.items():
        etcd.put(f"svc/{name}", json.dumps({"Addr": f"{name}:1", "Metadata": each}))


def test_list_prints_only_selected_endpoints(run: Run, etcd: Etcd) -> None:
    """The count is that of the selected ones."""
    metadata(etcd, a={"zone": "a"}, b={"zone": "b"}, c=None)

    found = run("list", "svc", "--selector", "zone!=a", "-w", "json").json()

    assert [each["addr"] for each in found["endpoints"]] == ["b:1", "c:1"]
    assert found["count"] == 2


def test_watch_prints_that_an_endpoint_begins_or_ceases_to_be_selected(
    spawn: Spawn, etcd: Etcd
) -> None:
    """As if etcd held only the selected endpoints; the endpoints for CMD are these, too."""
    metadata(etcd, a={"zone": "a"}, b={"zone": "b"}, c={"zone": "a"})
    watch = spawn(
        *("watch", "svc", "--selector=zone=a", "--count=4", "-w", "json", "--", "cat"),
    )
    watch.wait_for_out('"endpoints"')
    metadata(etcd, b={"zone": "a"})  # begins
    metadata(etcd, b={"zone": "a", "n": 1})  # stays
    metadata(etcd, a={"zone": "b"})  # ceases
    metadata(etcd, a={"zone": "c"})  # is not selected
    etcd.delete("svc/a")
    etcd.delete("svc/c")

    lines = [*map(json.loads, watch.finish().out.splitlines())]
    events = [each for each in lines if "type" in each]
    assert [(each["type"], each.get("key", "")[4:]) for each in events] == [
        *(("PUT", "a"), ("PUT", "c"), ("SYNCED", "")),
        *(("PUT", "b"), ("PUT", "b"), ("DELETE", "a"), ("DELETE", "c")),
    ]
    assert [bool(each["prev"]) for each in events[3:]] == [False, True, True, True]
    handled = [each["endpoints"] for each in lines if "endpoints" in each]
    assert [[each["key"] for each in some] for some in (handled[0], handled[-1])] == [
        ["svc/a", "svc/c"],
        ["svc/b"],
    ]


@pytest.mark.parametrize("timeout", ["0", "20s"])
def test_wait_counts_only_selected_endpoints(run: Run, etcd: Etcd, timeout: str) -> None:
    """Its result is the selected endpoints."""
    metadata(etcd, a={"zone": "a"}, b={"zone": "b"})

    found = run("wait", "svc", "--selector=zone=b", "--max=1", f"--timeout={timeout}")

    assert found == Result(0, 'svc/b\tb:1\t{"zone":"b"}\n', "")


@pytest.mark.parametrize(
    ("options", "keys"),
    [
        ([], ["i", "i1", "i10", "i2"]),
        (["--sort=key"], ["i", "i1", "i2", "i10"]),
        (["--sort=addr"], ["i10", "i1", "i2", "i"]),
        (["--sort=lease"], ["i", "i1", "i10", "i2"]),
        (["--sort=modified"], ["i2", "i1", "i10", "i"]),
        (["-w", "table", "--no-headers"], ["i", "i1", "i2", "i10"]),
    ],
)
def test_list_sorts_numbers_by_value(
    run: Run, etcd: Etcd, options: list[str], keys: list[str]
) -> None:
    """A table does so without --sort; the other formats are in the order of etcd."""
    put(etcd, i2="host20:1")
    put(etcd, i1="host10:1")
    etcd.put("svc/i10", '{"Addr":"host9:1"}')
    lease = etcd.grant(60)
    etcd.put("svc/i2", '{"Addr":"host20:1"}', lease=lease)
    put(etcd, i1="host10:1", i10="host9:1")
    etcd.put("svc/i", '{"Addr":"host:1"}')

    lines = run("list", "svc", *options).out.splitlines()

    assert [line.split()[0][4:] for line in lines[:4]] == keys


def test_list_prints_several_targets_in_their_order(run: Run, etcd: Etcd) -> None:
    """With -w json, an object for each."""
    metadata(etcd, e1=None)
    etcd.put("web/e1", '{"Addr":"2:2"}')

    assert run("list", "web", "svc", "--addrs-only") == Result(0, "2:2\ne1:1\n", "")
    objects = run("list", "web", "svc", "-w", "json").out.splitlines()
    assert [json.loads(each)["target"] for each in objects] == ["web", "svc"]
    empty = run("list", "web", "foo", "bar", "--fail-if-empty")
    assert (empty.status, empty.err) == (7, "Error: nothing found under foo/, bar/\n")


def test_list_watch_prints_what_watch_prints(spawn: Spawn, etcd: Etcd) -> None:
    """The selector counts, too."""
    metadata(etcd, a={"zone": "a"}, b={"zone": "b"})
    watch = spawn("list", "svc", "--watch", "--selector=zone=b", "-w", "json")
    watch.wait_for_out("SYNCED")
    metadata(etcd, b={"zone": "a"})

    watch.wait_for_out('"DELETE"')
    assert '"svc/a"' not in watch.out
