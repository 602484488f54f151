"""
Check that pyright knows the type of all that is public: each name, and each member of a class.

pyright's own figure for the package is lower, because it takes every module whose name does not
begin with "_" for public: also the rooms behind the public names, and the messages as protoc
writes them. Public is what `etcdnaming`, `etcdnaming.aio` and `etcdnaming.errors` export.

pyright takes a package as a user's environment has it, not as `pip install --editable` leaves it;
so it is given a copy.
"""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import etcdnaming
from etcdnaming import aio, errors

TOP = Path(__file__).parent.parent
PYRIGHT = Path(sys.executable).with_name("pyright")

MODULES = (etcdnaming, aio, errors)


def names() -> set[str]:
    """Return the full names of all that is exported."""
    return {f"{module.__name__}.{name}" for module in MODULES for name in module.__all__}


def classes() -> set[str]:
    """Return the full names of the exported classes, and of those that they inherit from."""
    exported = (getattr(module, name) for module in MODULES for name in module.__all__)
    bases = (base for each in exported if inspect.isclass(each) for base in each.__mro__)
    full = (f"{base.__module__}.{base.__qualname__}" for base in bases)
    return {each for each in full if each.startswith("etcdnaming.")}


def symbols() -> dict[str, tuple[bool, list[str]]]:
    """Return whether the type of each symbol is known, and what pyright says about it."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(TOP / "etcdnaming", Path(folder, "etcdnaming"))
        command = [PYRIGHT, "--pythonpath", sys.executable, "--verifytypes", "etcdnaming"]
        done = subprocess.run(
            [*command, "--ignoreexternal", "--outputjson"],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": folder},
            stdout=subprocess.PIPE,
            check=False,  # it fails for private names, too
        )
    found = json.loads(done.stdout)["typeCompleteness"]["symbols"]
    return {
        each["name"]: (
            each["isTypeKnown"] and not each["isTypeAmbiguous"],
            [said["message"] for said in each["diagnostics"]],
        )
        for each in found
    }


def main() -> int:
    """Print what is public and has a type that is not known, and return 1 if there is any."""
    found, owners = symbols(), classes()
    members = {name for name in found if name.rpartition(".")[0] in owners}
    public = names() | members
    unknown = [name for name in sorted(public) if not found.get(name, (False, []))[0]]
    for name in unknown:
        said = found.get(name, (False, ["pyright does not find it"]))[1]
        print(f"{name}: its type is not known in full", *said[:1], sep=": ")
    print(
        f"{len(public) - len(unknown)} of {len(public)} public names and members have a known type"
    )
    return bool(unknown)


if __name__ == "__main__":
    sys.exit(main())
