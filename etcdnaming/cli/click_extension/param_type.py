"""Make a parameter type for click from a function that parses and one that completes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # can't be subscripted in older versions of click

__all__ = ["FILE", "Candidate", "Parsed", "complete_file"]

Candidate: TypeAlias = tuple[str, str]
"""A completion, and its kind: ``plain``, or ``file`` if the shell completes file names itself."""


def complete_file(_: click.Context, beginning: str) -> Sequence[Candidate]:
    """Let the shell complete a file name."""
    return [(beginning, "file")]


class Parsed(ParamType):
    """
    A type whose value is what *parse* returns; its ``ValueError`` becomes a usage error.

    *complete* returns the completions of the beginning of a word.
    """

    def __init__(
        self,
        name: str,
        parse: Callable[[str], Any],
        complete: Callable[[click.Context, str], Sequence[Candidate]] | None = None,
    ) -> None:
        self.name = name
        self._parse, self._complete = parse, complete

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the parsed value."""
        try:
            return self._parse(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return the completions of *incomplete*."""
        from click.shell_completion import CompletionItem  # only for TAB

        candidates = self._complete(ctx, incomplete) if self._complete else ()
        return [CompletionItem(value, type=kind) for value, kind in candidates]


def _parse_file(text: str) -> str:
    if not text:
        raise ValueError("an empty file name")
    return text


FILE = Parsed("file", _parse_file, complete_file)
