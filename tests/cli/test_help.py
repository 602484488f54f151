"""``--help``: each page begins with a sentence and an example, and the examples work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from harness import Etcd, Run, Shell, Terminal
from harness.ports import free_port

from etcdnaming.cli import cli
from etcdnaming.cli.commands import COMMANDS

CONTEXT = cli.make_context("etcdnaming", [], resilient_parsing=True)

HERE = """
etcdnaming txn-update - <<END
add foo/bar/svc/e1 1.2.3.4:80 {"zone":"a"}
END
"""
TWO = """
etcdnaming add foo/bar/svc/e1 --addr 1.2.3.4:80
etcdnaming add foo/bar/svc/e2 --addr 1.2.3.4:80
"""
OTHERS = """
etcdnaming add foo/bar/svc/e2 --addr 1.2.3.5:80
etcdnaming add foo/bar/svc/e3 --addr 1.2.3.6:80
"""

# etcd itself has the health service.
ITSELF = "etcdnaming add foo/bar/svc/e1 --addr $ETCDNAMING_ENDPOINTS"

# Commands to run before the example of a command.
BEFORE = {
    "check": ITSELF,
    **dict.fromkeys(("del", "drain", "undrain"), TWO),
    **dict.fromkeys(("apply", "diff", "export", "get", "list", "services", "set", "watch"), HERE),
    "wait": OTHERS,
}

# These print numbers that differ from run to run.
NUMBERED = ("check", "status", "version", "xds-bridge")

# The command in lease-register's example: it exits once the endpoint is registered.
SERVER = """#!/bin/sh
until etcdctl get --print-value-only foo/bar/svc/e1 | grep -q 10.0.0.1; do sleep 0.05; done
"""


def help_of(name: str) -> str:
    """Return the help of a command, or of the program if *name* is empty."""
    command = cli.get_command(CONTEXT, name) if name else cli
    assert command
    assert command.help
    return command.help


def examples(name: str) -> list[tuple[str, str]]:
    """Return each command line in the help of *name*, with the output that the help shows."""
    blocks = [each[2:] for each in help_of(name).split("\n\n") if each.startswith("\b\n")]
    line = re.compile(r"^\$ (.*<<END\n(?:.*\n)*?END|.*)\n", re.MULTILINE)
    found = [part for block in blocks for part in line.split(f"{block}\n")[1:]]
    return list(zip(found[::2], found[1::2], strict=True))


HELPS = """
import sys
from etcdnaming.cli import main
from etcdnaming.cli.commands import COMMANDS
for args in (["--help"], *([name, "--help"] for name in COMMANDS)):
    main(args)
"""


def test_help_is_complete_when_python_omits_docstrings() -> None:
    """Small container images set PYTHONOPTIMIZE=2."""
    in_full, optimized = (
        subprocess.run(
            [sys.executable, *options, "-c", HELPS], capture_output=True, check=True
        ).stdout
        for options in ([], ["-OO"])
    )

    assert optimized == in_full
    assert in_full.count(b"$ etcdnaming") > len(COMMANDS)


def test_help_has_one_line_for_each_command_on_80_columns() -> None:
    """Completion in zsh, which has six columns less for the sentences, cuts none."""
    name_width = max(map(len, COMMANDS))

    assert [each for each, (_, text) in COMMANDS.items() if name_width + len(text) > 71] == []


# The examples of completion have their own tests, as each is for one shell.
EXAMPLES = [
    (name, *example)
    for name in ["", *COMMANDS]
    for example in examples(name)
    if name != "completion"
]


def plain(text: str) -> str:
    """Return *text* with single blanks between columns and a placeholder for each ID."""
    return re.sub(r"\b[0-9a-f]{12,16}\b", "ID", re.sub(r"\t| {2,}", " ", text))


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_help_begins_with_a_sentence_and_an_example(name: str) -> None:
    """More details follow."""
    sentence, example, *_ = help_of(name).split("\n\n")

    assert re.fullmatch(r"[A-Z][^.]*\.", sentence)
    assert re.match("\b\n[$] (etcdnaming|eval) ", example)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_refers_to_the_global_options_when_the_command_accepts_them(
    run: Run, name: str
) -> None:
    """The sandbox, for instance, refuses ``--user``."""
    page = run(name, "--help").out

    asks_etcd = name not in ("xds-bootstrap", "sandbox", "completion")
    assert (
        page.endswith("Global options (--endpoints, --user, -w, ...): etcdnaming --help\n")
        is asks_etcd
    )


def test_help_examples_print_the_output_they_show(etcd: Etcd, shell: Shell, tmp_path: Path) -> None:
    """Output in the help that ends in "..." is the beginning of the real output."""
    server = tmp_path / "server"
    server.write_text(SERVER)
    server.chmod(0o755)
    before = ""
    for name, command, printed in EXAMPLES:
        if name != before:
            etcd.empty()
            assert shell(BEFORE.get(name, "true")).err == ""
            before = name
        script = {"watch": ended, "xds-bridge": interrupted}.get(name, as_shown)(command, printed)
        result = shell(f"cd {tmp_path}; exec 2>&1\n{script}")
        shown = comparable(name, printed).removesuffix("...\n")
        assert comparable(name, result.out).startswith(shown), (command, result.out)

    assert (tmp_path / "endpoints.json").read_text().startswith('{"revision":')


def as_shown(command: str, printed: str) -> str:
    """Return *command*, which ends by itself."""
    return command


def interrupted(bridge: str, printed: str) -> str:
    """Return a script that interrupts the command *bridge*; it listens on a free port."""
    return f"timeout --signal=INT 10 {bridge} --listen 127.0.0.1:{free_port()}"


def ended(watch: str, printed: str) -> str:
    """Return a script that runs the command *watch* until it has printed or written its output."""
    if printed:
        return f"{watch} | head -{len(printed.splitlines())}"
    return f"{watch} & until [ -s endpoints.json ]; do sleep 0.05; done; kill $!"


def comparable(name: str, text: str) -> str:
    """Return *text* in the form that is compared."""
    return re.sub(r"\d[\d.]*( [kM]B)?", "N", plain(text)) if name in NUMBERED else plain(text)


def test_help_example_of_completion_works_in_bash(shell: Shell) -> None:
    """The test runs the example in bash."""
    (in_bash, _), _ = examples("completion")

    assert "-F _etcdnaming etcdnaming" in shell(f"{in_bash}; complete -p etcdnaming").out


def test_help_example_of_completion_works_in_fish(shell: Shell) -> None:
    """The test runs the example in fish."""
    if not shutil.which("fish") and "CI" not in os.environ:
        pytest.skip("no fish here")  # a developer may have none; .ci/run brings it
    _, (in_fish, _) = examples("completion")

    asked = f"{in_fish}; complete --do-complete 'etcdnaming wai'"
    assert shell(f'fish --private -c "{asked}"').out.startswith("wait\t")


@pytest.mark.parametrize("columns", ["0", None])
def test_help_is_as_wide_as_in_a_pipe_when_the_terminal_size_is_unknown(
    run: Run, terminal: Terminal, columns: str | None
) -> None:
    """The terminals of docker, expect and serial lines report 0."""
    screen = terminal("list", "--help", size=(0, 0), env={"COLUMNS": columns})
    screen.expect(pexpect.EOF)

    assert str(screen.before).replace("\r\n", "\n") == run("list", "--help").out
