"""Startup time: --help and completion import no heavy modules."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest
from harness import Etcd
from harness.environment import Changes, pointing_at

from etcdnaming.cli import cli
from etcdnaming.cli.commands import COMMANDS

HEAVY = {
    "asyncio",
    "dataclasses",
    "google.protobuf",
    "grpc",
    "importlib.metadata",
    "logging",
    "msgspec",
    "rich",
}

SHOW = """
import sys
from etcdnaming.cli import main
status = main(sys.argv[1:])
print(status, *sys.modules, file=sys.stderr)
"""


def imported(*args: str, env: Changes | None = None, endpoints: str = "127.0.0.1:1") -> set[str]:
    """Return the modules of `HEAVY` that a command line imports."""
    done = subprocess.run(
        [sys.executable, "-c", SHOW, *args],
        env=pointing_at(endpoints, env),
        capture_output=True,
        text=True,
        check=True,
    )
    return HEAVY & set(done.stderr.splitlines()[-1].split())


@pytest.fixture(scope="module")
def of_grpc() -> set[str]:
    """
    Return the modules of `HEAVY` that gRPC imports, in any program.

    From Python 3.14 on, asyncio imports dataclasses.
    """
    show = "import sys, grpc, google.protobuf; print(*sys.modules)"
    return HEAVY & set(subprocess.check_output([sys.executable, "-c", show], text=True).split())


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--help"],
        ["--version"],
        *([name, "--help"] for name in COMMANDS),
        ["lst"],
        ["list"],
        ["--frob"],
        ["add", "svc/e1"],
        ["add", "svc/e1", "--addr", "1:1", "--lease", "x"],
        ["list", "/"],
        ["completion", "bash"],
    ],
    ids=" ".join,
)
def test_help_and_usage_errors_import_no_heavy_module(args: list[str]) -> None:
    """They need neither gRPC nor rich, nor smaller modules that are slow to import."""
    assert imported(*args) == set()


@pytest.mark.parametrize(
    "line",
    ["", "li", "list --", "-w ", "-w j", "list --consistency ", "txn-update x", "--cacert x"],
)
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_without_etcd_imports_no_heavy_module(shell: str, line: str) -> None:
    """Commands, options and file names are completed without etcd."""
    words = ["etcdnaming", *line.split(" ")]
    asked = {
        "_ETCDNAMING_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }

    assert imported(env=asked) == set()


@pytest.mark.parametrize(
    "args",
    [
        ["add", "svc/e1", "--addr", "1:1"],
        ["del", "svc/e1"],
        ["txn-update", "--add", "svc/e1=1:1"],
        ["list", "svc", "--count-only"],
        ["list", "svc", "--keys-only"],
    ],
    ids=" ".join,
)
def test_rich_is_not_imported_without_a_table(
    etcd: Etcd, of_grpc: set[str], args: list[str]
) -> None:
    """Neither is the fast JSON parser, as nothing is parsed."""
    found = imported(*args, endpoints=etcd.endpoint)

    assert {"grpc", "google.protobuf"} <= found
    assert found <= of_grpc


def test_main_module_imports_nothing_before_main_runs() -> None:
    """Until then Ctrl-C prints a traceback."""
    show = "import sys; print(*sys.modules)"
    before, after = (
        set(subprocess.check_output([sys.executable, "-c", code], text=True).split())
        for code in (show, f"import etcdnaming.__main__; {show}")
    )

    assert after - before <= {"__future__", "etcdnaming", "etcdnaming.__main__"}


def test_summary_is_the_same_in_the_list_and_in_the_command() -> None:
    """The list of commands is printed without importing any of them."""
    context = cli.make_context("etcdnaming", [], resilient_parsing=True)
    for name, (module, summary) in COMMANDS.items():
        command = cli.get_command(context, name)

        assert command is import_module(module).command
        assert command.help
        assert command.help.startswith(summary.removesuffix("."))
        assert "\b\n$ " in command.help, f"{name} has no example"
