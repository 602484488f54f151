"""Which module may import which, as CONTRIBUTING.md draws it."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
PACKAGE = TOP / "etcdnaming"

# The modules that may import it, by the beginning of their paths.
DOORS = {
    "click": ("cli/",),
    "grpc": ("etcd/", "resolver/", "aio/", "probing.py", "xds/bridge/"),
    "prometheus_client": ("monitoring/prometheus.py",),
    "rich": ("cli/output/",),
    "logging": ("log.py", "cli/commands/xds_bridge.py"),
    "msgspec": ("wire/decoding.py", "wire/encoding.py"),
    "etcdnaming.cli": ("cli/", "__main__.py"),
    "etcdnaming.etcd.rpc_pb2": ("etcd/",),
    "etcdnaming.xds.xds_pb2": ("xds/",),
}

# The rooms that a room below the command line may import.
KNOWS: dict[str, set[str]] = {
    "errors.py": {"extras", "model"},
    "extras.py": set(),
    "model.py": set(),
    "metadata.py": {"model"},
    "printable.py": set(),
    "log.py": {"printable"},
    "addresses.py": {"errors", "log"},
    "keys.py": {"errors"},
    "listening.py": {"errors"},
    "monitoring/": {"model", "monitoring"},
    "wire/": {"errors", "model", "wire"},
    "endpoints/": {
        "addresses",
        "endpoints",
        "errors",
        "etcd",
        "fork",
        "keys",
        "log",
        "model",
        "wire",
    },
    "fork.py": set(),
    "etcd/": {"errors", "etcd", "extras", "fork", "log", "model"},
    "process/": {"process"},
    "probing.py": {"addresses"},
    "xds/": {
        "addresses",
        "endpoints",
        "errors",
        "etcd",
        "extras",
        "fork",
        "keys",
        "listening",
        "log",
        "model",
        "monitoring",
        "wire",
        "xds",
    },
    "registration/": {
        "addresses",
        "errors",
        "etcd",
        "keys",
        "log",
        "model",
        "registration",
        "wire",
    },
    "resolver/": {"errors", "etcd", "keys", "model", "resolver", "xds"},
    "aio/": {
        "aio",
        "endpoints",
        "errors",
        "etcd",
        "fork",
        "keys",
        "log",
        "model",
        "registration",
        "resolver",
        "xds",
    },
    "sandbox/": {"errors", "sandbox"},
}

# The modules of a room, from the ground up: each may import only those before it.
FLOORS: dict[str, tuple[str, ...]] = {
    "endpoints/": (
        "decoding",
        "completion_queries",
        "transaction",
        "modification",
        "apply",
        "watch",
        "manager",
    ),
    "registration/": (
        *("rules", "status", "session_lease", "reconciler"),
        *("client_registrations", "loop", "registration"),
    ),
}

# The rooms in which modules may import each other in a circle, and why.
CIRCLES = {
    "xds/bridge/": "for types: pages and sessions show what has made them",
}

# The floors of the command line, the lowest first: a floor imports only lower ones.
CLI_FLOORS = (
    "failures",
    "signals",
    "stderr",
    "grpc_import",
    "child",
    "output",
    "parsing",
    "selector",
    "settings",
    "click_extension",
    "app",
    "candidates",
    "options",
    "updates",
    "update_file",
    "following",
    "entrypoint",
    "commands",
    "",  # the package itself, which has the exit codes
)


def files() -> Iterator[str]:
    """Yield the path of every module, relative to the package."""
    for file in sorted(PACKAGE.rglob("*.py")):
        yield file.relative_to(PACKAGE).as_posix()


def imports_of(path: str, source: str) -> tuple[dict[str, str], set[str]]:
    """Return what *source*, a module at *path*, imports: by its names there, and in all."""
    package = ["etcdnaming", *Path(path).parent.parts]
    names: dict[str, str] = {}
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            names |= {each.asname or each.name.partition(".")[0]: each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            names |= {each.asname or each.name: f"{module}.{each.name}" for each in node.names}
    return names, found | set(names.values())


@cache
def aliases() -> Mapping[str, str]:
    """Return every name that a module imports, as others may import it from there."""
    found: dict[str, str] = {}
    for path in files():
        module = ".".join(("etcdnaming", *Path(path).with_suffix("").parts))
        module = module.removesuffix(".__init__")
        names, _ = imports_of(path, (PACKAGE / path).read_text("utf-8"))
        found |= {f"{module}.{name}": full for name, full in names.items()}
    return {alias: full for alias, full in found.items() if alias != full}


@cache
def resolved(name: str) -> str:
    """Return what *name* is where it was defined: ``etcd.rpc`` is ``etcd.rpc_pb2``."""
    for _ in range(10):  # an alias of an alias; modules may import each other
        parts = name.split(".")
        prefixes = (".".join(parts[:size]) for size in range(len(parts), 0, -1))
        alias = next((each for each in prefixes if each in aliases()), None)
        if alias is None:
            break
        name = aliases()[alias] + name[len(alias) :]
    return name


@cache
def imported(path: str, source: str | None = None) -> set[str]:
    """
    Return the full names of what the module at *path* imports, whenever it does.

    That includes what it reaches through another module: ``etcd.rpc.KeyValue`` after
    ``from .. import etcd``.
    """
    source = (PACKAGE / path).read_text("utf-8") if source is None else source
    names, found = imports_of(path, source)
    for node in ast.walk(ast.parse(source)):
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value  # noqa: PLW2901 - down to the name
        if parts and isinstance(node, ast.Name) and node.id in names:
            found.add(".".join([names[node.id], *parts]))
    return found | {resolved(name) for name in found}


def unlisted(paths: Iterable[str]) -> list[str]:
    """Return those of *paths* in the library that are in no room of `KNOWS`."""
    rooms = (*KNOWS, "cli/", "__init__.py", "__main__.py")
    return [path for path in paths if not path.startswith(rooms)]


def modules_of(path: str, source: str | None = None) -> set[str]:
    """Return the paths of the other modules that the one at *path* imports."""
    found = set()
    for name in imported(path, source):
        if not is_in(name, "etcdnaming"):
            continue
        parts = name.split(".")[1:]
        stems = ("/".join(parts[:size]) for size in range(len(parts), 0, -1))
        ours = (each for stem in stems for each in (f"{stem}.py", f"{stem}/__init__.py"))
        found.add(next((each for each in ours if (PACKAGE / each).is_file()), path))
    return found - {path}


def circular(sources: Mapping[str, str | None]) -> set[str]:
    """Return the paths of *sources* that import themselves through other modules."""
    imports = {path: modules_of(path, source) for path, source in sources.items()}
    circles = set()
    for path in imports:
        reached: set[str] = set()
        waiting = {path}
        while waiting:
            found = imports.get(waiting.pop(), set()) - reached
            reached |= found
            waiting |= found
        if path in reached:
            circles.add(path)
    return circles


def is_in(name: str, room: str) -> bool:
    """Return whether the module *name* is *room*, or in it."""
    return f"{name}.".startswith(f"{room}.")


def strangers(door: str, path: str, source: str | None = None) -> bool:
    """Return whether the module at *path* imports *door*, and may not."""
    allowed = path.startswith(DOORS[door])
    return not allowed and any(is_in(name, door) for name in imported(path, source))


def unknown_rooms(room: str, path: str, source: str | None = None) -> set[str]:
    """Return the rooms that the module at *path*, in *room*, imports and may not."""
    ours = filter(lambda name: name.startswith("etcdnaming."), imported(path, source))
    return {name.split(".")[1] for name in ours} - KNOWS[room]


def upper_floors(room: str, path: str, source: str | None = None) -> set[str]:
    """Return the modules of its own *room* that the module at *path* imports and may not."""
    floors = FLOORS[room]
    inside = f"etcdnaming.{room.rstrip('/')}."
    names = {name[len(inside) :] for name in imported(path, source) if name.startswith(inside)}
    return {name.partition(".")[0] for name in names}.intersection(
        floors[floors.index(Path(path).stem) :]
    ) - {Path(path).stem}


def floor_of(name: str) -> str:
    """Return the floor of the command line that *name* belongs to."""
    room = [*name.split("."), ""][2]
    return room if room in CLI_FLOORS else ""


def floors_above(path: str, names: set[str]) -> set[str]:
    """Return which of the imported *names* are on a higher floor than the module at *path*."""
    room = Path(path).with_suffix("").parts[1]
    floor = CLI_FLOORS.index("" if room == "__init__" else room)  # a new room must be on the list
    ours = {name for name in names if is_in(name, "etcdnaming.cli")}
    return {name for name in ours if CLI_FLOORS.index(floor_of(name)) > floor}


@pytest.mark.parametrize("door", DOORS)
def test_house_keeps_doors_to_the_modules_that_are_listed(door: str) -> None:
    """A door that is not used needs no row."""
    assert [path for path in files() if strangers(door, path)] == []
    assert any(is_in(name, door) for path in files() for name in imported(path))


@pytest.mark.parametrize("room", KNOWS)
def test_house_lets_a_room_import_only_what_is_below_it(room: str) -> None:
    """Imports for types count too: they are a dependency of the reader."""
    modules = [path for path in files() if path.startswith(room)]
    assert modules
    for path in modules:
        assert unknown_rooms(room, path) == set(), path


def test_house_has_a_row_for_every_module_of_the_library() -> None:
    """A new room says what it may import."""
    assert unlisted(files()) == []
    assert unlisted(["new.py", "new/x.py", "etcd/new.py"]) == ["new.py", "new/x.py"]


def test_house_has_circles_of_modules_in_the_rooms_that_are_listed_only() -> None:
    """Imports inside functions and for type checking count, too."""
    circles = circular(dict.fromkeys(files()))
    assert [path for path in circles if not path.startswith(tuple(CIRCLES))] == []
    assert [room for room in CIRCLES if not any(path.startswith(room) for path in circles)] == []


def test_house_finds_a_circle_of_modules() -> None:
    """Each guard is seen failing, for a module that is imported with its room as well."""
    sources = {
        "etcd/lease.py": "from .client import Client",
        "etcd/client.py": "if TYPE_CHECKING:\n    from . import calls",
        "etcd/calls.py": "def late():\n    import etcdnaming.etcd.lease",
        "etcd/watch.py": "from .lease import LeaseKeeper",
    }
    assert circular(sources) == {"etcd/lease.py", "etcd/client.py", "etcd/calls.py"}


@pytest.mark.parametrize("room", FLOORS)
def test_house_lets_a_module_import_only_lower_floors_of_its_room(room: str) -> None:
    """Every module of the room has its floor."""
    modules = [path for path in files() if path.startswith(room) and "__init__" not in path]
    assert {Path(path).stem for path in modules} == set(FLOORS[room])
    for path in modules:
        assert upper_floors(room, path) == set(), path


@pytest.mark.parametrize(
    "source",
    [
        "from ..etcd import rpc_pb2",
        "from ..etcd import rpc",
        "from ..etcd import rpc as messages",
        "from ..etcd.ranges import rpc",
        "from .. import etcd\netcd.rpc.KeyValue()",
        "from ..etcd import ranges\nranges.rpc.KeyValue()",
        "import etcdnaming.etcd.rpc_pb2",
        "def late():\n    from ..etcd import rpc",
    ],
)
def test_house_sees_a_message_of_etcd_through_any_alias(source: str) -> None:
    """However a module outside etcd/ comes by it."""
    assert strangers("etcdnaming.etcd.rpc_pb2", "endpoints/manager.py", source)
    assert not strangers("etcdnaming.etcd.rpc_pb2", "etcd/ranges.py", source)


@pytest.mark.parametrize("door", DOORS)
def test_house_refuses_a_module_that_is_not_listed_for_a_door(door: str) -> None:
    """Each guard is seen failing."""
    assert strangers(door, "model.py", f"import {door}")


@pytest.mark.parametrize("room", KNOWS)
def test_house_refuses_a_room_that_imports_the_command_line(room: str) -> None:
    """Each guard is seen failing, for a type as well."""
    path = f"{room}x.py" if room.endswith("/") else room
    source = "if TYPE_CHECKING:\n    from etcdnaming.cli import app"
    assert unknown_rooms(room, path, source) == {"cli"}


@pytest.mark.parametrize("room", FLOORS)
def test_house_refuses_a_module_that_imports_an_upper_floor(room: str) -> None:
    """Each guard is seen failing."""
    lowest, *_, highest = FLOORS[room]
    assert upper_floors(room, f"{room}{lowest}.py", f"from .{highest} import x") == {highest}
    assert upper_floors(room, f"{room}{highest}.py", f"from .{lowest} import x") == set()


def test_house_prints_in_the_command_line_only() -> None:
    """The library returns, raises or logs."""
    for path in files():
        if not path.startswith("cli/"):
            tree = ast.parse((PACKAGE / path).read_text("utf-8"))  # without the examples
            names = [each.id for each in ast.walk(tree) if isinstance(each, ast.Name)]
            assert "print" not in names, path


@pytest.mark.parametrize("path", [path for path in files() if path.startswith("cli/")])
def test_command_line_imports_only_lower_floors(path: str) -> None:
    """Imports inside functions and for type checking count, too."""
    assert floors_above(path, imported(path)) == set()


@pytest.mark.parametrize(
    ("path", "text", "name"),
    [
        ("cli/settings.py", "from .app import App", "etcdnaming.cli.app.App"),
        ("cli/output/simple.py", "from .. import options", "etcdnaming.cli.options"),
        ("cli/parsing.py", "from .settings import find", "etcdnaming.cli.settings.find"),
        ("cli/app.py", "def f():\n    from .commands import add", "etcdnaming.cli.commands.add"),
        ("cli/app.py", "import etcdnaming.cli.options", "etcdnaming.cli.options"),
        ("cli/commands/add.py", "from .. import main", "etcdnaming.cli.main"),
    ],
)
def test_floor_guard_finds_a_wrong_import(path: str, text: str, name: str) -> None:
    """The guard above would fail for each of these lines."""
    assert name in floors_above(path, imported(path, text))
