"""`etcdnaming watch A B`: several targets are one stream and one table."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import Etcd, Process, Result, Run, Shell, Spawn, Terminal, wait_until
from harness.auth import READER
from harness.picture import Picture
from harness.watcher import stored

from etcdnaming.cli.following.merged import MAX_QUEUED


def events(process: Process) -> list[Any]:
    """Return the objects that the process has printed so far."""
    return [json.loads(line) for line in process.out.splitlines()]


def test_watch_prints_the_endpoints_of_all_targets_then_their_changes(
    spawn: Spawn, etcd: Etcd
) -> None:
    """In the order of the targets; a target that is not named is not printed."""
    etcd.put("a/e1", stored("1:1"))
    etcd.put("b/e1", stored("2:2"))
    etcd.put("c/e1", stored("3:3"))
    watch = spawn("watch", "b/", "a/")
    watch.wait_for_out("a/e1")

    for key, addr in (("a/e2", "4:4"), ("b/e2", "5:5"), ("c/e2", "6:6")):
        etcd.put(key, stored(addr))
        if key != "c/e2":
            watch.wait_for_out(addr)
    etcd.delete("b/e1")
    watch.wait_for_out("DELETE")

    assert (watch.out, watch.err) == (
        (
            "PUT\tb/e1\t2:2\tnull\n"
            "PUT\ta/e1\t1:1\tnull\n"
            "PUT\ta/e2\t4:4\tnull\n"
            "PUT\tb/e2\t5:5\tnull\n"
            "DELETE\tb/e1\t2:2\tnull\n"
        ),
        "",
    )


@pytest.mark.parametrize("command", [("watch",), ("list", "--watch")], ids=" ".join)
def test_watch_of_several_targets_has_one_synced_object(
    spawn: Spawn, etcd: Etcd, command: tuple[str, ...]
) -> None:
    """It counts the endpoints of all; a target may be empty."""
    etcd.put("a/e1", stored("1:1"))
    etcd.put("b/e1", stored("2:2"))
    watch = spawn(*command, "a", "b", "empty", "-w", "json")
    watch.wait_for_out("SYNCED")
    etcd.put("empty/e1", stored("3:3"))
    watch.wait_for_out("3:3")

    found = events(watch)
    assert [each["type"] for each in found] == ["PUT", "PUT", "SYNCED", "PUT"]
    assert (found[2]["count"], found[2]["revision"]) == (2, etcd.revision() - 1)


@pytest.mark.parametrize("name", ["fields", "table", "yaml"])
def test_watch_of_several_targets_works_in_every_format(run: Run, etcd: Etcd, name: str) -> None:
    """With --rev there are only changes, those of all targets."""
    begin = etcd.revision() + 1
    etcd.put("a/e1", stored("1:1"))
    etcd.put("b/e1", stored("2:2"))

    result = run("watch", "a", "b", "--rev", str(begin), "--count", "2", "-w", name)

    assert (result.status, result.err) == (0, "")
    if name == "yaml":
        found = sorted(each["addr"] for each in yaml.safe_load_all(result.out))
        assert found == ["1:1", "2:2"]
    elif name == "table":
        assert "1 change under a, b, revision " in result.out
        assert all(f" {each} " in result.out for each in ("1:1", "2:2"))
    else:
        assert all(f'"Addr" : "{each}"\n' in result.out for each in ("1:1", "2:2"))


def test_watch_counts_the_changes_of_all_targets(run: Run, etcd: Etcd) -> None:
    """--count cuts the last batch, wherever it is from; --timeout says how many there were."""
    begin = etcd.revision() + 1
    for number in range(3):
        etcd.put(f"a/e{number}", stored("1:1"))
        etcd.put(f"b/e{number}", stored("2:2"))
    args = ("watch", "a", "b", "--rev", str(begin))

    assert run(*args, "--count", "5").out.count("PUT") == 5
    assert run(*args, "--count", "7", "--timeout", "1500ms").err == (
        "Error: timed out after 1.5s: 6 of 7 changes\n"
    )


def test_watch_prints_a_target_below_another_one_once(spawn: Spawn, etcd: Etcd) -> None:
    """And a target that is named twice."""
    etcd.put("a/b/e1", stored("1:1"))
    watch = spawn("watch", "a/b", "a", "a", "a/b/c", "ab")
    watch.wait_for_out("1:1")
    etcd.put("ab/e1", stored("2:2"))
    watch.wait_for_out("2:2")

    assert watch.out == "PUT\ta/b/e1\t1:1\tnull\nPUT\tab/e1\t2:2\tnull\n"


def test_selector_applies_to_all_targets(spawn: Spawn, etcd: Etcd) -> None:
    """An endpoint that no longer matches is deleted."""
    for target in "ab":
        for zone in "xy":
            etcd.put(f"{target}/{zone}", f'{{"Addr":"1:1","Metadata":{{"zone":"{zone}"}}}}')
    watch = spawn("watch", "a", "b", "--selector", "zone=x")
    watch.wait_for_out("b/x")
    etcd.put("b/x", '{"Addr":"1:1","Metadata":{"zone":"y"}}')
    watch.wait_for_out("DELETE")

    lines = [line.split("\t")[:2] for line in watch.out.splitlines()]
    assert lines == [["PUT", "a/x"], ["PUT", "b/x"], ["DELETE", "b/x"]]


def test_handler_of_several_targets_gets_the_endpoints_of_all(
    spawn: Spawn, etcd: Etcd, tmp_path: Path
) -> None:
    """Its variable for the target is that of the last event; at the start it has all."""
    file = tmp_path / "runs"
    etcd.put("a/e1", stored("1:1"))
    script = f'printf "%s " "$ETCDNAMING_WATCH_TARGET" >> {file}; cat >> {file}'
    spawn("watch", "a", "b", "--", "sh", "-c", script)
    wait_until(lambda: file.exists() and file.read_text().count("\n") == 1)
    etcd.put("b/e1", stored("2:2"))
    wait_until(lambda: file.read_text().count("\n") == 2)

    first, second = file.read_text().splitlines()
    assert first.startswith('a b {"revision":')
    assert second.startswith('b {"revision":')
    assert [each["key"] for each in json.loads(second[2:])["endpoints"]] == ["a/e1", "b/e1"]


def test_handler_of_several_targets_gets_all_endpoints_with_rev(
    spawn: Spawn, etcd: Etcd, tmp_path: Path
) -> None:
    """Those of a target without a change, too."""
    etcd.put("a/e1", stored("1:1"))
    etcd.put("b/e1", stored("2:2"))
    begin = str(etcd.revision() + 1)
    watch = spawn("watch", "a", "b", "--rev", begin, "--count", "1", "--", "cat")
    etcd.put("b/e2", stored("3:3"))

    lines = watch.finish().out.splitlines()
    assert [each["key"] for each in json.loads(lines[-1])["endpoints"]] == ["a/e1", "b/e1", "b/e2"]


def test_watch_of_several_targets_reports_an_outage_once(
    spawn: Spawn, own_etcd: Callable[..., Etcd]
) -> None:
    """Not once for each target, and no change of any of them is missed."""
    etcd = own_etcd()
    watch = spawn("watch", "a", "b", "c", "-w", "json", f"--endpoints={etcd.endpoint}")
    watch.wait_for_out("SYNCED")
    etcd.kill()
    watch.wait_for_err("disconnected")
    etcd.start()
    for target in "abc":
        etcd.put(f"{target}/e1", stored("1:1"))
    wait_until(lambda: len(events(watch)) == 4)
    watch.wait_for_err("reconnected")

    assert sorted(each["key"] for each in events(watch)[1:]) == ["a/e1", "b/e1", "c/e1"]
    said = [line.split(":")[0].split(" to ")[0] for line in watch.err.splitlines()]
    # On a busy machine one stream may break only when the others are back: another outage.
    assert said == ["Warning", "reconnected"] * (len(said) // 2)


def test_watch_ends_when_one_of_its_targets_is_refused(auth_etcd: Callable[..., Etcd]) -> None:
    """The error is that of this target."""
    result = Run(auth_etcd().endpoint)("--user", READER, "watch", "svc", "other")

    assert result.status == 1
    assert "other/" in result.err
    assert result.err.count("Error") == 1


def test_watch_of_several_targets_prints_all_changes_to_a_slow_reader(
    shell: Shell, etcd: Etcd
) -> None:
    """No more batches are read than are printed, and none is lost."""
    begin = etcd.revision() + 1
    number = 4 * MAX_QUEUED
    for target in "ab":
        etcd.put_all({f"{target}/{each}".encode(): b'{"Addr":"1:1"}' for each in range(number)})
    args = f"--rev {begin} --count {2 * number}"

    result = shell(f"etcdnaming watch a b {args} | (sleep 1; wc -l)")

    assert result == Result(0, f"{2 * number}\n", "")


def test_watch_of_several_targets_ends_with_its_reader(shell: Shell, etcd: Etcd) -> None:
    """At once, not at the next change."""
    etcd.put("a/e1", stored("1:1"))

    assert shell("etcdnaming watch a b | head -1; echo ${PIPESTATUS[0]}") == (
        0,
        "PUT\ta/e1\t1:1\tnull\n141\n",
        "",
    )


def test_live_table_shows_several_targets(terminal: Terminal, etcd: Etcd) -> None:
    """In one table in natural order, with one status line; q ends it."""
    etcd.put("b/e1", stored("1:1"))
    etcd.put("a/e10", stored("2:2"))
    picture = Picture(terminal("watch", "b", "a", size=(24, 100)))
    picture.wait_for("connected to")
    etcd.put("a/e9", stored("3:3"))
    picture.wait_for("a/e9")

    _, *rows, blank, status = picture.lines
    assert [row.replace("+", " ").split()[:2] for row in rows] == [
        ["a/e9", "3:3"],
        ["a/e10", "2:2"],
        ["b/e1", "1:1"],
    ]
    assert blank == ""
    assert status.startswith("3 endpoints under b, a, revision ")
    picture.terminal.send("q")
    assert picture.terminal.wait() == 0
