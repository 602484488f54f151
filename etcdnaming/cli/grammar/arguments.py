"""
Command lines as etcdctl reads them: ``--debug``, ``--debug=false``, ``--debug=T``, ``-w=json``.

click has no flag that may carry a value and never takes the next word. So each flag has a hidden
opposite, ``--no-…``, and what Go would understand is spelled as one or the other before click
parses. Only options are touched: neither the value of one, nor a word, nor anything after ``--``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

__all__ = ["opposite", "options_used", "parse_bool", "repeated", "spell_out"]

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})


def parse_bool(text: str) -> bool:
    """Return what Go's ``strconv.ParseBool`` makes of *text*."""
    if text not in _TRUE | _FALSE:
        raise ValueError(f"{text!r} is neither true nor false")
    return text in _TRUE


def opposite(flag: str) -> str:
    """Return the option that switches *flag* off."""
    return f"--no-{flag.removeprefix('--')}"


def spell_out(
    args: Sequence[str], params: Sequence[click.Parameter], *, interspersed: bool
) -> list[str]:
    """
    Return *args* as click takes them.

    That is ``--flag=VALUE`` as ``--flag`` or its opposite, ``-w=x`` and ``-wx`` as ``-w x``.

    Raises:
        ValueError: A flag has another value than true or false.
    """
    flags, valued = _names(params, is_flag=True), _names(params, is_flag=False)
    spelled: list[str] = []
    for words in _grouped(args, params, interspersed=interspersed):
        name, equals, value = words[0].partition("=")
        if equals and name in flags:
            spelled.append(name if _parse(name, value) else opposite(name))
        elif equals and name in valued and not name.startswith("--"):
            spelled += [name, value]
        elif words[0][:2] in valued and not name.startswith("--"):
            spelled += [words[0][:2], *filter(None, [words[0][2:]]), *words[1:]]
        else:
            spelled += words
    return spelled


def options_used(
    args: Sequence[str], params: Sequence[click.Parameter], *, interspersed: bool
) -> list[str]:
    """Return the names of the options in *args*, in order, as often as they are there."""
    names = _names(params, is_flag=True) | _names(params, is_flag=False)
    groups = _grouped(args, params, interspersed=interspersed)
    used = (words[0].partition("=")[0] for words in groups)
    return [name for name in used if name in names]


def repeated(args: Sequence[str], params: Sequence[click.Parameter], *, interspersed: bool) -> str:
    """Return the first option in *args* that takes one value and is there again, or nothing."""
    single = [
        each
        for each in params
        if isinstance(each, click.Option) and not (each.is_flag or each.multiple)
    ]
    by_name = {name: each for each in single for name in each.opts}
    seen: set[click.Option] = set()
    for name in options_used(args, params, interspersed=interspersed):
        option = by_name.get(name)
        if option in seen:
            return name
        if option is not None:
            seen.add(option)
    return ""


def _grouped(
    args: Sequence[str], params: Sequence[click.Parameter], *, interspersed: bool
) -> Iterator[Sequence[str]]:
    """Yield each option with its value if that is the next word, each word, and the rest as one."""
    valued = _names(params, is_flag=False)
    at = 0
    while at < len(args):
        is_word = not args[at].startswith("-") or args[at] == "-"
        if args[at] == "--" or (is_word and not interspersed):
            yield args[at:]
            return
        after = at + (2 if args[at] in valued else 1)
        yield args[at:after]
        at = after


def _names(params: Sequence[click.Parameter], *, is_flag: bool) -> frozenset[str]:
    options = (param for param in params if isinstance(param, click.Option))
    return frozenset(name for each in options if each.is_flag is is_flag for name in each.opts)


def _parse(name: str, value: str) -> bool:
    try:
        return parse_bool(value)
    except ValueError as exc:
        raise ValueError(f"{name}: {exc}") from exc
