"""Exit codes: one for each kind of error, and the error in one line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from harness import Certificates, Etcd, Result, Run, Spawn
from harness.auth import READER, READER_NEEDS
from harness.cli import Word

import etcdnaming.cli
from etcdnaming import errors
from etcdnaming.cli import failures

# An error that is not in this table has the code of its base class.
CODES = {
    "AuthenticationError": 2,
    "CommandNotFoundError": 127,
    "CommandNotRunError": 126,
    "ConditionFailedError": 8,
    "ConflictError": 8,
    "ConnectionFailedError": 2,
    "EtcdnamingError": 1,
    "EndpointNotFoundError": 7,
    "InputError": 3,
    "InvalidEndpointError": 128,
    "InvalidKeyError": 128,
    "InvalidSettingError": 128,
    "InvalidTargetError": 128,
    "InvalidValueError": 3,
    "LeaseLostError": 5,
    "NotFoundError": 7,
    "NotNowError": 2,
    "NotServingError": 1,
    "OutputError": 6,
    "TimedOutError": 124,
    "TooManyOperationsError": 128,
    "UnsupportedFormatError": 4,
    "WatchCanceledError": 5,
}


def kinds() -> Iterator[type[Exception]]:
    """Yield all public error classes, without the one that only passes its cause on."""
    for module in (errors, failures):
        for name in module.__all__:
            if name.endswith("Error") and name != "DiffFailedError":
                yield getattr(module, name)


def an(kind: type[Exception]) -> Exception:
    """Return an error of *kind* with a message, without calling its constructor."""
    error = kind.__new__(kind)
    error.args = ("it\nwent \x1b[31mwrong",)
    return error


@pytest.mark.parametrize("kind", [*kinds()], ids=lambda kind: kind.__name__)
def test_every_error_has_its_code_and_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    """Line ends and escape codes in the message are escaped."""

    def fail(_: list[str]) -> int:
        raise an(kind)

    monkeypatch.setattr(etcdnaming.cli, "_run", fail)

    code = next(CODES[base.__name__] for base in kind.__mro__ if base.__name__ in CODES)
    result = run()
    assert (result.status, result.out) == (code, "")
    assert result.err.startswith("Error: it\\nwent \\x1b[31mwrong")  # a hint may follow
    assert result.err.count("\n") == 1


def test_traceback_has_no_escape_codes(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message of the exception may quote a value from etcd."""

    def fail(_: list[str]) -> int:
        raise ZeroDivisionError("\x1b[2J\x9b")

    monkeypatch.setattr(etcdnaming.cli, "_run", fail)

    assert "\nZeroDivisionError: \\x1b[2J\\xc2\\x9b\n" in run().err


def test_bug_prints_a_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The traceback is needed for the bug report."""

    def fail(_: list[str]) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(etcdnaming.cli, "_run", fail)
    result = run()

    assert (result.status, result.out) == (1, "")
    assert result.err.startswith("Traceback (most recent call last):\n")
    assert result.err.endswith("\nError: this is a bug in etcdnaming, please report it\n")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["lst"], "No such command 'lst'. Did you mean 'list'? (see etcdnaming --help)"),
        (["zzz"], "No such command 'zzz' (see etcdnaming --help)"),
        (["--frob"], "No such option --frob (see etcdnaming --help)"),
        (["list", "--frob"], "No such option --frob (see etcdnaming list --help)"),
        (["add"], "Missing argument 'KEY' (see etcdnaming add --help)"),
        (["add", "svc/e1"], "Missing option '--addr' (see etcdnaming add --help)"),
        (
            ["completion"],
            (
                "Missing argument '{bash|zsh|fish}'. Choose from: bash, zsh, fish "
                "(see etcdnaming completion --help)"
            ),
        ),
        (
            ["wait", "svc", "\x1b[31m"],
            "Got unexpected extra argument (\\x1b[31m) (see etcdnaming wait --help)",
        ),
    ],
)
def test_usage_error_is_one_line(run: Run, args: list[str], message: str) -> None:
    """A page of help would hide the message."""
    result = run(*args)

    assert (result.status, result.out) == (128, "")
    # Newer versions of click quote an option, older ones put a colon before it.
    assert re.sub(r"option:? '?--frob'?", "option --frob", result.err) == f"Error: {message}\n"


@pytest.mark.parametrize("args", [[], ["--help"], ["-h"], ["--debug"]])
def test_help_is_printed_with_exit_code_zero(run: Run, args: list[str]) -> None:
    """As in etcdctl, a command line without a command prints the help, too."""
    result = run(*args)

    assert (result.status, result.err) == (0, "")
    assert result.out.startswith("Usage: etcdnaming ")


@pytest.mark.parametrize("format", ["YAML", "TABLE", "protobuf"])
def test_unsupported_format_is_refused_before_anything_is_sent(
    run: Run, etcd: Etcd, format: str
) -> None:
    """etcdctl fails only after the put."""
    hint = "; use json for machines" if format == "protobuf" else ""
    message = (
        f"Error: unsupported output format '{format}': "
        f"%s takes fields, json, simple, table, yaml{hint}\n"
    )
    variable = "ETCDCTL_WRITE_OUT"

    assert run("add", "svc/e1", "--addr", "1:1", "-w", format) == Result(
        4, "", message % "--write-out"
    )
    assert run("list", "svc", env={variable: format}) == Result(4, "", message % variable)
    assert etcd.get("") == {}


def test_empty_format_means_the_default(run: Run) -> None:
    """`-w ""` comes from a variable that is not set."""
    assert run("list", "svc", "-w", "") == Result(0, "", "")


def test_connection_error_names_every_endpoint(run: Run) -> None:
    """It is one line, within the dial timeout."""
    result = run("list", "svc", "--endpoints=127.0.0.1:1,127.0.0.1:2", "--dial-timeout=500ms")

    assert (result.status, result.out) == (2, "")
    assert result.err == (
        "Error: no etcd endpoint reached within 0.5s: "
        "127.0.0.1:1: connection refused; 127.0.0.1:2: connection refused\n"
    )


def test_wrong_password_fails_without_a_retry(auth_etcd: Callable[..., Etcd]) -> None:
    """A retry would not help."""
    etcd = auth_etcd()

    result = Run(etcd.endpoint)("list", "svc", "--user", "root:wrong")

    message = f"{etcd.endpoint}: etcdserver: authentication failed, invalid user ID or password"
    assert result == Result(2, "", f"Error: {message}\n")


def test_missing_user_has_its_own_message(auth_etcd: Callable[..., Etcd]) -> None:
    """It differs from that of a user without the permission."""
    etcd = auth_etcd()
    run = Run(etcd.endpoint)

    alone = run("list", "svc")
    reader = run("list", "other", "--user", READER)

    assert (alone.status, reader.status) == (2, 1)
    assert "set --user" in alone.err
    assert reader.err == f"{READER_NEEDS} read permission on the prefix other/\n"


def test_each_tls_failure_has_its_own_message(
    secure_etcd: Callable[..., Etcd], certificates: Certificates, etcd: Etcd, spawn: Spawn
) -> None:
    """The operator sees which it is, and no log lines of gRPC."""
    secure = secure_etcd(mutual=True)

    def run(*args: Word) -> Result:
        return spawn(*args, env={"ETCDNAMING_ENDPOINTS": secure.endpoint}).finish()

    ours: list[Word] = ["--cert", certificates.client.cert, "--key", certificates.client.key]
    trust: list[Word] = ["--cacert", certificates.ca]
    ways = {
        "works": run("list", "svc", *trust, *ours),
        "plain to TLS": run("list", "svc", "--dial-timeout=1s"),
        "TLS to plain": run("list", "svc", *trust, "--endpoints", etcd.endpoint),
        "wrong CA": run("list", "svc", "--cacert", certificates.other_ca, *ours),
        "no certificate": run("list", "svc", *trust),
    }

    assert {way: result.status for way, result in ways.items()} == {
        "works": 0,
        "plain to TLS": 2,
        "TLS to plain": 2,
        "wrong CA": 2,
        "no certificate": 2,
    }
    messages = [result.err.rpartition(": ")[2] for result in ways.values()]
    assert len(set(messages)) == len(messages)
    assert all(result.err.count("\n") <= 1 for result in ways.values())
