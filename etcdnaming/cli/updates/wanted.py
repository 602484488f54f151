"""The endpoints that ``diff`` and ``apply`` compare with a target: options, file and warnings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import click

from ...model import InvalidValue, Plan, Update
from .. import stderr
from ..click_extension.param_type import FILE
from ..failures import InputError
from ..files import display_name, read_bytes
from ..options import flag
from ..output.spelling import lease_id
from .endpoint import check
from .file import parse

__all__ = ["read_wanted", "wanted_options", "warn_of_kept"]

Function = TypeVar("Function", bound=Callable[..., Any])


def wanted_options(function: Function) -> Function:
    """Add ``-f FILE``, ``--prune`` and ``--force``."""
    for option in (
        flag(
            "--force",
            "With --prune, also delete endpoints on leases and values that are not endpoints, and "
            "allow an empty FILE. Accept an address that clients can't dial.",
        ),
        flag(
            "--prune",
            "Delete endpoints under TARGET/ that FILE does not have, except those on leases.",
        ),
        click.option(
            "--file",
            "-f",
            type=FILE,
            required=True,
            metavar="FILE",
            help="The update file, or what export or list -w json printed; - is stdin.",
        ),
    ):
        function = option(function)
    return function


def read_wanted(file: str, target: str, *, prune: bool, force: bool) -> Sequence[Update]:
    """
    Return the updates in *file*, checked.

    Raises:
        InputError: One is invalid, or a key is not under *target*, or *file* has no endpoint, so
            that pruning would delete everything.
    """
    updates = parse(
        read_bytes(file), display_name(file), partial(check, target=target, force=force)
    )
    if prune and not force and all(each.endpoint is None for each in updates):
        # The other side of the pipe may have failed.
        raise InputError(
            f"{display_name(file)}: no endpoints, so --prune would delete all of {target}/; "
            "--force does it"
        )
    return updates


def warn_of_kept(plan: Plan) -> None:
    """Name what ``--prune`` leaves without ``--force``."""
    for each in plan.kept:
        what = (
            "is not an endpoint"
            if isinstance(each, InvalidValue)
            else f"is attached to lease {lease_id(each.lease)}"
        )
        stderr.warn(f"{each.key} {what}: not pruned; --force deletes it")
