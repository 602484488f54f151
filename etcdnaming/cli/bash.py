"""
bash cuts words at ``:`` and ``=`` before it asks for completions; here they are put together.

Our words are full of them: ``foo/svc/10.0.0.1:80``, ``--endpoints=127.0.0.1:2379``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from click.shell_completion import BashComplete, CompletionItem, split_arg_string

__all__ = ["Bash", "joined"]

_BREAKS = frozenset(":=")


class Bash(BashComplete):
    """click's way to talk with its script for bash, in whole words."""

    _known = 0
    """How much of the word bash holds for a word of its own, and keeps as it is."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is completed, and how that one begins."""
        pieces = split_arg_string(os.environ["COMP_WORDS"])
        current = int(os.environ["COMP_CWORD"])
        words = joined(pieces[: current + 1])
        if current >= len(pieces):  # a new word
            return words[1:], ""
        if words[-1] != pieces[-1]:
            self._known = _length_known(words[-1])
        return words[1:-1], words[-1]

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return the line for the script."""
        return f"{item.type},{item.value[self._known :]}"


def joined(pieces: Sequence[str]) -> list[str]:
    """
    Return *pieces* with those in one that have been cut at a ``:`` or ``=``.

    >>> joined(["del", "svc/10.0.0.1", ":", "8"])
    ['del', 'svc/10.0.0.1:8']
    """
    words: list[str] = []
    was_break = False
    for piece in pieces:
        is_break = _BREAKS.issuperset(piece)
        if words and (is_break or was_break):
            words[-1] += piece
        else:
            words.append(piece)
        was_break = is_break
    return words


def _length_known(word: str) -> int:
    value = word.partition("=")[2] if word.startswith("-") else word
    return max(value.rfind(each) for each in _BREAKS) + 1
