"""
Write the man pages from the definitions of the commands.

    python tools/man.py [DIRECTORY]        (man)

Commands, options and variables come from the click tree, exit codes from README.md, and the stored,
printed and read formats from format.md in this directory. What the help of a command leaves out
(columns, signals, files, exit codes, more examples) is in man/COMMAND.md in this directory.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path

import click
from roff import Page

from etcdnaming import __version__
from etcdnaming.cli import cli
from etcdnaming.cli.click_extension import WrappingCommand
from etcdnaming.cli.commands import COMMANDS
from etcdnaming.cli.settings import GLOBAL_OPTIONS, PREFIXES, REFUSED, SETTINGS, Setting

ROOT = Path(__file__).parent.parent
FORMAT = Path(__file__).parent / "format.md"
MORE = Path(__file__).parent / "man"


def main(directory: Path) -> None:
    """Write all pages."""
    for name, text in pages().items():
        file = directory / f"man{name[-1]}" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def pages(make: type[Page] = Page) -> Mapping[str, str]:
    """Return the text of each page, by the name of its file."""
    found = {"etcdnaming.1": program(make), "etcdnaming-format.7": formats(make)}
    return found | {f"etcdnaming-{name}.1": of_command(name, make) for name in COMMANDS}


def program(make: type[Page]) -> str:
    """Return etcdnaming(1)."""
    context = cli.make_context("etcdnaming", [], resilient_parsing=True)
    own = [each for each in cli.get_params(context) if each not in GLOBAL_OPTIONS]
    options = [*own, *GLOBAL_OPTIONS]
    page = make("etcdnaming", 1, __version__, names_of(options))
    about, examples = split(cli.help)
    page.section("name")
    page.paragraph("etcdnaming - gRPC naming and discovery on etcd")
    page.section("synopsis")
    page.paragraph("`etcdnaming` [OPTIONS] COMMAND [OPTIONS] [ARGS]...")
    page.section("description")
    write_paragraphs(page, about)
    page.section("commands")
    for name, (_, summary) in COMMANDS.items():
        page.item(f"`etcdnaming-{name}`(1)", summary)
    page.section("options")
    write_options(page, options)
    page.section("environment")
    write_variables(page)
    more, _ = more_of("etcdnaming")
    page.write(more)
    page.section("flags of etcdctl that are refused")
    for setting in REFUSED:
        page.item(spelled(setting), sentence(setting.refusal))
    page.section("exit status")
    for status, meaning in exit_statuses():
        page.item(f"`{status}`", sentence(meaning))
    write_end(page, examples, [*(f"etcdnaming-{name}(1)" for name in COMMANDS), FORMAT_PAGE])
    return page.text()


def of_command(name: str, make: type[Page]) -> str:
    """Return the page of the command *name*."""
    context = cli.make_context("etcdnaming", [], resilient_parsing=True)
    command: click.Command = import_module(COMMANDS[name][0]).command
    options = [each for each in command.get_params(context) if each not in GLOBAL_OPTIONS]
    page = make(f"etcdnaming-{name}", 1, __version__, names_of(options))
    about, examples = split(command.help)
    summary = COMMANDS[name][1].rstrip(".")
    page.section("name")
    page.paragraph(f"etcdnaming-{name} - {summary[0].lower()}{summary[1:]}")
    page.section("synopsis")
    words = [usage(each) for each in options if isinstance(each, click.Argument)]
    if isinstance(command, WrappingCommand) and "[-- CMD ARGS...]" not in words:
        words.append("[-- CMD ARGS...]")
    page.paragraph(f"`etcdnaming {name}` [OPTIONS] {' '.join(words)}")
    page.section("description")
    write_paragraphs(page, about)
    if len(options) > 1:
        page.section("options")
        write_options(page, options)
        page.paragraph("Options of all commands, such as --endpoints and -w: `etcdnaming`(1).")
    more, more_examples = more_of(name)
    page.write(more)
    write_end(page, examples, ["etcdnaming(1)", FORMAT_PAGE], more_examples)
    return page.text()


FORMAT_PAGE = "etcdnaming-format(7)"


def formats(make: type[Page]) -> str:
    """Return etcdnaming-format(7)."""
    page = make("etcdnaming-format", 7, __version__, {"KEY", "ADDR", "METADATA", "TARGET", "NAME"})
    page.write(FORMAT.read_text())
    page.section("see also")
    page.paragraph("`etcdnaming`(1)")
    return page.text()


def exit_statuses() -> Sequence[tuple[str, str]]:
    """Return each exit code with its meaning, from README.md."""
    table = (ROOT / "README.md").read_text().partition("| exit | |")[2].partition("\n\n")[0]
    return re.findall(r"^\| (\w.*?) \| (.*) \|$", table, re.MULTILINE)


def split(text: str | None) -> tuple[Sequence[str], Sequence[str]]:
    """Return the paragraphs of a help text, and its examples."""
    parts = (text or "").split("\n\n")
    examples = [each.removeprefix("\b\n") for each in parts if each.startswith("\b\n")]
    return [each for each in parts if not each.startswith("\b\n")], examples


def write_paragraphs(page: Page, paragraphs: Sequence[str]) -> None:
    for each in paragraphs:
        page.paragraph(each)


def write_options(page: Page, params: Sequence[click.Parameter]) -> None:
    for each in params:
        if isinstance(each, click.Option) and not each.hidden:
            required = " It is required." if each.required else ""
            page.item(
                f"{', '.join(sorted(each.opts, key=len))}{value_of(each)}", f"{each.help}{required}"
            )


def value_of(option: click.Option) -> str:
    """Return the placeholder for the value of *option*, as in its help."""
    if option.is_flag or option.count:
        return ""
    if isinstance(option.type, click.Choice):
        return f" {'|'.join(option.type.choices)}"
    return f" {option.metavar}"


def usage(argument: click.Argument) -> str:
    """Return *argument* as it is shown in a synopsis."""
    if isinstance(argument.type, click.Choice):
        return "|".join(f"`{each}`" for each in argument.type.choices)
    name = argument.metavar or argument.name.upper() + ("..." if argument.nargs < 0 else "")
    return name if argument.required or name.startswith("[") else f"[{name}]"


def names_of(params: Sequence[click.Parameter]) -> Iterator[str]:
    """Yield the placeholders in capital letters, such as KEY."""
    for each in params:
        yield from re.findall(r"\b[A-Z]+\b", each.metavar or "")
        if isinstance(each, click.Argument):
            yield each.name.upper()


def sentence(text: str) -> str:
    return f"{text if text.startswith('gRPC') else text[0].upper() + text[1:]}."


def spelled(setting: Setting) -> str:
    return " ".join(filter(None, (setting.flag, setting.metavar)))


def write_variables(page: Page) -> None:
    page.paragraph(
        "Every option above has two variables, and the first of these counts: the option, "
        f"`{PREFIXES[0]}`..., `{PREFIXES[1]}`..., its default. An empty variable says nothing, and "
        "one that can't be read is an error that names it."
    )
    for each in SETTINGS:
        if not each.refusal:
            variables = "\n".join(f"`{each.variable(prefix)}`" for prefix in PREFIXES)
            page.item(variables, f"As {each.flag}.")
    page.item("`NO_COLOR`\n`FORCE_COLOR`\n`TERM`", "Whether there is colour; TERM=dumb has none.")


def more_of(name: str) -> tuple[str, str]:
    """Return the sections that only the man page of *name* has, and further examples."""
    sections, _, examples = (MORE / f"{name}.md").read_text().partition("## EXAMPLES\n")
    return sections, examples


def write_end(
    page: Page, examples: Sequence[str], others: Sequence[str], more_examples: str = ""
) -> None:
    page.section("examples" if len(examples) > 1 or more_examples else "example")
    for each in examples:
        page.verbatim(each)
    page.write(more_examples)
    page.section("see also")
    linked = (re.sub(r"^([^(]+)", r"`\1`", each) for each in others)
    page.paragraph(", ".join(linked))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "man")
