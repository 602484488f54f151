"""The project's commands and groups: Go's options, help pages, and commands loaded on use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from .arguments import find_repeated, rewrite
from .global_options import GLOBAL_OPTIONS
from .help_page import Context, keep_examples, show_help, write_options

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["Command", "Group", "ListedCommand", "WrappingCommand"]

SYNONYMS = {
    **dict.fromkeys(("describe", "show"), "get"),
    **dict.fromkeys(("put", "create"), "add"),
    **dict.fromkeys(("edit", "patch", "annotate", "label"), "set"),
    **dict.fromkeys(("delete", "remove", "rm"), "del"),
    "txn": "txn-update",
    "cordon": "drain",
    "uncordon": "undrain",
    **dict.fromkeys(("endpoint", "member", "alarm", "cluster-info"), "status"),
    **dict.fromkeys(("snapshot", "make-mirror"), "export"),
    "replace": "apply",
    **dict.fromkeys(("lease", "register"), "lease-register"),
    "compaction": "",
}
"""
Commands of etcdctl and kubectl, and the command that does the same here.

"": there is none, although another command has a similar name.
"""

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


class Command(click.Command):
    """
    A command that also takes the global options and Go's ``--flag=false``.

    *exclusive* lists groups of parameter names of which only one may be used. Without *use_etcd*,
    help does not mention the global options.
    """

    context_class = Context

    def __init__(
        self,
        *args: Any,
        exclusive: Sequence[Sequence[str]] = (),
        use_etcd: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.help = keep_examples(self.help)
        self._exclusive, self._use_etcd = exclusive, use_etcd

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the command's own parameters and the global options."""
        return [*super().get_params(ctx), *GLOBAL_OPTIONS]

    def make_parser(self, ctx: click.Context) -> Any:
        """Return click's parser, in which the command's own options win over the global ones."""
        parser = super().make_parser(ctx)
        for param in super().get_params(ctx):
            if isinstance(param, click.Option):
                param.add_to_parser(parser, ctx)
        return parser

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option that prints the help page."""
        return _with_help_page(super().get_help_option(ctx))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse *args* as Go would, and refuse options that exclude each other."""
        with _suggesting_visible_options(self.get_params(ctx)):
            rest = super().parse_args(ctx, _rewritten(self, ctx, args))
        if not ctx.resilient_parsing:
            self._check_exclusive(ctx)
        return rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own options only."""
        write_options(super().get_params(ctx), ctx, formatter)

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


class Group(click.Group):
    """
    A group that imports a command on its first use: *listed* is enough for ``--help``.

    *aliases* are other names, with the command that each stands for.
    """

    context_class = Context

    def __init__(
        self,
        *args: Any,
        listed: Mapping[str, ListedCommand],
        aliases: Mapping[str, str],
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.help = keep_examples(self.help)
        self._listed, self._aliases = listed, aliases

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the group's own parameters and the global options."""
        return [*super().get_params(ctx), *GLOBAL_OPTIONS]

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return the option that prints the help page."""
        return _with_help_page(super().get_help_option(ctx))

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse *args* as Go would."""
        with _suggesting_visible_options(self.get_params(ctx)):
            return super().parse_args(ctx, _rewritten(self, ctx, args))

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
            synonym = SYNONYMS.get(args[0])
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
        write_options([*GLOBAL_OPTIONS, *super().get_params(ctx)], ctx, formatter)


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


def _with_help_page(option: click.Option | None) -> click.Option | None:
    if option is not None:
        option.callback = show_help
    return option


def _rewritten(command: click.Command, ctx: click.Context, args: list[str]) -> list[str]:
    params = command.get_params(ctx)
    interspersed = ctx.allow_interspersed_args
    try:
        words = rewrite(args, params, interspersed=interspersed)
    except ValueError as exc:
        raise click.UsageError(str(exc), ctx) from exc
    name = "" if ctx.resilient_parsing else find_repeated(words, params, interspersed=interspersed)
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
