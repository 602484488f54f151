"""
Make the pictures of README.md: `list` and the live table of `watch`, with a temporary etcd.

    python tools/pictures.py [DIRECTORY]        (pictures)

They show what the program draws on a terminal. IDs, times, ports and the remaining seconds of
leases, which differ between runs, are replaced by text of the same width. The drawing is done by
rich and may change with its version, so the pictures are made by hand (``make pictures``); a test
compares only their text.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pexpect
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from etcdnaming import Sandbox

ROOT = Path(__file__).parent.parent
LINES, COLUMNS = 12, 96
TARGET = "foo/bar/svc"
PROGRAM = (sys.executable, "-m", "etcdnaming")

HOME, CLEAR = "\x1b[H", re.compile(r"\x1b\[[KJ]")
DIFFERENT = {
    r"\b(600|5\d\d)s\b": "597s",
    r"\b\d\d:\d\d:\d\d\b": "14:03:07",
    r"127\.0\.0\.1:\d+": "127.0.0.1:2379",
}


def main(directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    with Sandbox() as etcd:
        size = {"COLUMNS": str(COLUMNS), "LINES": str(LINES)}
        environment = {**etcd.environment(os.environ), **size, "TERM": "xterm-256color"}
        put(environment, "e1", 1, '{"zone":"a"}', "--ttl=600")
        put(environment, "e2", 2, '{"zone":"b"}', "--ttl=600")
        put(environment, "e3", 3, '{"zone":"c"}')
        picture(directory / "list.svg", f"etcdnaming list {TARGET}", listed(environment))
        picture(directory / "watch.svg", f"etcdnaming watch {TARGET}", watched(environment))


def put(environment: Mapping[str, str], name: str, host: int, metadata: str, *more: str) -> None:
    """Store an endpoint."""
    addr = f"--addr=10.0.0.{host}:50051"
    call(environment, "add", f"{TARGET}/{name}", addr, f"--metadata-json={metadata}", *more)


def call(environment: Mapping[str, str], *args: str) -> None:
    subprocess.run([*PROGRAM, *args], env=environment, check=True, capture_output=True)


def listed(environment: Mapping[str, str]) -> str:
    """Return what `list` prints on a terminal."""
    with on_terminal("list", environment) as terminal:
        terminal.expect(pexpect.EOF)
        return str(terminal.before)


def watched(environment: Mapping[str, str]) -> str:
    """Return the live table after one endpoint has changed, one was removed and one was added."""
    with on_terminal("watch", environment) as terminal:
        terminal.expect_exact("connected to")
        put(environment, "e2", 2, '{"weight":0,"zone":"b"}')
        call(environment, "del", f"{TARGET}/e3")
        put(environment, "e4", 4, '{"zone":"d"}')
        terminal.expect(r"\+\S*  \S+/e4.*?connected to [\d.:]+")
        return f"{terminal.before}{terminal.after}".rpartition(HOME)[2]


@contextmanager
def on_terminal(command: str, environment: Mapping[str, str]) -> Iterator[pexpect.spawn[str]]:
    """Run ``etcdnaming COMMAND`` on a terminal of a fixed size."""
    program, *args = PROGRAM
    size = (LINES, COLUMNS)
    terminal = pexpect.spawn(
        program, [*args, command, TARGET], env=environment, encoding="utf-8", dimensions=size
    )
    try:
        yield terminal
    finally:
        terminal.close(force=True)


def picture(file: Path, title: str, drawn: str) -> None:
    """Write the text *drawn* on a terminal to *file*, as SVG."""
    text = Text.from_ansi(alike(CLEAR.sub("", drawn)).replace("\r", ""))
    text.highlight_regex(r"(?m)^ +", "dim")  # some programs drop blanks at the beginning of a text
    with Path(os.devnull).open("w") as nowhere:
        size = {"width": COLUMNS, "height": LINES}
        console = Console(record=True, file=nowhere, force_terminal=True, **size)
        console.print(text)
    svg = console.export_svg(title=title, theme=MONOKAI, unique_id=file.stem)
    # Where pictures may load nothing, a remote font would cause an error.
    file.write_text(re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL))


def alike(drawn: str) -> str:
    """Return *drawn* with fixed values for what differs between runs."""
    for pattern, same in DIFFERENT.items():
        drawn = re.sub(pattern, same, drawn)
    leases = dict.fromkeys(re.findall(r"\b[0-9a-f]{16}\b", drawn))
    for lease, number in zip(leases, count(0x7FFAA20539177E6E), strict=False):
        drawn = drawn.replace(lease, f"{number:x}")
    return drawn


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "pictures")
