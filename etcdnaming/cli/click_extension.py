"""
What differs from click: Go's options, our help pages, and commands that are loaded on use.

Command lines are read as etcdctl does: ``--debug``, ``--debug=false``, ``--debug=T``, ``-w=json``.
click has no flag that may carry a value and never takes the next word. So each flag has a hidden
opposite, ``--no-…``, and Go's spellings are rewritten to one or the other before click parses.
Only options are rewritten: not their values, not arguments, nothing after ``--``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from .output.streams import DEFAULT_SIZE, columns_variable, terminal_size, write
from .parsing import opposite, parse_bool
from .settings import GLOBAL_OPTIONS

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["Command", "Group", "ListedCommand", "WrappingCommand", "options_used"]

INSTEAD_OF_PREFIX = {
    "get": "use etcdnaming list TARGET",
    "del": "use --all TARGET/",
    **dict.fromkeys(("list", "watch", "wait", "check"), "TARGET means all keys under TARGET/"),
}
"""What does the same here as etcdctl's --prefix, for each command that is likely to be given it."""

MIN_PREFIX = 3
"""Characters of the beginning of a name from which it is suggested."""

SIMILARITY = 0.75
"""As `difflib` counts it; from 0.6 on, ``prefix`` and ``rev`` would be similar."""

ListedCommand: TypeAlias = tuple[str, str]
"""The module of a command, and the first sentence of its help."""


class _Formatter(click.HelpFormatter):
    """Avoid the 3 ms that the standard library takes to find the width of the terminal."""

    def __init__(
        self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None
    ) -> None:
        super().__init__(indent_increment, width or max(50, min(_columns(), 80) - 2), max_width)


class _Context(click.Context):
    """A click context whose help is as wide as the terminal."""

    formatter_class = _Formatter


class _WithGlobalOptions(click.Command):
    """A command or a group that also takes the global options and Go's ``--flag=false``."""

    context_class = _Context

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.help = _keep_examples(self.help)

    def get_own_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the parameters without the global options."""
        return super().get_params(ctx)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return its own parameters and the global options."""
        return [*self.get_own_params(ctx), *GLOBAL_OPTIONS]

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option that prints the help page."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _show_help
        return option

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse *args* as Go would."""
        with _suggesting_visible_options(self.get_params(ctx)):
            return super().parse_args(ctx, _rewritten(self, ctx, args))


class Command(_WithGlobalOptions):
    """
    A command that takes the global options, too.

    *exclusive* lists groups of parameter names of which only one may be used. Without *use_etcd*,
    help does not mention the global options.
    """

    def __init__(
        self,
        *args: Any,
        exclusive: Sequence[Sequence[str]] = (),
        use_etcd: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._exclusive, self._use_etcd = exclusive, use_etcd

    def make_parser(self, ctx: click.Context) -> Any:
        """Return click's parser, in which the command's own options win over the global ones."""
        parser = super().make_parser(ctx)
        for param in self.get_own_params(ctx):
            if isinstance(param, click.Option):
                param.add_to_parser(parser, ctx)
        return parser

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse *args*, and refuse options that exclude each other."""
        rest = super().parse_args(ctx, args)
        if not ctx.resilient_parsing:
            self._check_exclusive(ctx)
        return rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options only."""
        _write_options(self.get_own_params(ctx), ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Refer to the global options, if the command takes options or nothing, and uses etcd."""
        takes_options = any(isinstance(each, click.Option) for each in self.params)
        if not self._use_etcd or not (takes_options or not self.params):
            return
        formatter.write_paragraph()
        formatter.write_text("Global options (--endpoints, --user, -w, ...): etcdnaming --help")

    def _check_exclusive(self, ctx: click.Context) -> None:
        for names in self._exclusive:
            used = [each for each in names if ctx.params[each] not in (None, False, ())]
            if len(used) > 1:
                first, second, *_ = _display_names(self.params, used)
                raise click.UsageError(f"{first} and {second} can't be combined", ctx)


class WrappingCommand(Command):
    """
    A command that runs another one: its last argument *cmd* is everything after ``--``.

    Only that: a second target is not taken for a command, nor an option of CMD for one of ours. A
    command that takes any number of arguments before ``--`` has no parameter *cmd* of its own,
    since click takes only one such parameter.
    """

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Return the words of the usage line."""
        has_cmd = any(each.name == "cmd" for each in self.params)
        return [*super().collect_usage_pieces(ctx), *([] if has_cmd else ["[-- CMD ARGS...]"])]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words before ``--``, and take those after it as they are."""
        at = args.index("--") if "--" in args else len(args)
        rest = super().parse_args(ctx, args[:at])
        extra: Any = ctx.params.get("cmd")
        if extra and not ctx.resilient_parsing:
            raise click.UsageError(
                f"unexpected argument {extra[0]!r}: put a command to run after --", ctx
            )
        ctx.params["cmd"] = tuple(args[at + 1 :])
        return rest


class Group(_WithGlobalOptions, click.Group):
    """
    A group that imports a command on its first use: *listed* is enough for ``--help``.

    *aliases* are other names, with the command that each stands for; *synonyms* are names that an
    error suggests a command for ("": none, although another command has a similar name).
    """

    def __init__(
        self,
        *args: Any,
        listed: Mapping[str, ListedCommand],
        aliases: Mapping[str, str],
        synonyms: Mapping[str, str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._listed, self._aliases, self._synonyms = listed, aliases, synonyms

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in the order of the list."""
        return [*self._listed]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        if cmd_name not in self._listed:
            return None
        command: click.Command = import_module(self._listed[cmd_name][0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command by its name or alias; for an unknown one, suggest a similar one."""
        args = [self._aliases.get(args[0], args[0]), *args[1:]]
        if args[0] not in self._listed and not ctx.resilient_parsing:
            synonym = self._synonyms.get(args[0])
            similar = _similar(args[0], self._listed) if synonym is None else [synonym]
            hint = f". Did you mean {similar[0]!r}?" if similar and similar[0] else ""
            raise click.UsageError(f"No such command {args[0]!r}{hint}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command or an option, without importing a command."""
        from click.shell_completion import CompletionItem  # only for TAB

        found = [
            CompletionItem(name, help=summary)
            for name, (_, summary) in self._listed.items()
            if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands first, then the global options."""
        with formatter.section("Commands"):
            names = {name: name for name in self._listed}
            for alias, name in self._aliases.items():
                names[name] += f", {alias}"
            formatter.write_dl([(names[name], self._listed[name][1]) for name in names])
        _write_options([*GLOBAL_OPTIONS, *self.get_own_params(ctx)], ctx, formatter)


@contextmanager
def _suggesting_visible_options(params: Sequence[click.Parameter]) -> Iterator[None]:
    """Suggest neither the hidden opposite of a flag nor an option that would be refused."""
    try:
        yield
    except click.NoSuchOption as exc:
        command = exc.ctx.info_name if exc.ctx else None
        if exc.option_name == "--prefix" and command in INSTEAD_OF_PREFIX:
            advice = INSTEAD_OF_PREFIX[command]
            raise click.UsageError(f"No such option '--prefix': {advice}", exc.ctx) from None
        options = (param for param in params if isinstance(param, click.Option))
        shown = {name for option in options if not option.hidden for name in option.opts}
        words = [name.removeprefix("--") for name in shown if name.startswith("--")]
        similar = _similar(exc.option_name.removeprefix("--"), words)
        possibilities = [f"--{word}" for word in similar]
        raise click.NoSuchOption(exc.option_name, None, possibilities, exc.ctx) from None


def _similar(word: str, words: Iterable[str]) -> Sequence[str]:
    """Return those of *words* that begin with *word*, or else those that look similar."""
    from difflib import get_close_matches  # only on the way to an error message

    longer = sorted(each for each in words if each.startswith(word) and len(word) >= MIN_PREFIX)
    return longer or get_close_matches(word, words, cutoff=SIMILARITY)


def _rewritten(command: click.Command, ctx: click.Context, args: list[str]) -> list[str]:
    params = command.get_params(ctx)
    interspersed = ctx.allow_interspersed_args
    try:
        words = _rewrite(args, params, interspersed=interspersed)
    except ValueError as exc:
        raise click.UsageError(str(exc), ctx) from exc
    name = "" if ctx.resilient_parsing else _find_repeated(words, params, interspersed=interspersed)
    if name:
        raise click.UsageError(f"{name} takes one value, but is repeated", ctx)
    return words


def _display_names(params: Sequence[click.Parameter], names: Sequence[str]) -> list[str]:
    """Return the parameters called *names* as users write them."""
    return [
        param.opts[0] if isinstance(param, click.Option) else param.human_readable_name
        for param in params
        if param.name in names and not getattr(param, "hidden", False)
    ]


def _show_help(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the help page as click does, but with an error of stdout as an `OutputError`."""
    if wanted and not ctx.resilient_parsing:
        write([ctx.get_help(), "\n"])
        ctx.exit()


def _keep_examples(text: str | None) -> str:
    """Mark the paragraphs that begin with a prompt, so that click keeps their line breaks."""
    paragraphs = cleandoc(text or "").split("\n\n")
    return "\n\n".join(f"\b\n{each}" if each.startswith("$ ") else each for each in paragraphs)


def _write_options(
    params: Sequence[click.Parameter], ctx: click.Context, formatter: click.HelpFormatter
) -> None:
    """Write the section "Options": those of *params* that are options and not hidden."""
    options = (param for param in params if isinstance(param, click.Option))
    records = [option.get_help_record(ctx) for option in options]
    with formatter.section("Options"):
        formatter.write_dl([record for record in records if record is not None])


def _columns() -> int:
    try:
        return columns_variable() or terminal_size(1).columns
    except OSError:  # a pipe or a file
        return DEFAULT_SIZE.columns


def _rewrite(
    args: Sequence[str], params: Sequence[click.Parameter], *, interspersed: bool
) -> list[str]:
    """
    Return *args* as click takes them.

    ``--flag=VALUE`` becomes ``--flag`` or its opposite; ``-w=x`` and ``-wx`` become ``-w x``.

    Raises:
        ValueError: The value of a flag is neither true nor false.
    """
    flags, valued = _names(params, is_flag=True), _names(params, is_flag=False)
    rewritten: list[str] = []
    for words in _grouped(args, params, interspersed=interspersed):
        name, equals, value = words[0].partition("=")
        if equals and name in flags:
            rewritten.append(name if _parse_flag(name, value) else opposite(name))
        elif equals and name in valued and not name.startswith("--"):
            rewritten += [name, value]
        elif words[0][:2] in valued and not name.startswith("--"):
            rewritten += [words[0][:2], *filter(None, [words[0][2:]]), *words[1:]]
        else:
            rewritten += words
    return rewritten


def options_used(
    args: Sequence[str], params: Sequence[click.Parameter], *, interspersed: bool
) -> list[str]:
    """Return the name of each option in *args*, in their order; a repeated one each time."""
    names = _names(params, is_flag=True) | _names(params, is_flag=False)
    groups = _grouped(args, params, interspersed=interspersed)
    used = (words[0].partition("=")[0] for words in groups)
    return [name for name in used if name in names]


def _find_repeated(
    args: Sequence[str], params: Sequence[click.Parameter], *, interspersed: bool
) -> str:
    """Return the first option in *args* that takes one value but is repeated; "" if none is."""
    single = [
        each
        for each in params
        if isinstance(each, click.Option) and not (each.is_flag or each.multiple)
    ]
    # The first option counts: a command's own ones are before the global ones.
    by_name = {name: each for each in reversed(single) for name in each.opts}
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
    """Yield each option with its value (if that is the next word), each argument, and the rest."""
    valued = _names(params, is_flag=False)
    at = 0
    while at < len(args):
        is_argument = not args[at].startswith("-") or args[at] == "-"
        if args[at] == "--" or (is_argument and not interspersed):
            yield args[at:]
            return
        after = at + (2 if args[at] in valued else 1)
        yield args[at:after]
        at = after


def _names(params: Sequence[click.Parameter], *, is_flag: bool) -> frozenset[str]:
    options = (param for param in params if isinstance(param, click.Option))
    return frozenset(name for each in options if each.is_flag is is_flag for name in each.opts)


def _parse_flag(name: str, value: str) -> bool:
    try:
        return parse_bool(value)
    except ValueError as exc:
        raise ValueError(f"{name}: {exc}") from exc
