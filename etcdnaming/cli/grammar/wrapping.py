"""Commands that run a command of the user's, which stands after ``--``."""

from __future__ import annotations

from typing import Any

import click

from .tree import Command

__all__ = ["WrappingCommand"]


class WrappingCommand(Command):
    """
    Takes *cmd*, its last argument, only from what stands after ``--``.

    So no second target is taken for a command, and no word of a command for one of ours.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what stands before ``--``, and take what stands after it as it is."""
        ours, cmd = _split(args)
        rest = super().parse_args(ctx, ours)
        extra: Any = ctx.params.get("cmd")
        if extra and not ctx.resilient_parsing:
            raise click.UsageError(
                f"unexpected argument {extra[0]!r}: a command to run stands after --", ctx
            )
        ctx.params["cmd"] = tuple(cmd)
        return rest


def _split(args: list[str]) -> tuple[list[str], list[str]]:
    if "--" not in args:
        return args, []
    at = args.index("--")
    return args[:at], args[at + 1 :]
