"""
The command ``etcdnaming completion``, and the completions that its scripts ask for.

Scripts and answers are the project's own, so that an installed script works with every click.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ZshComplete,
    add_completion_class,
    shell_complete,
    split_arg_string,
)

from ..app import App, pass_app
from ..click_extension import Command
from ..output.streams import write

__all__ = ["SHELLS", "answer", "command", "join_words", "script"]

PROGRAM = "etcdnaming"
VARIABLE = "_ETCDNAMING_COMPLETE"

_BREAKS = frozenset(":=")

# bash before 4.4 has no "nosort". The values are quoted, so bash expands no `*` or `[` in them.
_BASH_SCRIPT = """\
_%(prog_name)s() {
    local IFS=$'\\n' kind value
    COMPREPLY=()
    while IFS=, read -r kind value; do
        case $kind in
            plain) COMPREPLY+=("$value") ;;
            file) compopt -o default ;;
        esac
    done < <(COMP_WORDS="${COMP_WORDS[*]}" COMP_CWORD=$COMP_CWORD \\
        %(complete_var)s=bash_complete "$1" 2>/dev/null)
}

complete -o nosort -F _%(prog_name)s %(prog_name)s 2>/dev/null ||
    complete -F _%(prog_name)s %(prog_name)s
"""

# The part before the "=" of --option=VALUE is set aside, or the value would replace it.
_ZSH_SCRIPT = """\
#compdef %(prog_name)s

_%(prog_name)s() {
    local -a plain described
    local kind value help file
    while IFS=$'\\t' read -r kind value help; do
        case $kind in
            plain) [[ -n $help ]] && described+=("${value//:/\\\\:}:$help") || plain+=("$value") ;;
            file) file=yes ;;
        esac
    done < <(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) \\
        %(complete_var)s=zsh_complete $words[1] 2>/dev/null)
    [[ $words[CURRENT] == -*=* ]] && compset -P 1 '*='
    [[ -n $file ]] && _files
    (( $#described )) && _describe -V %(prog_name)s described
    (( $#plain )) && compadd -V %(prog_name)s -a plain
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _%(prog_name)s "$@"
else
    compdef _%(prog_name)s %(prog_name)s
fi
"""

# In fish --option=VALUE is one word, so each answer repeats the part before the "=".
_FISH_SCRIPT = """\
function __%(prog_name)s
    set -l word (commandline -ct)
    set -l before (string match -r -- '^-[^=]*=' $word)
    for answer in (env COMP_WORDS=(commandline -cp | string collect) COMP_CWORD=$word \\
            %(complete_var)s=fish_complete %(prog_name)s 2>/dev/null)
        set -l parts (string split -m 1 , -- $answer)
        switch $parts[1]
            case plain
                printf '%%s\\n' "$before$parts[2]"
            case file
                __fish_complete_path $parts[2]
        end
    end
end

complete --no-files --command %(prog_name)s --arguments '(__%(prog_name)s)'
"""


class Bash(BashComplete):
    """
    click's protocol with bash, in whole words.

    bash cuts words at ``:`` and ``=`` before it asks for completions. Arguments here are full of
    both (``foo/svc/10.0.0.1:80``, ``--endpoints=127.0.0.1:2379``), so the pieces are joined again.
    """

    source_template = _BASH_SCRIPT
    _known = 0
    """Length of the part that bash treats as an earlier word and keeps."""

    def source(self) -> str:
        """Return the script; click would run bash to check its version first."""
        return self.source_template % self.source_vars()

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the completed one, and the start of that one."""
        pieces = split_arg_string(os.environ["COMP_WORDS"])
        current = int(os.environ["COMP_CWORD"])
        words = join_words(pieces[: current + 1])
        if current >= len(pieces):  # a new word
            return words[1:], ""
        if words[-1] != pieces[-1]:
            self._known = _length_known(words[-1])
        return words[1:-1], words[-1]

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return the line for the script."""
        return f"{item.type},{item.value[self._known :]}"


class Zsh(ZshComplete):
    """click's protocol with zsh, one answer a line."""

    source_template = _ZSH_SCRIPT

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return the line for the script."""
        return f"{item.type}\t{item.value}\t{item.help or ''}"


class Fish(FishComplete):
    """click's protocol with fish."""

    source_template = _FISH_SCRIPT

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return the line for the script; fish shows the text after a TAB beside the word."""
        help_text = f"\t{item.help}" if item.help else ""
        return f"{item.type},{item.value}{help_text}"


SHELLS = {"bash": Bash, "zsh": Zsh, "fish": Fish}

for _shell, _completer in SHELLS.items():
    add_completion_class(_completer, _shell)


HELP = """
Print the shell completion script.

$ eval "$(etcdnaming completion bash)"
$ etcdnaming completion fish | source

Targets and keys are completed from etcd, if it answers within a second.
"""


@click.command(cls=Command, help=HELP)
@click.argument("shell", type=click.Choice([*SHELLS]))
@pass_app
def command(app: App, *, shell: str) -> None:
    """Run ``etcdnaming completion``."""
    app.refuse_flags("this command prints a script")
    ctx = click.get_current_context()
    write([script(ctx.find_root().command, shell), "\n"])


def script(cli: click.Command, shell: str) -> str:
    """Return the completion script of *shell*."""
    return SHELLS[shell](cli, {}, PROGRAM, VARIABLE).source()


def answer(cli: click.Command, instruction: str) -> int:
    """Print the completions that a script asks for; none after any error."""
    try:
        return shell_complete(cli, {}, PROGRAM, VARIABLE, instruction)
    except Exception:  # noqa: BLE001 - a message would appear in the line that is being typed
        return 1


def join_words(pieces: Sequence[str]) -> list[str]:
    """
    Return *pieces*, joined where bash cut a word at ``:`` or ``=``.

    >>> join_words(["del", "svc/10.0.0.1", ":", "8"])
    ['del', 'svc/10.0.0.1:8']
    """
    words: list[str] = []
    was_break = False
    for piece in pieces:
        is_break = _BREAKS.issuperset(piece)
        if words and (is_break or was_break):
            words[-1] += piece
        else:
            words.append(piece)
        was_break = is_break
    return words


def _length_known(word: str) -> int:
    value = word.partition("=")[2] if word.startswith("-") else word
    return max(value.rfind(each) for each in _BREAKS) + 1
