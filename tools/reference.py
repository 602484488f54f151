"""Write the reference of the library, from its docstrings, into a directory: DIRECTORY."""

from __future__ import annotations

import re
import sys
import typing
import warnings
from functools import cached_property
from pathlib import Path
from types import ModuleType

import pdoc
import pdoc.doc
import pdoc.render

import etcdnaming
from etcdnaming import aio, errors, metadata, model

# From what a program begins with to the parts of its results; errors have a page of their own.
ORDER = [
    *("Client", "EndpointManager", "services", "merge_patch", "Registration", "RegistrationEvent"),
    *("Watch", "WatchState", "insecure_channel", "secure_channel", "Channel", "Sandbox"),
    *("Endpoint", "JSON", "Update", "Operation", "Condition", "UpdateResult", "Deletion"),
    *("Listing", "StoredEndpoint", "InvalidValue", "Keys", "StoredKey", "Services"),
    *("Plan", "Difference", "ChangeBatch", "Change"),
    *("Lease", "LeaseTTL", "MemberStatus", "Header"),
]
AIO_ORDER = [
    *("EndpointManager", "services", "Registration", "Watch"),
    *("insecure_channel", "secure_channel", "Channel"),
]
MODULES = (etcdnaming, aio, errors)
PRIVATE_MODULE = re.compile(r"\b_\w+\.")  # gRPC's, in the names of its public classes
PUBLIC = {f"{module.__name__}.{name}" for module in MODULES for name in module.__all__}


class PublicBases:
    """The bases of a class, as pdoc shows them, without those that are private."""

    def __init__(self, all_bases: cached_property[list[tuple[str, str, str]]]) -> None:
        self._all = all_bases

    def __get__(self, shown: pdoc.doc.Class, _: object = None) -> list[tuple[str, str, str]]:
        found = [base for base in self._all.func(shown) if is_shown(base)]
        return [(module, name, PRIVATE_MODULE.sub("", text)) for module, name, text in found]


class JSON:
    """A JSON value: a bool, int, float, str or ``None``, or a sequence or mapping of these."""

    __module__ = "etcdnaming"


def is_shown(base: tuple[str, str, str]) -> bool:
    """Return whether *base* is public, or not ours."""
    module, name, _ = base
    return not module.startswith("etcdnaming") or f"{module}.{name}" in PUBLIC


def main(directory: Path) -> None:
    """Write the pages of what is public, and nothing else."""
    for module in MODULES:
        for name in module.__all__:
            setattr(module, name, getattr(module, name))  # pdoc sees what is there already
    check_order(etcdnaming, {*ORDER, *errors.__all__, "aio", "errors"})
    check_order(aio, {*AIO_ORDER})
    for module in (etcdnaming, metadata, model):
        module.JSON = JSON  # type: ignore[assignment,misc]  # an alias is shown in full, each time
    for module in (etcdnaming, aio):
        for each in vars(module).values():
            if isinstance(each, type) and each.__module__.startswith("etcdnaming"):
                tidy(each)
    etcdnaming.__all__, aio.__all__ = [*ORDER, "aio", "errors"], AIO_ORDER
    errors.__all__ = by_line(errors)
    # The annotations of named tuples are shown as they are written.
    warnings.filterwarnings("ignore", "Error parsing type annotation", UserWarning)
    pdoc.doc.Class.bases = PublicBases(pdoc.doc.Class.__dict__["bases"])  # type: ignore[assignment]
    # Without an icon of their own the pages would ask for one that is not there.
    pdoc.render.configure(
        docformat="google",
        favicon="data:,",
        show_source=False,
        template_directory=Path(__file__).parent / "reference",
    )
    pdoc.pdoc("etcdnaming", output_directory=directory)


def tidy(kind: type) -> None:
    """Show what *kind* inherits from private classes, and not what Python writes about tuples."""
    for base in kind.__mro__[1:]:
        if base.__module__.startswith("etcdnaming") and base.__qualname__ not in etcdnaming.__all__:
            for name, member in vars(base).items():
                if not name.startswith("_") and name not in vars(kind):
                    setattr(kind, name, member)
    fields = getattr(kind, "_fields", ())
    for name in fields:
        getattr(kind, name).__doc__ = None
    if fields:
        hints = typing.get_type_hints(kind, localns=vars(etcdnaming))
        kind.__new__.__doc__, kind.__new__.__annotations__ = "Make it from its fields.", hints


def check_order(module: ModuleType, ordered: set[str]) -> None:
    """Exit if the order of the names of *module* is not that of all, as after a new one."""
    if wrong := ordered ^ {*module.__all__}:
        sys.exit(f"tools/reference.py, the order of {module.__name__}: {', '.join(sorted(wrong))}")


def by_line(module: ModuleType) -> list[str]:
    """Return the public names of *module* in the order of its source, which is that of the tree."""
    return [name for name in vars(module) if name in module.__all__]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
