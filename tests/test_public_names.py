"""Every public name is documented, exported and typed, as ``help(etcdnaming)`` shows it."""

from __future__ import annotations

import ast
import doctest
import inspect
import pydoc
import re
import subprocess
import sys
import textwrap
import typing
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import pytest

import etcdnaming
from etcdnaming import aio, errors

EXPORTED = {
    **{name: getattr(etcdnaming, name) for name in etcdnaming.__all__},
    **{f"aio.{name}": getattr(aio, name) for name in aio.__all__},
}
NAMED = [each for each in EXPORTED.values() if inspect.isclass(each) or inspect.isfunction(each)]

LIGHT = """
import sys
import etcdnaming
try:
    raise etcdnaming.errors.ClientClosedError
except etcdnaming.EtcdnamingError:
    pass
etcdnaming.Endpoint("1.2.3.4:80")
print(*{"asyncio", "grpc", "msgspec", "rich"}.intersection(sys.modules))
print(etcdnaming.aio.__name__, *{"grpc"}.intersection(sys.modules))
print(etcdnaming.aio.insecure_channel.__name__, *{"grpc"}.intersection(sys.modules))
"""


def own(kind: type) -> Iterator[tuple[str, object]]:
    """Yield the public methods and properties that *kind* itself has, without its fields."""
    fields = (*getattr(kind, "_fields", ()), *getattr(kind, "__slots__", ()))
    for name, member in vars(kind).items():
        if not name.startswith("_") and name not in fields:
            yield name, member


def functions(named: object) -> Iterator[tuple[str, Callable[..., object]]]:
    """Yield what users of *named* call: itself, or its constructor, methods and properties."""
    if not inspect.isclass(named):
        assert callable(named)
        yield "", named
        return
    for name, member in members(named):
        if isinstance(member, property):
            member = member.fget  # noqa: PLW2901 - the same, as a function
        if isinstance(member, (classmethod, staticmethod)):
            member = member.__func__  # noqa: PLW2901 - likewise
        is_ours = inspect.isfunction(member) and member.__module__.startswith("etcdnaming")
        if is_ours and (name == "__init__" or not name.startswith("_")):
            yield name, member


def members(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the members of *kind* and its bases, as they are defined."""
    for base in reversed(kind.__mro__):
        yield from vars(base).items()


def types_in(hint: object) -> Iterator[type]:
    """Yield the classes that the annotation *hint* is made of."""
    if isinstance(hint, type) and not typing.get_args(hint):
        yield hint
    for part in typing.get_args(hint):
        for each in part if isinstance(part, list) else [part]:
            yield from types_in(each)


def hints(thing: object) -> Iterator[type]:
    """Yield the classes in the annotations of *thing*, which may be imported for types only."""
    names = {name: each for name, each in EXPORTED.items() if "." not in name}
    found = typing.get_type_hints(thing, localns={**names, "grpc": grpc})
    for name, hint in found.items():
        if not name.startswith("_"):
            yield from types_in(hint)


@pytest.mark.parametrize("named", NAMED, ids=lambda named: str(named.__qualname__))
def test_public_signatures_use_exported_types_only(named: object) -> None:
    """Whatever is passed or returned has a public name; no message of protobuf is among it."""
    fields = [("", named)] if inspect.isclass(named) else []
    for name, function in [*fields, *functions(named)]:
        for used in hints(function):
            assert "_pb2" not in used.__module__, name
            assert "google" not in used.__module__, name
            is_grpcs = any(base.__module__.startswith("grpc") for base in used.__mro__)
            if used.__module__.startswith("etcdnaming") and not is_grpcs:
                assert used in EXPORTED.values(), (name, used)


def test_every_error_is_exported() -> None:
    """From the package itself, and from `etcdnaming.errors`."""
    for name in errors.__all__:
        assert getattr(etcdnaming, name) is getattr(errors, name)
        assert name in etcdnaming.__all__


# Errors of one room, which catches them itself, or makes a public one of them.
INTERNAL_ERRORS = {
    *("DeletionRefusedError", "HistoryChangedError", "LoginPostponedError", "RequestError"),
    "WatchAgainError",
}


def library() -> Iterator[tuple[str, ast.Module]]:
    """Yield the path and the syntax of each module below the command line."""
    package = Path(etcdnaming.__file__).parent
    for path in sorted(package.rglob("*.py")):
        name = path.relative_to(package).as_posix()
        if not name.startswith("cli/") and not name.endswith("_pb2.py"):
            yield name, ast.parse(path.read_text("utf-8"))


def test_every_error_that_is_raised_is_public() -> None:
    """An error class is in `etcdnaming.errors`, or it does not leave its room."""
    found = set()
    for path, tree in library():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and re.fullmatch("[A-Z].*Error", node.name):
                assert path == "errors.py" or node.name in INTERNAL_ERRORS, (path, node.name)
                found.add(node.name)
    assert found == {*errors.__all__, *INTERNAL_ERRORS}


def test_messages_of_the_library_name_no_flags() -> None:
    """The command line puts its flags where the library names arguments."""
    flag = re.compile(r"(?<![\w-])--[a-z][a-z-]+")
    for path, tree in library():
        if path.startswith(("sandbox/", "process/")):
            continue  # they start other programs, whose flags these are
        for node in ast.walk(tree):
            if isinstance(node, ast.Call | ast.Raise | ast.Return):
                for each in ast.walk(node):
                    if isinstance(each, ast.Constant) and isinstance(each.value, str):
                        assert not flag.search(each.value), (path, each.value)


@pytest.mark.parametrize("kind", [each for each in NAMED if inspect.isclass(each)])
def test_attributes_of_public_classes_are_documented_or_private(kind: type) -> None:
    """What a method assigns to ``self`` begins with "_", or the class says what it is."""
    declared, said = inspect.get_annotations(kind), inspect.getdoc(kind) or ""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.ctx, ast.Store)
            and isinstance(node.value, ast.Name)
            and node.value.id == "self"
            and not node.attr.startswith("_")
        ):
            documented = re.search(rf"\*{node.attr}\*|^ +{node.attr}: ", said, re.MULTILINE)
            assert node.attr in declared or documented, node.attr


def test_package_imports_nothing_heavy_until_it_is_used() -> None:
    """``etcdnaming.errors`` and ``etcdnaming.aio`` work after ``import etcdnaming``."""
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, check=True, text=True)
    assert done.stdout == "\netcdnaming.aio\ninsecure_channel grpc\n"


@pytest.mark.parametrize("named", NAMED, ids=lambda named: str(named.__qualname__))
def test_public_names_have_docstrings(named: type) -> None:
    """Their own, not inherited; the first paragraph is a sentence."""
    assert is_documented(named)
    if inspect.isclass(named):
        for name, member in own(named):
            if callable(member) or isinstance(member, property | classmethod | staticmethod):
                assert is_documented(member), name


def is_documented(thing: object) -> bool:
    """Return whether *thing* has a docstring whose first paragraph is a sentence."""
    text = getattr(thing, "__doc__", None) or ""
    first = inspect.cleandoc(text).partition("\n\n")[0]
    generated = text.startswith((f"{getattr(thing, '__name__', '')}(", "Alias for", "Create and"))
    return first.endswith((".", ":")) and not generated


@pytest.mark.parametrize(
    "named",
    [
        etcdnaming.Client,
        etcdnaming.EndpointManager,
        etcdnaming.Registration,
        etcdnaming.Sandbox,
        etcdnaming.insecure_channel,
    ],
)
def test_public_constructors_document_arguments_and_errors(named: object) -> None:
    """In sections of their docstrings."""
    assert "\n    Args:\n" in inspect.getsource(named)  # type: ignore[arg-type]
    assert "Raises" in (inspect.getdoc(named) or "")


@pytest.mark.parametrize("name", [name for name in EXPORTED if EXPORTED[name] in NAMED])
def test_public_names_have_an_example_that_is_run(name: str) -> None:
    """So has each method and property of a class, unless it is gRPC's own."""
    for thing, example in examples(EXPORTED[name]):
        assert example is not None, f"{thing} has no example"
        assert example.examples, f"{thing} has no example"
        for each in example.examples:
            assert doctest.SKIP not in each.options, f"{thing}: an example is skipped"
        last = example.examples[-1].source
        assert not last.startswith(("def ", "async def ", "class ")), f"{thing}: it is not called"


def examples(named: object) -> Iterator[tuple[str, doctest.DocTest | None]]:
    """Yield the full names of *named* and its members, with their examples as pytest finds them."""
    things = [named]
    if inspect.isclass(named) and not issubclass(named, Exception):
        bases = [base for base in named.__mro__ if base.__module__.startswith("etcdnaming")]
        things += [member for base in bases for _, member in own(base)]
    for thing in things:
        of = thing.fget if isinstance(thing, property) else getattr(thing, "__func__", thing)
        if not (inspect.isclass(of) or inspect.isfunction(of)) or of.__doc__ == "As gRPC.":
            continue
        full = f"{of.__module__}.{of.__qualname__}"
        yield full, doctests(of.__module__).get(full)


@cache
def doctests(module: str) -> dict[str, doctest.DocTest]:
    """Return the examples of *module* by the full names of what they are about."""
    return {each.name: each for each in doctest.DocTestFinder().find(sys.modules[module])}


def test_examples_are_run_with_the_tests(request: pytest.FixtureRequest) -> None:
    """By every run that names no files."""
    assert request.config.option.doctestmodules
    assert "etcdnaming" in request.config.getini("testpaths")


def test_help_shows_every_public_name() -> None:
    """Although each is imported on first use."""
    text = pydoc.plain(pydoc.render_doc(etcdnaming))
    for named in NAMED:
        if named.__module__.partition(".")[0] == "etcdnaming" and hasattr(
            etcdnaming, named.__name__
        ):
            assert f"{named.__name__}(" in text, named
