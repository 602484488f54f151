"""Lay out the pages that ``--help`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import cleandoc

import click

from ..output.stdout import write
from ..output.terminal import DEFAULT_SIZE, columns_variable, size

__all__ = ["Context", "keep_examples", "show_help", "write_options"]


def keep_examples(text: str | None) -> str:
    """Mark the paragraphs that begin with a prompt, so that click keeps their line breaks."""
    paragraphs = cleandoc(text or "").split("\n\n")
    return "\n\n".join(f"\b\n{each}" if each.startswith("$ ") else each for each in paragraphs)


def write_options(
    params: Sequence[click.Parameter], ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    """Write the section "Options": those of *params* that are options and not hidden."""
    options = (param for param in params if isinstance(param, click.Option))
    records = [option.get_help_record(ctx) for option in options]
    with formatter.section("Options"):
        formatter.write_dl([record for record in records if record is not None])


def show_help(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the help page as click does, but with an error of stdout as an `OutputError`."""
    if wanted and not ctx.resilient_parsing:
        write([ctx.get_help(), "\n"])
        ctx.exit()


class _Formatter(click.HelpFormatter):
    """Avoid the 3 ms that the standard library takes to find the width of the terminal."""

    def __init__(
        self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None
    ) -> None:
        super().__init__(indent_increment, width or max(50, min(_columns(), 80) - 2), max_width)


class Context(click.Context):
    """A click context whose help is as wide as the terminal."""

    formatter_class = _Formatter


def _columns() -> int:
    try:
        return columns_variable() or size(1).columns
    except OSError:  # a pipe or a file
        return DEFAULT_SIZE.columns
