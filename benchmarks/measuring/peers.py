"""The programs that we are held against."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from etcdnaming.sandbox import find_etcd

__all__ = ["etcdctl", "go_program", "ours", "python_with", "told"]

GO = Path(__file__).parent.parent / "go"


def go_program(name: str) -> Path:
    """Return the program built from ``benchmarks/go/NAME``; Go knows when it is up to date."""
    program = GO / "bin" / name
    subprocess.run(["go", "build", "-o", program, f"./{name}"], cwd=GO, check=True)
    return program


def etcdctl() -> str:
    """Return the one that came with etcd."""
    return str(Path(find_etcd()).with_name("etcdctl"))


def ours() -> str:
    """Return our own command, as it is installed beside the Python that runs this."""
    return str(Path(sys.executable).with_name("etcdnaming"))


def told(name: str) -> str:
    """Return the program ``benchmarks/told/NAME``."""
    return str(Path(__file__).parent.parent / "told" / name)


def python_with(name: str, *requirements: str) -> str:
    """Return a Python that has *requirements*, in ``.venv-NAME``, where ours can't have them."""
    venv = Path(__file__).parents[2] / f".venv-{name}"
    python = venv / "bin" / "python"
    stamp = venv / "installed"
    if not stamp.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
        stamp.touch()
    return str(python)
