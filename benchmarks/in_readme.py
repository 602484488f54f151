"""
Copy the rows of results.md that have a target to README.md, without the circumstances.

    python benchmarks/in_readme.py          (``make bench`` does it last)
"""

from __future__ import annotations

import sys
from pathlib import Path

__all__ = ["table"]

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- written by benchmarks/in_readme.py -->\n", "<!-- until here -->\n"

HEAD = """\
| work | etcdnaming | against | measured | target |
| --- | --: | --: | --: | --: |
"""


def main() -> int:
    before, begin, rest = README.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    README.write_text(f"{before}{begin}{table()}{end}{after}", "utf-8")
    return 0


def table() -> str:
    """Return the table for README.md."""
    lines = (HERE / "results.md").read_text("utf-8").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")][1:]
    with_target = [row[:5] for row in rows if row[4] != "nothing"]
    return HEAD + "".join(f"| {' | '.join(row)} |\n" for row in with_target)


if __name__ == "__main__":
    sys.exit(main())
