"""`etcdnaming lease-register`: what it takes, what it refuses, what it says, and without CMD."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from harness import Etcd, Run, Shell, Spawn, wait_until
from harness.process import command
from harness.registering import ADDR, KEY, REGISTER, VALUE, changes, is_empty, kinds

RUNS = ["--", "sleep", "60"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "nothing to register: name a KEY, or a file of several (-f)"),
        ([KEY], "--addr is missing: what clients dial"),
        ([KEY, "--addr", ""], "the address is empty"),
        (["e1", "--addr", ADDR], "the key 'e1' needs one: write TARGET/NAME"),
        ([KEY, "--addr", ADDR, "sleep"], "a command to run stands after --"),
        ([KEY, "--addr", ADDR, "--target", "other"], "prefixed with 'other/' got: 'svc/e1'"),
        (["svc/", "--addr", "unix:/x"], "the address 'unix:/x' has a '/'"),
        ([KEY, "--addr", ADDR, "--ttl", "0"], "a TTL is a whole number of seconds"),
        ([KEY, "--addr", ADDR, "--ttl", "1.5s"], "a TTL is a whole number of seconds"),
        ([KEY, "--addr", ADDR, "--on-lost", "cry"], "'cry' is not one of"),
        ([KEY, "--addr", ADDR, "--metadata", "a", "--metadata-json", "1"], "--metadata"),
        ([KEY, "--addr", ADDR, "--frob"], "No such option '--frob'"),
        ([KEY, "--addr", ADDR, "--start", "registered"], "--start is about -- CMD"),
        ([KEY, "--addr", ADDR, "--drain", "1s"], "--drain is about -- CMD"),
        ([KEY, "--addr", ADDR, "--drain", "-1s", *RUNS], "--drain"),
        ([KEY, "--addr", ADDR, "--stop-timeout", "0"], "--stop-timeout is about -- CMD"),
        ([KEY, "--addr", ADDR, "--check-interval", "1s"], "--check-interval is about --check"),
        ([KEY, "--addr", ADDR, "--check", "http://a"], "'http://a' is not tcp://HOST:PORT"),
        ([KEY, "--addr", ADDR, "--check", "tcp://:80"], "needs a HOST:PORT"),
        ([KEY, "--addr", ADDR, "--check", "tcp://a:65536"], "needs a HOST:PORT"),
        ([KEY, "--addr", ADDR, "--check", b"grpc://a:80/\xff"], "not UTF-8"),
        ([KEY, "--addr", ADDR, "--check", "exec:"], "exec: needs a command"),
        ([KEY, "--addr", ADDR, "--check", "exec:'"], "No closing quotation"),
        ([KEY, "--addr", ADDR, "--check", "exec:nope x"], "nope: command not found"),
        (
            [KEY, "--addr", ADDR, "--check", "tcp://a:1", "--check-interval", "0"],
            "--check-interval must be more than 0",
        ),
        (
            [KEY, "--addr", ADDR, "--check", "tcp://a:1", "--start", "registered", *RUNS],
            "CMD would wait for the check, and it for CMD",
        ),
        ([KEY, "--addr", ADDR, "-f", "x"], "KEY and --file can't be combined"),
        (["-f", "/nonexistent"], "/nonexistent: No such file or directory"),
        ([KEY, "--addr", ADDR, "--dial-timeout", "x"], "--dial-timeout"),
        ([KEY, "--addr", ADDR, "--cert", "x"], "--key"),
    ],
)
def test_wrong_usage_is_said_in_one_line(
    run: Run, etcd: Etcd, args: list[str | bytes], words: str
) -> None:
    """Before anything is written, or begins."""
    result = run("lease-register", *args)

    assert (result.status, result.out) == (128, "")
    assert re.fullmatch(r"Error: [^\n]*\n", result.err)
    assert words in result.err
    assert is_empty(etcd)


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        ([*REGISTER, "-w", "protobuf"], 4, "unsupported output format 'protobuf'"),
        ([*REGISTER, "-w", "xml", *RUNS], 4, "unsupported output format 'xml'"),
        ([*REGISTER, "--", "no-such-program"], 127, "no-such-program: command not found"),
        ([*REGISTER, "--", ""], 127, ": command not found"),
        ([*REGISTER, "--", "/etc/passwd"], 126, "/etc/passwd: it can't be executed"),
        ([*REGISTER, "--", "/"], 126, "/: it can't be executed"),
        ([*REGISTER, "--metadata-json", "{x"], 128, "not JSON"),
        ([*REGISTER, "--password-file", "/nonexistent", "--user", "a"], 128, "/nonexistent"),
    ],
)
def test_what_can_not_work_is_found_before_anything_is_written(
    run: Run, etcd: Etcd, args: list[str], status: int, words: str
) -> None:
    """Each with the exit code that it always has."""
    result = run(*args)

    assert (result.status, result.out) == (status, "")
    assert re.fullmatch(r"Error: [^\n]*\n", result.err)
    assert words in result.err
    assert is_empty(etcd)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("add svc/e1 1:1\ndel svc/e2\n", "stdin:2: only what is added can be kept registered"),
        ("add svc/e1 1:1\nadd svc/ 2:2\nadd svc/e1 3:3\n", "stdin:3: svc/e1 is named twice"),
        ("add svc/2:2 1:1\nadd svc/ 2:2\n", "stdin:2: svc/2:2 is named twice"),
        ("add svc/e1 1:1 {x}\n", "stdin:1: not JSON"),
        ("# nothing\n", "stdin: there is no endpoint in it"),
        ("", "stdin: there is no endpoint in it"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(run: Run, etcd: Etcd, text: str, words: str) -> None:
    """With its line; nothing is written."""
    result = run("lease-register", "-f", "-", input=text)

    assert (result.status, result.out) == (3, "")
    assert result.err.startswith(f"Error: {words}")
    assert is_empty(etcd)


@pytest.mark.parametrize("file", ["{tmp}", "{tmp}/none/ready"])
def test_a_ready_file_that_can_not_be_is_refused(
    spawn: Spawn, etcd: Etcd, tmp_path: Path, file: str
) -> None:
    """Before CMD runs."""
    path = file.format(tmp=tmp_path)
    result = spawn(*REGISTER, "--ready-file", path, "--", "echo", "ran").finish()

    words = f"Error: --ready-file {path}: it can't be written (see etcdnaming lease-register --help"
    assert (result.status, result.out) == (128, "")
    assert result.err.startswith(words[:-30])
    assert is_empty(etcd)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_without_a_command_it_holds_until_it_is_told_to_end(
    spawn: Spawn, etcd: Etcd, number: int
) -> None:
    """In etcdctl's words; and nothing is left."""
    process = spawn(*REGISTER, "--ttl", "7")
    process.wait_for_out("OK\n")
    entry = etcd.entry(KEY)
    assert (entry.value, [entry.lease]) == (VALUE, etcd.leases())

    process.signal(number)

    lease = f"{entry.lease:x}"
    said = f"lease {lease} granted with TTL(7s)\nOK\nlease {lease} revoked\n"
    assert process.finish() == (0, said, "")
    assert is_empty(etcd)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT])
def test_other_ends_leave_nothing_behind_either(spawn: Spawn, etcd: Etcd, number: int) -> None:
    """And look like what they are."""
    process = spawn(*REGISTER)
    process.wait_for_out("OK\n")

    process.signal(number)

    assert process.finish().status == -number
    assert is_empty(etcd)


def test_json_is_a_line_for_each_change_of_state(spawn: Spawn, etcd: Etcd) -> None:
    """Of which every member is always there."""
    process = spawn(*REGISTER, "--metadata-json", '{"a":[1]}', "-w", "json")
    process.wait_for_out('"registered"')
    process.signal(signal.SIGTERM)
    result = process.finish()

    assert result.err == ""
    granted, registered, left, revoked = changes(result.out)
    assert len({tuple(each) for each in (granted, registered, left, revoked)}) == 1
    lease = granted["lease"]
    expected: dict[str, Any] = {
        **{"type": "registered", "key": KEY, "key_base64": None, "addr": ADDR, "ttl": 0},
        **{"metadata": {"a": [1]}, "lease": lease, "holder": "0", "seconds": 0, "reason": ""},
    }
    assert abs(time.time() - _epoch(registered.pop("time"))) < 30
    assert registered.pop("revision") == etcd.revision() - 1
    assert registered == expected
    assert (granted["type"], granted["ttl"]) == ("granted", 10)
    assert (left["type"], left["key"], left["revision"]) == ("left", KEY, etcd.revision())
    assert (revoked["type"], revoked["lease"]) == ("revoked", lease)


def _epoch(text: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (
            "fields",
            r'"Type" : granted\n"Lease" : \d+\n"TTL" : 10\n\n'
            r'"Type" : registered\n"Key" : "svc/e1"\n"Addr" : "1.2.3.4:80"\n'
            r'"Metadata" : null\n"Revision" : \d+\n"Lease" : \d+\n\n',
        ),
        (
            "table",
            r"\d\d:\d\d:\d\d  granted     TTL\(10s\)  lease [0-9a-f]+\n"
            r"\d\d:\d\d:\d\d  registered  svc/e1  1.2.3.4:80  lease [0-9a-f]+\n",
        ),
    ],
)
def test_other_formats_say_the_same(spawn: Spawn, etcd: Etcd, name: str, expected: str) -> None:
    """Each at once, although nobody reads it on a terminal."""
    process = spawn(*REGISTER, "-w", name)
    process.wait_for_out(ADDR)
    wait_until(lambda: process.out.count("\n") >= expected.count("\\n"))

    assert re.fullmatch(expected, process.out), process.out


def test_a_file_of_endpoints_shares_one_lease(spawn: Spawn, etcd: Etcd, tmp_path: Path) -> None:
    """Text or JSON; OK is said once, when all are there."""
    file = tmp_path / "endpoints"
    file.write_text('# ours\nadd svc/e1 1:1 {"a":1}\nadd svc/ 2:2\nadd other/e3 3:3\n')
    process = spawn("lease-register", "-f", file)
    process.wait_for_out("OK\n")

    assert list(etcd.get("svc/")) == [b"svc/2:2", b"svc/e1"]
    assert {each.lease for each in etcd.entries("")} == {*etcd.leases()}
    process.signal(signal.SIGTERM)
    assert process.finish().out.count("OK\n") == 1
    assert etcd.get("") == {}

    lines = [{"op": "add", "key": f"svc/e{n}", "addr": f"{n}:{n}"} for n in range(200)]
    file.write_text("\n".join(map(json.dumps, lines)))
    process = spawn("lease-register", "-f", file, "-w", "json", "--target", "svc")
    wait_until(lambda: kinds(process.out).count("registered") == 200)
    assert len(etcd.get("svc/")) == 200


def test_a_key_that_ends_in_a_slash_is_completed(spawn: Spawn, etcd: Etcd) -> None:
    """And where servers listen is no address, which is said."""
    process = spawn("lease-register", "svc/", "--addr", "0.0.0.0:80")
    process.wait_for_out("OK\n")

    assert list(etcd.get("svc/")) == [b"svc/0.0.0.0:80"]
    assert process.err == (
        "Warning: 0.0.0.0:80: 0.0.0.0 is where servers listen, no client can dial it\n"
    )


def test_an_address_that_nobody_else_can_dial_is_refused(spawn: Spawn, etcd: Etcd) -> None:
    """This etcd is reached by 127.0.0.1."""
    result = spawn("lease-register", "svc/", "--addr", ":80").finish()

    assert (result.status, result.out) == (128, "")
    assert "write HOST:80, or 127.0.0.1:80" in result.err
    assert is_empty(etcd)


def test_a_reader_who_has_gone_is_the_end(shell: Shell, etcd: Etcd) -> None:
    """A quiet one; nothing stays registered."""
    script = f"etcdnaming {' '.join(REGISTER)} | true; echo ${{PIPESTATUS[0]}}"

    assert shell(script) == (0, "141\n", "")
    assert is_empty(etcd)


def test_a_full_disk_is_the_end(shell: Shell, etcd: Etcd) -> None:
    """And no success."""
    full = (6, "", "Error: stdout: No space left on device\n")

    assert shell(f"etcdnaming {' '.join(REGISTER)} > /dev/full") == full
    assert is_empty(etcd)


def test_without_a_stdout_nothing_is_registered(shell: Shell, etcd: Etcd) -> None:
    """What was done could not be said."""
    assert shell(f"etcdnaming {' '.join(REGISTER)} >&-") == (6, "", "Error: stdout: closed\n")
    assert is_empty(etcd)


def test_a_reader_who_is_stuck_does_not_make_it_deaf(etcd: Etcd, tmp_path: Path) -> None:
    """It ends as it is told to, although it can't say so."""
    file = tmp_path / "endpoints"
    file.write_text("".join(f"add svc/e{n} {n}:{n}\n" for n in range(500)))
    args = command("lease-register", "-f", file, "-w", "json", "--endpoints", etcd.endpoint)
    with subprocess.Popen(args, stdout=subprocess.PIPE) as process:
        wait_until(lambda: len(etcd.get("svc/")) == 500)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
        assert is_empty(etcd)


def test_before_etcd_was_ever_reached_it_ends_at_once(spawn: Spawn, etcd: Etcd) -> None:
    """There is nothing to leave."""
    process = spawn(*REGISTER, "--endpoints", "127.0.0.1:1", "--dial-timeout", "2s")
    process.wait_for_err("no etcd endpoint reached")
    begin = time.monotonic()
    process.signal(signal.SIGTERM)

    result = process.finish()
    assert (result.status, result.out) == (0, "")
    assert result.err.count("\n") == 1
    assert time.monotonic() - begin < 2
