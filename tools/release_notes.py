"""
Print the part of CHANGELOG.md about one version.

    python tools/release_notes.py v0.2.0

It fails if the version of the package is another, or if CHANGELOG.md has no dated heading for it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main(tag: str) -> None:
    package = (ROOT / "etcdnaming" / "__init__.py").read_text("utf-8")
    [version] = re.findall(r'^__version__ = "(.+)"$', package, re.MULTILINE)
    if tag != f"v{version}":
        sys.exit(f"the tag is {tag}, but the version of the package is {version}")
    print(notes(version))


def notes(version: str) -> str:
    """Return what CHANGELOG.md says of *version*, without its heading."""
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    heading = rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d\n"
    found = re.search(rf"{heading}(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if not found:
        sys.exit(f"CHANGELOG.md has no heading '## {version} - YYYY-MM-DD'")
    return found[1].strip()


if __name__ == "__main__":
    main(*sys.argv[1:])
