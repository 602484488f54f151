"""The pages of commands in markdown, for the documentation's site: see `roff.Page`."""

from __future__ import annotations

import re
from collections.abc import Iterable

from roff import WORDS, Page

__all__ = ["MarkdownPage"]


class MarkdownPage(Page):
    """A page with the content of a man page."""

    def __init__(self, title: str, section: int, version: str, names: Iterable[str] = ()) -> None:
        super().__init__(title, section, version, names)
        self._lines = [f"# {title}"]

    def section(self, name: str) -> None:
        """Begin a section."""
        if name != "name":
            self._lines.append(f"## {name.capitalize()}")

    def paragraph(self, text: str) -> None:
        """Add a paragraph."""
        self._lines.append(self._marked(" ".join(text.split())))

    def verbatim(self, text: str) -> None:
        """Add lines without any formatting."""
        self._lines.append(f"```text\n{text.rstrip()}\n```")

    def item(self, term: str, text: str) -> None:
        """Add a *term* with its description."""
        terms = ", ".join(map(self._marked, term.split("\n")))
        self._lines.append(f"- {terms}: {self._marked(' '.join(text.split()))}")

    def text(self) -> str:
        """Return the page."""
        return "\n\n".join(self._lines) + "\n"

    def _marked(self, text: str) -> str:
        return "".join(map(self._mark, WORDS.split(text)))

    def _mark(self, word: str) -> str:
        if word in self._names:
            return f"*{word}*"
        if page := re.fullmatch(r"`(etcdnaming(?:-[a-z-]+)?)`", word):
            return f"[`{page[1]}`]({page[1]}.md)"
        if word.startswith("`"):
            return word
        if word.startswith("-") and len(word) > 1 and WORDS.fullmatch(word):
            return f"`{word}`"
        return re.sub(r"([\\*_<>\[\]`])", r"\\\1", word)
