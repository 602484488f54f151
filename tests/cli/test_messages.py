"""The exact error messages that the data files list; other tests verify the rest."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Etcd, Run


def cases(name: str) -> list[tuple[str, str, str]]:
    """Return each command line in a data file, with its exit code and message."""
    text = (Path(__file__).parent.parent / "data" / name).read_text()
    return re.findall(r"^\$ etcdnaming (.*)\n(\d+) (.*)\n", text, re.MULTILINE)


def words(line: str) -> Iterator[str]:
    """Yield the words of *line*; ``{1..9}`` makes nine words of one, as in bash."""
    for word in shlex.split(line):
        if found := re.search(r"\{1\.\.(\d+)\}$", word):
            yield from (word[: found.start()] + str(each + 1) for each in range(int(found[1])))
        else:
            yield word


@pytest.mark.parametrize("case", cases("messages.txt"), ids=lambda case: str(case[0]))
def test_wrong_command_line_has_its_message(case: tuple[str, str, str]) -> None:
    """The error is one line, and nothing is sent: there is no etcd here."""
    line, status, message = case

    assert Run("127.0.0.1:1")(*words(line)) == (int(status), "", f"Error: {message}\n")


@pytest.mark.parametrize("case", cases("messages_of_etcd.txt"), ids=lambda case: str(case[0]))
def test_refusal_of_etcd_has_its_message(run: Run, etcd: Etcd, case: tuple[str, str, str]) -> None:
    """The message has the facts: the key, the revision or the number."""
    line, status, message = case
    lease = etcd.grant(60)
    etcd.put("svc/held", '{"Addr":"2:2"}', lease)
    etcd.put("svc/bad", "nonsense")
    now = str(etcd.revision())
    etcd.ctl("compaction", now)

    result = run(*words(line))

    said = message.replace("LEASE", f"{lease:016x}").replace("NOW", now)
    assert (result.status, result.err.splitlines()[-1]) == (int(status), f"Error: {said}")
