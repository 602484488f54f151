"""`etcdnaming lease-register`: what it registers, what it says, and how it ends without CMD."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest
from harness import TIMEOUT, Etcd, Result, Run, Shell, Spawn, wait_until
from harness.process import command
from harness.registering import ADDR, KEY, REGISTER, VALUE, changes, is_empty, kinds


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

    lease = f"{entry.lease:016x}"
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
    what = {"type": "registered", "key": KEY, "key_base64": None, "lease": lease, "holder": "0"}
    facts = {"addr": ADDR, "metadata": {"a": [1]}, "ttl": 0, "seconds": 0, "reason": ""}
    assert abs(time.time() - _epoch(registered.pop("time"))) < 30
    assert registered.pop("revision") == etcd.revision() - 1
    assert registered == {**what, **facts}
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
            (
                r'"Type" : granted\n"Lease" : \d+\n"TTL" : 10\n\n'
                r'"Type" : registered\n"Key" : "svc/e1"\n"Addr" : "1.2.3.4:80"\n'
                r'"Metadata" : null\n"Revision" : \d+\n"Lease" : \d+\n\n'
            ),
        ),
        (
            "table",
            (
                r"\d\d:\d\d:\d\d  granted     TTL\(10s\)  lease [0-9a-f]+\n"
                r"\d\d:\d\d:\d\d  registered  svc/e1  1.2.3.4:80  lease [0-9a-f]+\n"
            ),
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

    lines = [{"op": "add", "key": f"svc/e{n}", "addr": f"{n}:{n}"} for n in range(1, 201)]
    file.write_text("\n".join(map(json.dumps, lines)))
    process = spawn("lease-register", "-f", file, "-w", "json", "--target", "svc")
    wait_until(lambda: kinds(process.out).count("registered") == 200)
    assert len(etcd.get("svc/")) == 200


def test_lease_register_warns_once_of_an_address_without_a_port(spawn: Spawn, etcd: Etcd) -> None:
    """On the command line and in a file."""
    process = spawn("lease-register", "svc/e1", "--addr", "localhost")
    process.wait_for_out("OK\n")
    assert process.err == "Warning: the address 'localhost' has no port: write localhost:PORT\n"


def test_lease_register_refuses_an_address_in_a_file_that_no_client_can_dial(
    spawn: Spawn, run: Run, etcd: Etcd, tmp_path: Path
) -> None:
    """It names the line; forced, it is registered with a warning."""
    file = tmp_path / "endpoints"
    file.write_text("add svc/e1 1:1\nadd svc/e2 http://a:1\n")
    reason = "the address 'http://a:1' is a URL: write HOST:PORT"

    refused = f"Error: {file}:2: {reason}; --force stores it anyway\n"
    assert run("lease-register", "-f", file) == Result(3, "", refused)
    assert etcd.get("") == {}
    process = spawn("lease-register", "-f", file, "--force")
    process.wait_for_out("OK\n")
    assert list(etcd.get("")) == [b"svc/e1", b"svc/e2"]
    assert process.err == f"Warning: {reason}\n"


def test_a_key_that_ends_in_a_slash_is_completed(spawn: Spawn, etcd: Etcd) -> None:
    """And where servers listen is no address, which is said."""
    process = spawn("lease-register", "svc/", "--addr", "0.0.0.0:80")
    process.wait_for_out("OK\n")

    assert list(etcd.get("svc/")) == [b"svc/0.0.0.0:80"]
    assert process.err == (
        "Warning: 0.0.0.0:80: servers listen on 0.0.0.0, but clients can't dial it\n"
    )


def test_an_address_that_nobody_else_can_dial_is_refused(spawn: Spawn, etcd: Etcd) -> None:
    """Here etcd is reached by 127.0.0.1."""
    result = spawn("lease-register", "svc/", "--addr", ":80").finish()

    assert (result.status, result.out) == (128, "")
    assert "use HOST:80, or 127.0.0.1:80" in result.err
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
    file.write_text("".join(f"add svc/e{n} {n}:{n}\n" for n in range(1, 501)))
    args = command("lease-register", "-f", file, "-w", "json", "--endpoints", etcd.endpoint)
    with subprocess.Popen(args, stdout=subprocess.PIPE) as process:
        wait_until(lambda: len(etcd.get("svc/")) == 500)
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT) == 0
        assert is_empty(etcd)


def test_before_etcd_was_ever_reached_it_ends_at_once(spawn: Spawn, etcd: Etcd) -> None:
    """There is nothing to leave."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"127.0.0.1:{silent.getsockname()[1]}"
        process = spawn(*REGISTER, "--endpoints", endpoint, "--dial-timeout", "1h")
        with silent.accept()[0]:
            process.signal(signal.SIGTERM)

            assert process.finish() == (0, "", "")
