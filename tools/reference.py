"""Write the reference of the library, from its docstrings, to build/docs/etcdnaming.html."""

from __future__ import annotations

import warnings
from pathlib import Path

import pdoc
import pdoc.render

import etcdnaming
from etcdnaming import aio, errors

OUTPUT = Path(__file__).parent.parent / "build" / "docs"


def main() -> None:
    """Write the pages of what is public, and nothing else."""
    for module in (etcdnaming, aio, errors):
        for name in module.__all__:
            setattr(module, name, getattr(module, name))  # pdoc sees what is there already
    # The annotations of named tuples are shown as they are written.
    warnings.filterwarnings("ignore", "Error parsing type annotation", UserWarning)
    pdoc.render.configure(docformat="google")
    pdoc.pdoc("etcdnaming", output_directory=OUTPUT)
    print(OUTPUT / "etcdnaming.html")


if __name__ == "__main__":
    main()
