"""How the pages that ``--help`` prints are laid out."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import cleandoc

import click

from ..output.stdout import write
from ..output.terminal import UNKNOWN, size, wanted_width

__all__ = ["Context", "show_help", "with_examples", "write_options"]


def with_examples(text: str | None) -> str:
    """Tell click to leave the lines of paragraphs that begin with a prompt as they are."""
    paragraphs = cleandoc(text or "").split("\n\n")
    return "\n\n".join(f"\b\n{each}" if each.startswith("$ ") else each for each in paragraphs)


def write_options(
    params: Sequence[click.Parameter], ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    """Write the section of those *params* that are options and not hidden."""
    options = (param for param in params if isinstance(param, click.Option))
    records = [option.get_help_record(ctx) for option in options]
    with formatter.section("Options"):
        formatter.write_dl([record for record in records if record is not None])


def show_help(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Do what click does for ``--help``, but blame stdout for what is stdout's."""
    if wanted and not ctx.resilient_parsing:
        write([ctx.get_help(), "\n"])
        ctx.exit()


class _Formatter(click.HelpFormatter):
    """click's, without the 3 ms that it takes to ask the standard library how wide help may be."""

    def __init__(
        self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None
    ) -> None:
        super().__init__(indent_increment, width or max(50, min(_columns(), 80) - 2), max_width)


class Context(click.Context):
    """click's, with help as wide as the terminal."""

    formatter_class = _Formatter


def _columns() -> int:
    try:
        return wanted_width() or size(1).columns
    except OSError:  # a pipe or a file
        return UNKNOWN.columns
