"""Which way the arrows point: who may import what, as CONTRIBUTING.md says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
PACKAGE = TOP / "etcdnaming"

# Who may import it, by the beginning of its path.
DOORS = {
    "click": ("cli/",),
    "grpc": ("etcd/", "resolver/", "aio/", "probing.py", "xds/bridge/"),
    "prometheus_client": ("xds/bridge/metrics.py",),
    "rich": ("cli/output/",),
    "logging": ("log.py", "cli/commands/xds_bridge.py"),
    "msgspec": ("wire/decoding.py", "wire/json_rewriter.py"),
    "etcdnaming.cli": ("cli/", "__main__.py"),
    "etcdnaming.etcd.rpc_pb2": ("etcd/", "endpoints/", "registration/asking.py"),
    "etcdnaming.xds.xds_pb2": ("xds/",),
}

# What a room of the core may know of the others.
KNOWS: dict[str, set[str]] = {
    "errors.py": {"model"},
    "model.py": set(),
    "printable.py": set(),
    "log.py": {"printable"},
    "addresses.py": {"errors", "log"},
    "keys.py": {"errors"},
    "wire/": {"errors", "model", "wire"},
    "endpoints/": {"addresses", "endpoints", "errors", "etcd", "keys", "model", "wire"},
    "forking.py": set(),
    "etcd/": {"errors", "etcd", "forking", "log", "model"},
    "process/": {"process"},
    "probing.py": set(),
    "xds/": {"addresses", "errors", "etcd", "keys", "model", "resolver", "endpoints", "xds"},
}


# The floors of the command line, the lowest first: a floor imports only lower ones.
FLOORS = (
    "failures",
    "files",
    "signals",
    "stderr",
    "system_errors",
    "child",
    "output",
    "parsing",
    "settings",
    "click_extension",
    "completion",
    "options",
    "debugging",
    "app",
    "updates",
    "following",
    "entrypoint",
    "commands",
    "",  # the package itself, which has the exit codes
)


def files() -> Iterator[str]:
    """Yield the path of every module, below the package."""
    for file in sorted(PACKAGE.rglob("*.py")):
        yield file.relative_to(PACKAGE).as_posix()


def imported(path: str) -> set[str]:
    """Return the full names of what the module at *path* imports, at any time."""
    return names_imported(path, (PACKAGE / path).read_text("utf-8"))


def names_imported(path: str, text: str) -> set[str]:
    """Return the full names of what *text*, as the module at *path*, would import."""
    return {aliases().get(name, name) for name in raw_names(path, text)}


def raw_names(path: str, text: str) -> Iterator[str]:
    """Yield the names that *text* imports, as it spells them, but in full."""
    package = ["etcdnaming", *Path(path).parent.parts]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{module}.{alias.name}" for alias in node.names)


@cache
def aliases() -> dict[str, str]:
    """Return the modules that a package offers under another name, such as ``etcd.rpc``."""
    found: dict[str, str] = {}
    for path in filter(lambda path: path.endswith("__init__.py"), files()):
        package = ".".join(["etcdnaming", *Path(path).parent.parts])
        for node in ast.walk(ast.parse((PACKAGE / path).read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.level == 1:
                module = ".".join(filter(None, [package, node.module]))
                found |= {
                    f"{package}.{alias.asname or alias.name}": f"{module}.{alias.name}"
                    for alias in node.names
                }
    return found


def floor_of(name: str) -> str:
    """Return the floor of the command line that *name* belongs to."""
    room = [*name.split("."), ""][2]
    return room if room in FLOORS else ""


def floors_above(path: str, names: set[str]) -> set[str]:
    """Return which of the imported *names* are on a higher floor than the module at *path*."""
    room = Path(path).with_suffix("").parts[1]
    floor = FLOORS.index("" if room == "__init__" else room)  # a new room must be on the list
    ours = {name for name in names if is_in(name, "etcdnaming.cli")}
    return {name for name in ours if FLOORS.index(floor_of(name)) > floor}


def is_in(name: str, room: str) -> bool:
    """Tell whether the module *name* is *room*, or in it."""
    return f"{name}.".startswith(f"{room}.")


@pytest.mark.parametrize("room", DOORS)
def test_a_door_is_where_it_is_said_to_be(room: str) -> None:
    """And is used: a door that nobody goes through is not needed."""
    users = [path for path in files() if any(is_in(name, room) for name in imported(path))]
    assert [path for path in users if not path.startswith(DOORS[room])] == []
    assert users


@pytest.mark.parametrize("room", KNOWS)
def test_a_room_knows_only_what_is_below_it(room: str) -> None:
    """Types included: who only mentions another room depends on it, too."""
    for path in filter(lambda path: path.startswith(room), files()):
        ours = {name.split(".")[1] for name in imported(path) if name.startswith("etcdnaming.")}
        assert ours <= KNOWS[room], path


def test_nobody_but_the_command_line_prints() -> None:
    """What a library has to say, it returns, raises or logs."""
    for path in files():
        if not path.startswith("cli/"):
            assert "print(" not in (PACKAGE / path).read_text("utf-8").replace("pprint(", ""), path


@pytest.mark.parametrize("path", [path for path in files() if path.startswith("cli/")])
def test_command_line_imports_only_lower_floors(path: str) -> None:
    """Imports inside functions and for type checking count, too."""
    assert floors_above(path, imported(path)) == set()


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("cli/settings/known.py", "from ..app import App", "etcdnaming.cli.app.App"),
        ("cli/output/simple.py", "from .. import options", "etcdnaming.cli.options"),
        ("cli/parsing.py", "from .settings import known", "etcdnaming.cli.settings.known"),
        ("cli/app.py", "def f():\n    from .commands import add", "etcdnaming.cli.commands.add"),
        ("cli/options.py", "import etcdnaming.cli.app", "etcdnaming.cli.app"),
        ("cli/commands/add.py", "from .. import main", "etcdnaming.cli.main"),
    ],
)
def test_floor_guard_finds_a_wrong_import(path: str, text: str, name: str) -> None:
    """The guard above would fail for each of these lines."""
    assert floors_above(path, names_imported(path, text)) == {name}


def test_import_guard_sees_through_aliases() -> None:
    """``etcd.rpc`` is another name of the generated module."""
    names = names_imported("cli/app.py", "from ..etcd import rpc")

    assert names == {"etcdnaming.etcd.rpc_pb2"}
