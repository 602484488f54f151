"""The updates and conditions of ``txn-update``: ``--add KEY=ADDR``, ``--del KEY``, ``KEY=N``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ...errors import InvalidEndpointError
from ...model import Condition, Endpoint, Update
from ..click_extension.arguments import options_used
from ..click_extension.command import Command
from ..completion.candidates import complete_keys
from ..parsing import Parsed, parse_key, parse_number, parse_text

if TYPE_CHECKING:
    import click

__all__ = ["ADD", "AT_REVISION", "DELETE", "InOrder", "check_pair"]

_NOT_IN_ADDRESS = re.compile("[={ ]")


def _add(text: str) -> Update:
    key, equals, addr = text.partition("=")
    if not equals:
        raise ValueError(f"{text!r} is not KEY=ADDR")
    return Update.add(parse_key(key), Endpoint(parse_text(addr)))


def _delete(text: str) -> Update:
    return Update.delete(parse_key(text))


def _at_revision(text: str) -> Condition:
    key, equals, revision = text.rpartition("=")
    if not equals:
        raise ValueError(f"{text!r} is not KEY=N")
    return Condition(parse_key(key), parse_number(revision))


ADD = Parsed("add", _add)
DELETE = Parsed("key", _delete, complete_keys)
AT_REVISION = Parsed("condition", _at_revision)


def check_pair(update: Update) -> None:
    """
    Check that the ADDR of a ``KEY=ADDR`` is not followed by metadata.

    Raises:
        InvalidEndpointError: It seems to be.
    """
    addr = update.endpoint.addr if update.endpoint else ""
    if found := _NOT_IN_ADDRESS.search(addr):
        raise InvalidEndpointError(
            f"the address {addr!r} has a {found[0]!r}: KEY=ADDR takes no metadata, use a FILE; "
            "--force stores it anyway"
        )


class InOrder(Command):
    """Passes ``--add`` and ``--del`` on as one list, because the last update of a key counts."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the updates of both options in the order of the command line."""
        rest = super().parse_args(ctx, args)
        given = {"--add": iter(ctx.params.pop("add")), "--del": iter(ctx.params.pop("delete"))}
        used = options_used(args, self.get_params(ctx), interspersed=ctx.allow_interspersed_args)
        if not ctx.resilient_parsing:
            ctx.params["changes"] = [next(given[name]) for name in used if name in given]
        return rest
