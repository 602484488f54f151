"""fish: the script it reads, and how an answer is spelled for it."""

from __future__ import annotations

from typing import Any

from click.shell_completion import CompletionItem, FishComplete

__all__ = ["Fish"]

# To fish --option=VALUE is one word, so what stands before its = is a part of each answer.
_SCRIPT = """\
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


class Fish(FishComplete):
    """click's way to talk with fish."""

    source_template = _SCRIPT

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return the line for the script; fish shows what stands after a tab beside the word."""
        help_text = f"\t{item.help}" if item.help else ""
        return f"{item.type},{item.value}{help_text}"
