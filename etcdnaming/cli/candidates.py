"""
Find completion candidates in etcd: within a second in all, or none and no message.

There is no prompt for a password. Candidates that the shell would expand again are left out.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, NoReturn

from ..errors import EtcdnamingError, InvalidSettingError
from .app import App
from .parsing import Candidate, parse_target
from .settings import settings_given

if TYPE_CHECKING:
    import click

    from ..etcd import Client

__all__ = ["complete_addrs", "complete_keys", "complete_prefixes", "complete_targets"]

QUERY_TIMEOUT = 0.7
"""Seconds for etcd; starting Python and importing gRPC takes the rest of the second."""

MAX_CANDIDATES = 200

_SAFE = re.compile(r"[\w./:@%+,=\[\]-]+")


def complete_keys(ctx: click.Context, beginning: str) -> Sequence[Candidate]:
    """Return keys that begin with *beginning*."""

    def find(client: Client) -> Iterable[str]:
        from ..endpoints.completion_queries import keys_with_prefix

        return keys_with_prefix(client, beginning)

    return _query(ctx, find)


def complete_targets(ctx: click.Context, beginning: str) -> Sequence[Candidate]:
    """Return targets that begin with *beginning*."""

    def find(client: Client) -> Iterable[str]:
        from ..endpoints.completion_queries import targets_with_prefix

        return targets_with_prefix(client, beginning)

    return _query(ctx, find)


def complete_addrs(ctx: click.Context, beginning: str) -> Sequence[Candidate]:
    """Return addresses of the target on the command line; none if it is not written yet."""
    # click stops at an option that has no value yet, and leaves the arguments before it in args.
    target = ctx.params.get("target") or next(iter(ctx.args), None)
    if target is None:
        return ()

    def find(client: Client) -> Iterable[str]:
        from ..endpoints.completion_queries import addrs_with_prefix

        return addrs_with_prefix(client, parse_target(target), beginning)

    return _query(ctx, find)


def complete_prefixes(ctx: click.Context, beginning: str) -> Sequence[Candidate]:
    """Return targets that begin with *beginning*, with a trailing "/"."""
    return [(f"{target}/", kind) for target, kind in complete_targets(ctx, beginning)]


def _query(ctx: click.Context, find: Callable[[Client], Iterable[str]]) -> Sequence[Candidate]:
    timeouts = {"dial_timeout": QUERY_TIMEOUT, "command_timeout": QUERY_TIMEOUT}
    settings = {**settings_given(ctx), **timeouts, "debug": False}
    alarm = threading.Timer(QUERY_TIMEOUT, os._exit, [0])
    alarm.daemon = True
    alarm.start()
    try:
        with App(settings, os.environ, _refuse_prompt) as app:
            found = filter(_SAFE.fullmatch, find(app.client()))
            return [(text, "plain") for text in islice(found, MAX_CANDIDATES)]
    except (EtcdnamingError, OSError, ValueError):
        return ()
    finally:
        alarm.cancel()


def _refuse_prompt(_: str) -> NoReturn:
    raise InvalidSettingError("completion does not prompt for a password")
