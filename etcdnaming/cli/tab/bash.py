"""
bash: the script it reads, and the words it hands over.

It cuts words at ``:`` and ``=`` before it asks for completions; here they are put together. Our
words are full of them: ``foo/svc/10.0.0.1:80``, ``--endpoints=127.0.0.1:2379``.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from click.shell_completion import BashComplete, CompletionItem, split_arg_string

__all__ = ["Bash", "joined"]

_BREAKS = frozenset(":=")

# Older than 4.4 it can't leave the order to us. Nothing is expanded: neither `*` nor `[`.
_SCRIPT = """\
_%(prog_name)s() {
    local IFS=$'\\n' kind value
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case $kind in
            plain) COMPREPLY+=("$value") ;;
            file) compopt -o default ;;
        esac
    done < <(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}

complete -o nosort -F _%(prog_name)s %(prog_name)s 2>/dev/null ||
    complete -F _%(prog_name)s %(prog_name)s
"""


class Bash(BashComplete):
    """click's way to talk with bash, in whole words."""

    source_template = _SCRIPT
    _known = 0
    """How much of the word bash holds for a word of its own, and keeps as it is."""

    def source(self) -> str:
        """Return the script, without asking a bash for its version first."""
        return self.source_template % self.source_vars()

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
