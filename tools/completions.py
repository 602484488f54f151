"""
Write the completion scripts of all shells, as ``etcdnaming completion`` prints them.

    python tools/completions.py [DIRECTORY]        (completions)
"""

from __future__ import annotations

import sys
from pathlib import Path

from etcdnaming.cli import cli
from etcdnaming.cli.commands.completion import SHELLS, script

ROOT = Path(__file__).parent.parent

# The names of the files that the shells look for.
FILES = {"bash": "etcdnaming.bash", "zsh": "_etcdnaming", "fish": "etcdnaming.fish"}


def main(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    for shell in SHELLS:
        (directory / FILES[shell]).write_text(script(cli, shell))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "completions")
