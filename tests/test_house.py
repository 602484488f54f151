"""Which way the arrows point: who may import what, as CONTRIBUTING.md says."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent
PACKAGE = TOP / "etcdnaming"

# Who may import it, by the beginning of its path.
DOORS = {
    "click": ("cli/",),
    "grpc": ("etcd/", "resolver/", "aio/", "probing/health.py", "xds/bridge/"),
    "prometheus_client": ("xds/bridge/metrics.py",),
    "rich": ("cli/output/",),
    "logging": ("log.py", "cli/commands/xds_bridge.py"),
    "msgspec": ("wire/decoding.py", "wire/json_rewriter.py"),
    "etcdnaming.cli": ("cli/", "__main__.py"),
    "etcdnaming.etcd.rpc_pb2": ("etcd/",),
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
    "probing/": {"probing"},
    "xds/": {"errors", "etcd", "keys", "model", "resolver", "endpoints", "xds"},
}


def files() -> Iterator[str]:
    """Yield the path of every module, below the package."""
    for file in sorted(PACKAGE.rglob("*.py")):
        yield file.relative_to(PACKAGE).as_posix()


def imported(path: str) -> set[str]:
    """Return the full names of what the module at *path* imports, whenever it does."""
    package = ["etcdnaming", *Path(path).parent.parts]
    found = set()
    for node in ast.walk(ast.parse((PACKAGE / path).read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else []
            module = ".".join([*above, *filter(None, [node.module])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
    return found


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
