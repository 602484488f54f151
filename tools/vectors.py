"""
Ask Go's naming client what it writes and reads, and keep its answers as golden vectors.

    python tools/vectors.py [DIRECTORY]        (tests/data; needs Go)

The vectors are JSON lines with a question and Go's answer. To add one, append a line with the
question only, and run this program.

``wire_write.jsonl``: an endpoint with ``addr`` and ``metadata`` (a JSON text) is stored as
``value``, which is ``unreadable`` if Go itself can't read it again.

``wire_read.jsonl``: the stored ``value`` (or ``base64``, if it is no text) is the endpoint with
``addr`` and ``metadata`` (a JSON text in which all numbers are floats), or is ``skipped``.

A long question is a list of ``[text, times]``, to be repeated and joined. A long answer is kept
as its SHA-256.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, TypeAlias

ROOT = Path(__file__).parent.parent
LONG = 1_000

Line: TypeAlias = dict[str, Any]


def main(directory: Path) -> None:
    """Replace the answers in *directory* by those of Go."""
    for name, answered in ("wire_write.jsonl", answer_writes), ("wire_read.jsonl", answer_reads):
        file = directory / name
        lines = answered([json.loads(line) for line in file.read_text().splitlines()])
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))


def answer_writes(lines: list[Line]) -> list[Line]:
    """Return each line with the value that Go writes, and whether Go can read that again."""
    asked = [{"addr": line["addr"], "metadata": line["metadata"]} for line in lines]
    written = ask_go([line | {"metadata": joined(line["metadata"])} for line in asked])
    return [
        line
        | {"value": short(base64.b64decode(answer["value"]).decode())}
        | ({"unreadable": True} if again.get("skipped") else {})
        for line, answer, again in zip(asked, written, ask_go(written), strict=True)
    ]


def answer_reads(lines: list[Line]) -> list[Line]:
    """Return each line with the endpoint that Go reads from the value."""
    asked: list[Line] = [
        {name: line[name] for name in ("value", "base64") if name in line} for line in lines
    ]
    return [
        line
        | (
            {"skipped": True}
            if answer.get("skipped")
            else {"addr": short(answer["addr"]), "metadata": short(answer["metadata"])}
        )
        for line, answer in zip(asked, ask_go([encoded(line) for line in asked]), strict=True)
    ]


def encoded(line: Line) -> Line:
    if "base64" in line:
        return {"value": line["base64"]}
    return {"value": base64.b64encode(joined(line["value"]).encode()).decode()}


def joined(text: str | list[tuple[str, int]]) -> str:
    return text if isinstance(text, str) else "".join(part * times for part, times in text)


def short(text: str) -> str | Line:
    if len(text) <= LONG:
        return text
    return {"sha256": hashlib.sha256(text.encode()).hexdigest()}


def ask_go(questions: list[Line]) -> list[Line]:
    """Pass *questions* to the Go program in tests/interop/go."""
    answers = subprocess.run(
        ["go", "run", "./vectors"],
        cwd=ROOT / "tests" / "interop" / "go",
        input=b"".join(json.dumps(question).encode() + b"\n" for question in questions),
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    return [json.loads(answer) for answer in answers.splitlines()]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "tests" / "data")
