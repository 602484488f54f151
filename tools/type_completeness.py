"""
Check that pyright knows the type of every public name, and of whatever these are made of.

pyright takes a package as a user's environment has it, not as `pip install --editable` leaves it;
so it is given a copy.
"""

from __future__ import annotations

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

# What gRPC's own stubs leave open: the generic types of a method's requests and answers.
AS_GRPC = {"Channel", "insecure_channel", "secure_channel"}


def public() -> set[str]:
    """Return the full names of all that is public."""
    names = {f"etcdnaming.{name}" for name in etcdnaming.__all__}
    for module in (aio, errors):
        names |= {f"{module.__name__}.{name}" for name in module.__all__}
    return {name for name in names if name.rpartition(".")[2] not in AS_GRPC}


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
        each["name"]: (each["isTypeKnown"], [said["message"] for said in each["diagnostics"]])
        for each in found
    }


def main() -> int:
    """Print each public name whose type is not known, and return 1 if there is one."""
    found = symbols()
    unknown = [name for name in sorted(public()) if not found.get(name, (False, []))[0]]
    for name in unknown:
        print(f"{name}: its type is not known in full")
    for name, (known, said) in found.items() if unknown else ():
        if said and not known and "_pb2" not in name and ".cli." not in name:
            print(f"  {name}: {said[0].splitlines()[0]}")
    known = len(public()) - len(unknown)
    print(f"{known} of {len(public())} public names have a type that is known in full")
    return bool(unknown)


if __name__ == "__main__":
    sys.exit(main())
