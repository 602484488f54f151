"""The programs that etcdnaming is compared with."""

from __future__ import annotations

import compileall
import subprocess
import sys
from functools import cache
from pathlib import Path

import etcdnaming
from etcdnaming.sandbox import find_etcd

__all__ = ["etcdctl", "go_program", "ours", "peer_program", "python_with"]

GO = Path(__file__).parent.parent / "go"


def go_program(name: str) -> Path:
    """Build ``benchmarks/go/NAME`` if it has changed, and return the path of the program."""
    program = GO / "bin" / name
    subprocess.run(["go", "build", "-o", program, f"./{name}"], cwd=GO, check=True)
    return program


def etcdctl() -> str:
    """Return the path of the etcdctl that belongs to the etcd in use."""
    return str(Path(find_etcd()).with_name("etcdctl"))


@cache
def ours() -> str:
    """
    Return the path of the etcdnaming command of this Python's environment.

    Its bytecode is compiled, as that of an installed one is. With ``PYTHONDONTWRITEBYTECODE`` set,
    each start would compile it again, which takes half as long as all the rest.
    """
    compileall.compile_dir(Path(etcdnaming.__file__).parent, quiet=1)
    return str(Path(sys.executable).with_name("etcdnaming"))


def peer_program(name: str) -> str:
    """Return the path of the program ``benchmarks/peer_programs/NAME``."""
    return str(Path(__file__).parent.parent / "peer_programs" / name)


def python_with(name: str, *requirements: str) -> str:
    """Return a Python that has *requirements*, in ``.venv-NAME``; they conflict with ours."""
    venv = Path(__file__).parents[2] / f".venv-{name}"
    python = venv / "bin" / "python"
    stamp = venv / "installed"
    if not stamp.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
        stamp.touch()
    return str(python)
