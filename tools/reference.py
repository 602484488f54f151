"""Write the reference of the library, from its docstrings, into a directory: DIRECTORY."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pdoc
import pdoc.render

import etcdnaming
from etcdnaming import aio, errors


def main(directory: Path) -> None:
    """Write the pages of what is public, and nothing else."""
    for module in (etcdnaming, aio, errors):
        for name in module.__all__:
            setattr(module, name, getattr(module, name))  # pdoc sees what is there already
    # The annotations of named tuples are shown as they are written.
    warnings.filterwarnings("ignore", "Error parsing type annotation", UserWarning)
    # Without an icon of their own the pages would ask for one that is not there.
    pdoc.render.configure(docformat="google", favicon="data:,", show_source=False)
    pdoc.pdoc("etcdnaming", output_directory=directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
