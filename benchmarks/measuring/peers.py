"""The programs that we are held against."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["go_program"]

GO = Path(__file__).parent.parent / "go"


def go_program(name: str) -> Path:
    """Return the program built from ``benchmarks/go/NAME``; Go knows when it is up to date."""
    program = GO / "bin" / name
    subprocess.run(["go", "build", "-o", program, f"./{name}"], cwd=GO, check=True)
    return program
