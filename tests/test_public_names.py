"""Every public name is documented, as ``help(etcdnaming)`` shows it."""

from __future__ import annotations

import inspect
import pydoc
from collections.abc import Iterator

import pytest

import etcdnaming
from etcdnaming import aio, errors
from etcdnaming.endpoints.watch import Watch
from etcdnaming.model import Change, ChangeBatch, StoredEndpoint, WatchState
from etcdnaming.resolver.channel import Channel

# Types that calls return, but that the package does not export.
RETURNED = [Channel, aio.Channel, Watch, Change, ChangeBatch, StoredEndpoint, WatchState]

NAMED = [
    *(getattr(etcdnaming, name) for name in etcdnaming.__all__),
    *(getattr(errors, name) for name in errors.__all__),
    *(getattr(aio, name) for name in aio.__all__),
    *RETURNED,
]


def own(kind: type) -> Iterator[tuple[str, object]]:
    """Yield the public methods and properties that *kind* itself has, without a tuple's fields."""
    for name, member in vars(kind).items():
        if not name.startswith("_") and name not in getattr(kind, "_fields", ()):
            yield name, member


@pytest.mark.parametrize("named", dict.fromkeys(NAMED), ids=lambda named: str(named.__qualname__))
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


def test_help_shows_every_public_name() -> None:
    """Although each is imported on first use."""
    text = pydoc.plain(pydoc.render_doc(etcdnaming))
    for name in etcdnaming.__all__:
        assert f"{name}(" in text, name
