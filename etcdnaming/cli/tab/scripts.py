"""The TAB key: the scripts for shells, and the answers to what those ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.shell_completion import add_completion_class, shell_complete

from .bash import Bash
from .fish import Fish
from .zsh import Zsh

if TYPE_CHECKING:
    import click

__all__ = ["PROGRAM", "SHELLS", "VARIABLE", "answer", "script"]

PROGRAM = "etcdnaming"
VARIABLE = "_ETCDNAMING_COMPLETE"
SHELLS = {"bash": Bash, "zsh": Zsh, "fish": Fish}

# Scripts and answers are ours, so that those that were shipped fit every click.
for _shell, _completer in SHELLS.items():
    add_completion_class(_completer, _shell)


def script(cli: click.Command, shell: str) -> str:
    """Return what *shell* has to read once."""
    return SHELLS[shell](cli, {}, PROGRAM, VARIABLE).source()


def answer(cli: click.Command, instruction: str) -> int:
    """Print what a script asks for; whatever goes wrong, there is nothing to complete."""
    try:
        return shell_complete(cli, {}, PROGRAM, VARIABLE, instruction)
    except Exception:  # noqa: BLE001 - a message would land in the line that is being typed
        return 1
