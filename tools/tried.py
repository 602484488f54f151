"""
Write the table in README.md that shows which clients were tested with which etcd.

    pytest --tried=FILE …                 once for each etcd of the matrix
    python tools/tried.py FILE            (``make test-all`` does all of it)

``tests/harness/tried.py`` writes the lines of FILE, with tabs between the columns. A line has the
version of etcd and the peer that was tested with it; or ``xds``, a language, and what its clients
do.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"
BEGIN, END = "<!-- written by tools/tried.py -->\n", "<!-- until here -->\n"
BEGIN_XDS = "<!-- written by tools/tried.py: xDS clients -->\n"
DEBIAN = "3.4"
"""Its patch release is Debian's business; that of the others is in tests/interop/servers."""

FIRST = ["etcdnaming", "etcdctl", "etcd's grpc-proxy"]
"""The other rows follow in alphabetical order."""


def main(file: Path) -> None:
    lines = {tuple(line.split("\t")) for line in file.read_text("utf-8").splitlines()}
    tried = {(shown(line[0]), line[1]) for line in lines if line[0] != "xds"}
    replace(BEGIN, table(tried))
    replace(BEGIN_XDS, behaviour({(line[1], line[2]) for line in lines if line[0] == "xds"}))


def replace(begin: str, text: str) -> None:
    before, _, rest = README.read_text("utf-8").partition(begin)
    after = rest.partition(END)[2]
    README.write_text(f"{before}{begin}{text}{END}{after}", "utf-8")


def behaviour(seen: set[tuple[str, str]]) -> str:
    languages = sorted({language for language, _ in seen})
    rows = [
        ["", *languages],
        ["---", *(":-:" for _ in languages)],
        *(
            [promise, *("✓" if (language, promise) in seen else "" for language in languages)]
            for promise in sorted({promise for _, promise in seen})
        ),
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def shown(version: str) -> str:
    return DEBIAN if version.startswith(f"{DEBIAN}.") else version


def table(tried: set[tuple[str, str]]) -> str:
    versions = sorted({version for version, _ in tried}, key=numbers)
    peers = sorted({peer for _, peer in tried}, key=lambda peer: (place(peer), peer))
    rows = [
        ["tried against etcd", *versions],
        ["---", *(":-:" for _ in versions)],
        *(
            [peer, *("✓" if (version, peer) in tried else "" for version in versions)]
            for peer in peers
        ),
    ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]


def place(peer: str) -> int:
    return FIRST.index(peer) if peer in FIRST else len(FIRST)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
