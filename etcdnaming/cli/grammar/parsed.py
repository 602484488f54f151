"""A type of click's from a function that parses, and one that completes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    ParamType = click.ParamType[Any]
else:
    ParamType = click.ParamType  # of older clicks can't be subscripted

__all__ = ["FILE", "Offer", "Parsed", "complete_file"]

Offer: TypeAlias = tuple[str, str]
"""What TAB offers, and its kind: ``plain``, or ``file`` if the shell is to look for one."""


def complete_file(_: click.Context, beginning: str) -> Sequence[Offer]:
    """Leave it to the shell."""
    return [(beginning, "file")]


class Parsed(ParamType):
    """
    What *parse* makes of the text; its ``ValueError`` says what is wrong with it.

    *complete* returns what may stand there, given the context and how it begins.
    """

    def __init__(
        self,
        name: str,
        parse: Callable[[str], Any],
        complete: Callable[[click.Context, str], Sequence[Offer]] | None = None,
    ) -> None:
        self.name = name
        self._parse, self._complete = parse, complete

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return what is parsed."""
        try:
            return self._parse(value)
        except ValueError as exc:
            self.fail(str(exc), param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Return what TAB offers."""
        from click.shell_completion import CompletionItem  # only for TAB

        offers = self._complete(ctx, incomplete) if self._complete else ()
        return [CompletionItem(value, type=kind) for value, kind in offers]


FILE = Parsed("file", str, complete_file)
