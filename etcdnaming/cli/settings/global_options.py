"""The settings as options of click: the same ones before and after the name of the command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

import click
from click.core import ParameterSource

from ..grammar.arguments import opposite
from ..grammar.parsed import Offer, Parsed, complete_file
from ..output import FORMATS
from .known import SETTINGS
from .setting import Setting, refuse

__all__ = ["GLOBAL_OPTIONS", "given"]

_GIVEN = "etcdnaming.given"


def given(ctx: click.Context) -> Mapping[str, Any]:
    """Return the settings that are on the command line; the innermost of several counts."""
    found: dict[str, Any] = ctx.meta.setdefault(_GIVEN, {})
    return found


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    # `meta` is one for all contexts, and that of the command is filled after that of the group.
    if ctx.get_parameter_source(param.name or "") is ParameterSource.COMMANDLINE:
        setting = _BY_NAME[param.name]
        value = tuple(chain.from_iterable(value)) if param.multiple else value
        refuse(setting, value, setting.flag)
        ctx.meta.setdefault(_GIVEN, {})[setting.key] = value


def _complete_format(_: click.Context, beginning: str) -> Sequence[Offer]:
    return [(name, "plain") for name in FORMATS if name.startswith(beginning)]


_COMPLETE = {"FILE": complete_file, "FORMAT": _complete_format}


def _options(setting: Setting) -> Iterator[click.Option]:
    names = [setting.flag, *filter(None, [setting.short]), _name(setting)]
    if setting.metavar:
        yield click.Option(
            names,
            type=Parsed(setting.key, setting.parse, _COMPLETE.get(setting.metavar)),
            multiple=isinstance(setting.default, tuple),  # more of it is more of the same list
            metavar=setting.metavar,
            help=setting.help,
            hidden=bool(setting.refusal),
            expose_value=False,
            callback=_remember,
        )
        return
    for name, value in ((setting.flag, True), (opposite(setting.flag), False)):
        yield click.Option(
            [name, _name(setting)],
            is_flag=True,
            flag_value=value,
            help=setting.help,
            hidden=not value or bool(setting.refusal),
            expose_value=False,
            callback=_remember,
        )


def _name(setting: Setting) -> str:
    return f"setting_{setting.key}"  # --key FILE is not the argument KEY


_BY_NAME: dict[str | None, Setting] = {_name(setting): setting for setting in SETTINGS}

GLOBAL_OPTIONS: tuple[click.Option, ...] = tuple(
    chain.from_iterable(_options(setting) for setting in SETTINGS)
)
