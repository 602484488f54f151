"""`etcdnaming lease-register`: usage errors, found before anything is written or started."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from harness import Etcd, Run, Spawn
from harness.registering import ADDR, KEY, REGISTER, is_empty

RUNS = ["--", "sleep", "60"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "nothing to register: give a KEY, or a file of endpoints (-f)"),
        ([KEY], "--addr is missing: give the address for clients"),
        ([KEY, "--addr", ""], "the address is empty"),
        (["e1", "--addr", ADDR], "the key 'e1' needs one: write TARGET/NAME"),
        ([KEY, "--addr", ADDR, "sleep"], "put a command to run after --"),
        ([KEY, "--addr", ADDR, "--target", "other"], "prefixed with 'other/' got: 'svc/e1'"),
        (["svc/", "--addr", "unix:/x"], "the address 'unix:/x' has a '/'"),
        ([KEY, "--addr", ADDR, "--ttl", "0"], "a TTL is a whole number of seconds"),
        ([KEY, "--addr", ADDR, "--ttl", "1.5s"], "a TTL is a whole number of seconds"),
        ([KEY, "--addr", ADDR, "--on-lost", "cry"], "'cry' is not one of"),
        ([KEY, "--addr", ADDR, "--metadata", "a", "--metadata-json", "1"], "--metadata"),
        ([KEY, "--addr", ADDR, "--frob"], "No such option '--frob'"),
        ([KEY, "--addr", ADDR, "--start", "registered"], "--start needs a command: -- CMD"),
        ([KEY, "--addr", ADDR, "--drain", "1s"], "--drain needs a command: -- CMD"),
        ([KEY, "--addr", ADDR, "--drain", "-1s", *RUNS], "--drain"),
        ([KEY, "--addr", ADDR, "--stop-timeout", "0"], "--stop-timeout needs a command: -- CMD"),
        ([KEY, "--addr", ADDR, "--check-interval", "1s"], "--check-interval needs --check"),
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
            "--start registered and --check together would deadlock",
        ),
        ([KEY, "--addr", ADDR, "-f", "x"], "KEY and --file can't be combined"),
        (["-f", "/nonexistent"], "/nonexistent: No such file or directory"),
    ],
)
def test_lease_register_reports_wrong_usage_in_one_line(
    run: Run, etcd: Etcd, args: list[str | bytes], words: str
) -> None:
    """Nothing is written."""
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
    ],
)
def test_lease_register_reports_invalid_options_and_commands_before_it_starts(
    run: Run, etcd: Etcd, args: list[str], status: int, words: str
) -> None:
    """Each kind of error has its own exit code."""
    result = run(*args)

    assert (result.status, result.out) == (status, "")
    assert re.fullmatch(r"Error: [^\n]*\n", result.err)
    assert words in result.err
    assert is_empty(etcd)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("add svc/e1 1:1\ndel svc/e2\n", 'stdin:2: only "add" lines can be registered'),
        ("add svc/e1 1:1\nadd svc/ 2:2\nadd svc/e1 3:3\n", "stdin:3: duplicate key svc/e1"),
        ("add svc/2:2 1:1\nadd svc/ 2:2\n", "stdin:2: duplicate key svc/2:2"),
        ("add svc/e1 1:1 {x}\n", "stdin:1: not JSON"),
        ("# nothing\n", "stdin: no endpoints in the file"),
        ("", "stdin: no endpoints in the file"),
    ],
)
def test_lease_register_reports_errors_in_a_file_with_their_line(
    run: Run, etcd: Etcd, text: str, words: str
) -> None:
    """Nothing is written."""
    result = run("lease-register", "-f", "-", input=text)

    assert (result.status, result.out) == (3, "")
    assert result.err.startswith(f"Error: {words}")
    assert is_empty(etcd)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--dial-timeout", "x"], "--dial-timeout"),
        (["--cert", "x"], "cert and key go together: key is missing"),
        (["--password-file", "/nonexistent", "--user", "a"], "/nonexistent"),
    ],
)
def test_lease_register_reports_wrong_connection_settings_before_the_command_starts(
    spawn: Spawn, etcd: Etcd, args: list[str], words: str
) -> None:
    """Later they would not stop CMD."""
    result = spawn(*REGISTER, *args, "--", "echo", "ran").finish()

    assert (result.status, result.out) == (128, "")
    assert re.fullmatch(r"Error: [^\n]*\n", result.err)
    assert words in result.err


EXISTS = "the file exists and is not a ready file; remove it or choose another name"


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("{tmp}", EXISTS),
        ("{tmp}/pipe", EXISTS),
        ("{tmp}/link", EXISTS),
        ("{tmp}/nowhere", EXISTS),
        ("{tmp}/precious", EXISTS),
        ("/dev/null", EXISTS),
        ("/dev/stdout", EXISTS),
        ("{tmp}/none/ready", "the directory is missing or not writable"),
    ],
)
def test_ready_file_is_refused_when_another_file_exists(
    spawn: Spawn, etcd: Etcd, tmp_path: Path, file: str, words: str
) -> None:
    """The other file is neither removed nor changed; CMD does not run."""
    path = Path(file.format(tmp=tmp_path))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "stale").write_text("1\n")
    (tmp_path / "link").symlink_to("stale")
    (tmp_path / "nowhere").symlink_to("nonexistent")
    before = {*tmp_path.iterdir()}
    result = spawn(*REGISTER, "--ready-file", path, "--", "echo", "ran").finish()

    assert (result.status, result.out) == (128, "")
    assert result.err.startswith(f"Error: --ready-file {path}: {words} (see etcdnaming lease-")
    assert {*tmp_path.iterdir()} == before
    assert (tmp_path / "precious").read_text() == "precious"
    assert Path("/dev/null").is_char_device()
    assert is_empty(etcd)
