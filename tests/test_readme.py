"""The examples in README.md work as they are shown."""

from __future__ import annotations

import re
from contextlib import ExitStack
from pathlib import Path

from harness import Shell
from harness.etcd import Etcd
from harness.go import MODULES

import etcdnaming
from etcdnaming.cli.commands import COMMANDS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
GO_S_VALUE = b'{"Op":0,"Addr":"1.2.3.4:80","Metadata":null}'


def transcripts(language: str) -> list[str]:
    """Return the code blocks of *language*, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def commands(transcript: str) -> list[tuple[str, str]]:
    """Return each command with its output; a status other than 0 is shown in brackets."""
    parts = re.split(r"^\$ (.*)\n", transcript, flags=re.MULTILINE)[1:]
    return list(zip(parts[::2], parts[1::2], strict=True))


def test_readme_transcripts_match_the_real_output(etcd: Etcd, shell: Shell) -> None:
    """The commands are run in order on an empty etcd, as by a reader."""
    shown = [command for block in transcripts("console") for command in commands(block)]
    assert len(shown) > 10
    for command, printed in shown:
        status = f'{command}\nstatus=$?; [ $status = 0 ] || echo "[$status]"'
        result = shell(f"exec 2>&1; {status}")
        assert (command, result.out) == (command, printed)


def test_add_stores_the_same_bytes_as_the_etcdctl_command_in_the_readme(
    etcd: Etcd, shell: Shell
) -> None:
    """The other commands in that table exist."""
    table = README.partition("| with etcdctl | with etcdnaming |\n")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(etcdctl .*?)`.* \| `(etcdnaming .*?)`", table, re.MULTILINE)
    stored = []
    for command in rows[0]:
        etcd.empty()
        assert shell(command) == (0, "OK\n", "")
        stored.append(etcd.get(""))

    assert stored[0] == stored[1] == {b"foo/bar/svc/e1": GO_S_VALUE}
    assert len(rows) == len(table.splitlines()) - 1
    assert {command.split()[1] for _, command in rows} < {*COMMANDS}


def test_readme_table_for_go_users_has_python_that_runs(etcd: Etcd) -> None:
    """The right column is executed, line by line."""
    table = README.partition("| Go | Python |\n")[2].partition("\n\n")[0]
    lines = re.findall(r"\| `([^`]*)` \|$", table, re.MULTILINE)
    assert len(lines) == len(table.splitlines()) - 1
    known = {name: getattr(etcdnaming, name) for name in etcdnaming.__all__}

    with ExitStack() as stack:
        for line in lines:
            exec(line.replace("127.0.0.1:2379", etcd.endpoint), known)  # noqa: S102 - it is ours
            for name in {"client", "changes", "conn"} & known.keys():
                stack.callback(known[name].close)

    assert known["found"] == {"foo/bar/svc/e1": etcdnaming.Endpoint("1.2.3.4:80")}


def test_readme_guarantees_name_test_files_that_exist() -> None:
    """The names are in the table of the section "Guarantees"."""
    table = README.partition("\n## Guarantees\n")[2].partition("\n## ")[0]
    named = re.findall(r"`(tests/[^`]*)`", table)

    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_readme_example_of_the_library_runs(etcd: Etcd) -> None:
    """Only the address of etcd is replaced."""
    [program] = transcripts("python")
    exec(compile(program.replace("127.0.0.1:2379", etcd.endpoint), "README.md", "exec"), {})  # noqa: S102 - it is ours
    assert etcd.get("foo/") == {b"foo/bar/svc/e1": b'{"Op":0,"Addr":"1.2.3.5:80","Metadata":null}'}


def test_readme_table_of_tested_versions_has_the_versions_that_are_tested() -> None:
    """A new version of etcd or of Go's client needs a new run of the tests."""
    table = README.partition("<!-- written by tools/tried.py -->\n")[2].partition("<!-- until")[0]
    modules = sorted((Path(__file__).parent / "interop" / "servers").glob("*/go.mod"))
    servers = [re.findall(r"etcd/server/v3 v(\S+)", module.read_text())[0] for module in modules]
    assert table.splitlines()[0] == f"| tried against etcd | 3.4 | 3.5.1 | {' | '.join(servers)} |"
    assert all(f"| Go's client/v3 {version} | ✓ |" in table for version in MODULES)
