"""The files that tools/ generates match the program."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from harness import Etcd, Run
from harness.environment import cleaned, pointing_at

from etcdnaming.cli import STATUS
from etcdnaming.cli.commands import COMMANDS
from etcdnaming.cli.output import grid, live_picture, spelling, table
from etcdnaming.cli.settings import GLOBAL_OPTIONS, SETTINGS
from etcdnaming.registration.status import Kind

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "man").glob("man?/*"))


def files(directory: Path) -> dict[str, str]:
    """Return the text of each file in *directory*, by its path."""
    found = (path for path in directory.rglob("*") if path.is_file())
    return {str(path.relative_to(directory)): path.read_text() for path in found}


@pytest.mark.parametrize("name", ["man", "completions"])
def test_generated_files_are_current(name: str, tmp_path: Path) -> None:
    """If not, `make generate` was forgotten."""
    subprocess.run([sys.executable, ROOT / "tools" / f"{name}.py", tmp_path], check=True)

    assert files(ROOT / name) == files(tmp_path)


def test_broken_promise_of_speed_is_explained() -> None:
    """Each bold row of results.md has a section in floors.md that begins with what was measured."""
    results = (ROOT / "benchmarks" / "results.md").read_text()
    broken = re.findall(r"^\| ([^|]+) \|.*\| \*\*", results, re.MULTILINE)
    floors = re.findall(r"^## (.+)$", (ROOT / "benchmarks" / "floors.md").read_text(), re.MULTILINE)

    assert [each for each in broken if not any(line.startswith(each) for line in floors)] == []


def test_every_command_has_a_man_page() -> None:
    """The program and the formats have one, too."""
    commands = {f"etcdnaming-{name}.1" for name in COMMANDS}

    assert {page.name for page in PAGES} == {*commands, "etcdnaming.1", "etcdnaming-format.7"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_man_page_has_no_roff_warnings_and_fits_80_columns(page: Path) -> None:
    """The first section of a page is NAME, and its last one is SEE ALSO."""
    done = subprocess.run(
        ["man", "--warnings", "--local-file", page],
        env=pointing_at("", {**cleaned(), "MANWIDTH": "80", "MAN_KEEP_FORMATTING": None}),
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr == ""
    assert [line for line in done.stdout.splitlines() if len(line) > 80] == []
    sections = re.findall(r"^([A-Z][A-Z ]+)$", done.stdout, re.MULTILINE)
    assert sections[0] == "NAME"
    assert sections[-1] == "SEE ALSO"


def test_man_page_names_each_environment_variable() -> None:
    """A setting that can't be a variable is shown as a flag only."""
    page = (ROOT / "man" / "man1" / "etcdnaming.1").read_text()
    for setting in SETTINGS:
        shown = setting.flag.replace("-", r"\-")
        assert shown in page
        for prefix in ("ETCDNAMING_", "ETCDCTL_"):
            assert (setting.variable(prefix) in page) is not bool(setting.refusal)


def test_readme_table_has_every_exit_code() -> None:
    """The man page takes its table from README.md."""
    rows = re.findall(r"^\| ([\d, ]+) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    reported = {int(number) for row in rows for number in row.split(",")}

    assert reported == {0, 1, *(status for _, status in STATUS)}


def written_in(picture: Path) -> list[str]:
    """Return all texts in an SVG file."""
    return re.findall(r"<text[^>]*>(.*?)</text>", picture.read_text())


def test_pictures_show_the_current_output(tmp_path: Path) -> None:
    """If not, `make pictures` was forgotten. Only texts are compared: the drawing is rich's."""
    subprocess.run([sys.executable, ROOT / "tools" / "pictures.py", tmp_path], check=True)

    for name in ("list.svg", "watch.svg"):
        assert f"](pictures/{name})" in (ROOT / "README.md").read_text()
        assert written_in(ROOT / "pictures" / name) == written_in(tmp_path / name)


def documents(text: str) -> list[Any]:
    """Return the JSON objects in *text*, with all IDs and revisions replaced by 0."""
    decoder = json.JSONDecoder(object_pairs_hook=masked)
    found = []
    while text := text.lstrip():
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:]
    return found


def masked(members: list[tuple[str, Any]]) -> list[tuple[str, Any]]:
    """Return *members* in their order, with the values that differ between runs replaced by 0."""
    return [(name, 0 if re.search("revision|_id$|raft_term", name) else it) for name, it in members]


def test_format_page_shows_what_the_program_prints(run: Run, etcd: Etcd) -> None:
    """Every member is compared, and the files it shows can be read by the program."""
    page = (ROOT / "tools" / "format.md").read_text()
    value, file, objects, header, endpoint, invalid, events = re.findall(
        r"^```\n(.*?)^```$", page, re.DOTALL | re.MULTILINE
    )
    assert run("txn-update", "-", input=file).out == "SUCCESS\n"
    assert run("txn-update", "-", "--dry-run", input=objects).status == 0
    assert (
        etcd.get("foo/bar/svc/e2")[b"foo/bar/svc/e2"].decode() == value.replace(".4:", ".5:")[:-1]
    )

    etcd.put("foo/bar/svc/e2", "x")
    [(_, answered), *_, (_, endpoints), (_, bad)] = documents(
        run("list", "foo/bar/svc", "-w", "json").out
    )[0]
    assert [answered] == documents(header)
    assert endpoints == documents(endpoint)
    assert bad == documents(invalid)
    first = run("watch", "foo/bar/svc", "-w", "json", "--timeout", "300ms").out
    since = str(etcd.revision() + 1)
    run("del", "foo/bar/svc/e1")
    then = run("watch", "foo/bar/svc", "-w", "json", "--rev", since, "--count", "1").out
    assert documents(first + then) == documents(events)


MORE = sorted((ROOT / "tools" / "man").glob("*.md"))


def documented(name: str, section: str) -> list[str]:
    """Return the terms of *section* in what only the man page of *name* has."""
    text = (ROOT / "tools" / "man" / f"{name}.md").read_text()
    found = text.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return re.findall(r"^- `([^`]+)`: ", found, re.MULTILINE)


def test_man_page_of_every_command_has_more_than_its_help() -> None:
    """Exit codes at least."""
    assert {each.stem for each in MORE} == {"etcdnaming", *COMMANDS}
    for name in COMMANDS:
        assert documented(name, "EXIT STATUS"), name


@pytest.mark.parametrize("name", COMMANDS)
def test_man_page_names_flags_of_its_command_only(name: str) -> None:
    """Examples may have another command; what is said of etcd's own flags is left out."""
    command: click.Command = import_module(COMMANDS[name][0]).command
    known = {flag for each in (*command.params, *GLOBAL_OPTIONS) for flag in each.opts}
    text = (ROOT / "tools" / "man" / f"{name}.md").read_text().partition("## EXAMPLES")[0]

    assert {*re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)} - {"--max-txn-ops"} <= known


def test_man_pages_name_exit_codes_of_the_table_only() -> None:
    """Those of README.md, or those of the command that is run."""
    known = {"0", "1", "137", *(str(status) for _, status in STATUS)}
    for name in COMMANDS:
        for term in documented(name, "EXIT STATUS"):
            assert (
                term in {"exit code of CMD", "other", "128+n"} or set(term.split(", ")) <= known
            ), (name, term)


def test_man_pages_name_the_columns_of_the_tables() -> None:
    """All of them, in their order."""
    assert documented("list", "COLUMNS") == [*grid.ENDPOINTS, *grid.KEYS]
    assert documented("watch", "COLUMNS") == [*filter(None, live_picture.HEADER)]
    assert documented("check", "COLUMNS") == [*table.HEALTH]
    assert documented("status", "COLUMNS") == [*spelling.STATUS]
    assert documented("apply", "COLUMNS") == [*table.WATCH_CHANGES]


def test_man_page_names_the_facts_of_an_endpoint(run: Run) -> None:
    """Those of `get`, in their order."""
    run("add", "svc/e1", "--addr", "1.2.3.4:80")
    shown = run("get", "svc/e1", "-w", "table").out
    names = [re.split("  +", line)[0].strip() for line in shown.splitlines()]
    assert documented("get", "COLUMNS") == names


def test_man_page_names_the_states_of_a_registration() -> None:
    """As the lines of `lease-register` begin, and the types of its objects."""
    assert terms("lease-register", "STATES") == {
        *("registered", "draining", "unhealthy", "healthy", "deregistered", "lost", "regained")
    }
    types = {*get_args(Kind), "healthy", "unhealthy", "metrics"}
    assert terms("lease-register", "TYPES OF CHANGES") == types


def terms(name: str, section: str) -> set[str]:
    """Return the words that a section of a man page explains, one or several at a time."""
    return {each for term in documented(name, section) for each in term.split(", ")}
