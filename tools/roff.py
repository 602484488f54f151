"""Write man pages: convert a small part of markdown, and the placeholders of a page, to roff."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

# These characters are special in roff. The escapes show the ASCII characters, so that text which is
# copied from a page works.
_SPECIAL = str.maketrans(
    {"\\": r"\e", "-": r"\-", "'": r"\(aq", "`": r"\(ga", "^": r"\(ha", "~": r"\(ti"}
)
WORDS = re.compile(r"(`[^`]+`|(?<![\w-])--?[a-z][a-z-]*\b|\b[A-Z]+\b)")
_FENCE = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)


class Page:
    """
    A man page, to which sections and paragraphs are added.

    Args:
        names: Placeholders that the reader has to replace, such as KEY; they are shown in italics.
    """

    def __init__(self, title: str, section: int, version: str, names: Iterable[str] = ()) -> None:
        self._names = frozenset(names)
        self._lines = [
            r".\" Written by tools/man.py (make generate).",
            f'.TH "{title.upper()}" {section} "" "etcdnaming {version}" "etcdnaming"',
            ".nh",
            ".ad l",
        ]

    def section(self, name: str) -> None:
        """Begin a section."""
        self._lines.append(f'.SH "{name.upper()}"')

    def paragraph(self, text: str) -> None:
        """Add a paragraph."""
        self._lines += [".PP", *self._filled(text)]

    def verbatim(self, text: str) -> None:
        """Add lines without any formatting."""
        self._lines += [".PP", ".RS 2", ".nf", *map(_line, text.rstrip().split("\n"))]
        self._lines += [".fi", ".RE"]

    def item(self, term: str, text: str) -> None:
        """Add a *term* with its description below; a line break in *term* separates two terms."""
        first, *others = term.split("\n")
        self._lines += [".TP", self._marked(first)]
        for other in others:
            self._lines += [".TQ", self._marked(other)]
        self._lines += self._filled(text)

    def write(self, text: str) -> None:
        """Add markdown: headings, paragraphs, ``- term: text``, and code fences."""
        for part, block in enumerate(_FENCE.split(text)):
            if part % 2:
                self.verbatim(block)
                continue
            for paragraph in filter(None, map(str.strip, block.split("\n\n"))):
                self._write_paragraph(paragraph)

    def text(self) -> str:
        """Return the page."""
        return "\n".join(self._lines) + "\n"

    def _write_paragraph(self, text: str) -> None:
        if text.startswith("## "):
            self.section(text[3:])
        elif text.startswith("- "):
            for item in re.split(r"^- ", text, flags=re.MULTILINE)[1:]:
                term, _, meaning = item.partition(": ")
                self.item(term, meaning)
        else:
            self.paragraph(text)

    def _filled(self, text: str) -> list[str]:
        marked = self._marked(" ".join(text.split()))
        lines = textwrap.wrap(marked, 100, break_long_words=False, break_on_hyphens=False)
        return [line if line[0] not in ".'" else rf"\&{line}" for line in lines]

    def _marked(self, text: str) -> str:
        return "".join(map(self._mark, WORDS.split(text)))

    def _mark(self, word: str) -> str:
        if word in self._names:
            return rf"\fI{word}\fR"
        if not word.startswith(("`", "-")):
            return _escaped(word)
        return rf"\fB{_escaped(word.strip('`'))}\fR"


def _escaped(text: str) -> str:
    return "".join(
        each if each.isascii() else rf"\[u{ord(each):04X}]" for each in text.translate(_SPECIAL)
    )


def _line(text: str) -> str:
    return rf"\&{_escaped(text)}" if text.startswith(".") else _escaped(text)
