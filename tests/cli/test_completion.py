"""TAB: asked as the shells ask, and in the shells themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from harness import AT_ONCE, READER, Etcd, Run, Spawn
from harness.auth import ROOT
from harness.environment import Changes, pointing_at
from harness.process import command
from harness.typed import Typed

KEYS = ["foo/svc/10.0.0.1:80", "foo/svc/10.0.0.2:80", "foo/web/e1", "foo/web/z/e1", "bar/e1"]


TRIES = 20


@pytest.fixture
def filled(etcd: Etcd) -> Etcd:
    """An etcd with some targets."""
    etcd.put_all({key.encode(): b"" for key in KEYS})
    return etcd


@pytest.fixture
def tab(spawn: Spawn) -> Callable[..., list[str]]:
    """
    ``tab("etcdnaming list fo")``: what bash is offered for the last word of a line.

    Asks again while nothing is offered, `TRIES` times: on a busy machine the time for a completion
    may not be enough. Where nothing is right, ``tries=1`` is.
    """

    def offers(line: str, env: Changes | None = None, tries: int = TRIES) -> list[str]:
        return next(filter(None, (offers_once(line, env) for _ in range(tries))), [])

    def offers_once(line: str, env: Changes | None) -> list[str]:
        words = line.split(" ")
        asked = {
            "_ETCDNAMING_COMPLETE": "bash_complete",
            "COMP_WORDS": "\n".join(words),
            "COMP_CWORD": str(len(words) - 1),
        }
        result = spawn(env={**asked, **(env or {})}).finish()
        assert (result.status, result.err) == (0, "")
        return result.out.split("\n")[:-1] if result.out != "\n" else []

    return offers


Tab = Callable[..., list[str]]


def test_completes_commands(tab: Tab) -> None:
    """By their names."""
    assert tab("etcdnaming a") == ["plain,add"]
    assert tab("etcdnaming txn") == ["plain,txn-update"]
    assert {"plain,add", "plain,del", "plain,list"} < set(tab("etcdnaming "))


def test_completes_options(tab: Tab) -> None:
    """A command's own, and those of all; the opposites of flags are hidden."""
    assert tab("etcdnaming list --co") == [
        "plain,--count-only",
        "plain,--consistency",
        "plain,--command-timeout",
    ]
    assert tab("etcdnaming --deb") == ["plain,--debug"]
    assert tab("etcdnaming list --no-") == ["plain,--no-lease"]
    assert tab("etcdnaming list --hex", tries=1) == []


def test_a_flag_is_not_waiting_for_a_value(tab: Tab, filled: Etcd) -> None:
    """The next word is a word."""
    assert tab("etcdnaming --debug li") == ["plain,list"]
    assert tab("etcdnaming --debug=false list ba") == ["plain,bar"]


def test_completes_formats_and_files(tab: Tab) -> None:
    """Files are the shell's to find."""
    assert tab("etcdnaming -w j") == ["plain,json"]
    assert tab("etcdnaming --cacert /etc/pa") == ["file,/etc/pa"]
    assert tab("etcdnaming add svc/e1 --metadata-file x") == ["file,x"]
    assert tab("etcdnaming txn-update x") == ["file,x"]


def test_completes_targets(tab: Tab, filled: Etcd) -> None:
    """Each once, however many keys it has; those right under another one when that is said."""
    assert tab("etcdnaming list ") == ["plain,bar", "plain,foo/svc", "plain,foo/web"]
    assert tab("etcdnaming list foo/s") == ["plain,foo/svc"]
    assert tab("etcdnaming list foo/web/") == ["plain,foo/web/z"]
    assert tab("etcdnaming del --all foo/s") == ["plain,foo/svc/"]
    assert tab("etcdnaming add x/y --target ba") == ["plain,bar"]
    assert tab("etcdnaming list none", tries=1) == []


def test_completes_keys(tab: Tab, filled: Etcd) -> None:
    """Also a second one."""
    assert tab("etcdnaming del foo/w") == ["plain,foo/web/e1", "plain,foo/web/z/e1"]
    assert tab("etcdnaming del bar/e1 b") == ["plain,bar/e1"]
    assert tab("etcdnaming txn-update --del b") == ["plain,bar/e1"]
    assert tab("etcdnaming txn-update --add x/y=1 --if-exists b") == ["plain,bar/e1"]


def test_reads_words_as_bash_cuts_them(tab: Tab, filled: Etcd) -> None:
    """At every colon and equals sign; what stands before it is kept by bash."""
    assert tab("etcdnaming del foo/svc/10.0.0.1 :") == ["plain,80"]
    assert tab("etcdnaming del foo/svc/10.0.0.1 : 8") == ["plain,80"]
    assert tab("etcdnaming del --all = foo/s") == ["plain,foo/svc/"]

    host, port = filled.endpoint.split(":")
    nowhere = {"ETCDNAMING_ENDPOINTS": "127.0.0.1:1"}
    assert tab(f"etcdnaming --endpoints = {host} : {port} del b", nowhere) == ["plain,bar/e1"]
    assert tab(f"etcdnaming --endpoints={filled.endpoint} del b", nowhere) == ["plain,bar/e1"]


def test_offers_nothing_a_shell_would_expand(tab: Tab, etcd: Etcd) -> None:
    """A writer to etcd can write commands."""
    bad = ["$(id)", "a b", "`id`", "*", "a\nb", "a\x1b[31m", "a;b", "'", '"', "\\", "~", "a\xff"]
    etcd.put_all({f"svc/{name}".encode("latin-1"): b"" for name in bad})
    etcd.put("svc/é", "")

    assert tab("etcdnaming del svc/") == ["plain,svc/é"]


def test_offers_no_more_than_anybody_reads(tab: Tab, etcd: Etcd) -> None:
    """And reads no more from etcd."""
    etcd.put_all({f"svc/{each:05}".encode(): b"" for each in range(10_000)})
    etcd.put_all({f"t{each:05}/e1".encode(): b"" for each in range(300)})

    assert len(tab("etcdnaming del svc/")) == 200
    assert tab("etcdnaming list s") == ["plain,svc"]
    assert len(tab("etcdnaming list t")) <= 200


@pytest.mark.parametrize(
    "option",
    [
        "--endpoints 192.0.2.1:2379",
        "--endpoints 127.0.0.1:1",
        "--endpoints nonsense",
        "--user root",
        "--cacert /nowhere",
        "--debug=maybe",
        "--frob",
    ],
)
def test_is_silent_within_a_second(spawn: Spawn, filled: Etcd, option: str) -> None:
    """Whatever is wrong: a message would land in the line that is being typed."""
    words = f"etcdnaming {option} list fo".split(" ")
    start = time.monotonic()

    result = spawn(
        env={
            "_ETCDNAMING_COMPLETE": "bash_complete",
            "COMP_WORDS": "\n".join(words),
            "COMP_CWORD": str(len(words) - 1),
            "ETCDNAMING_DIAL_TIMEOUT": "60s",
        }
    ).finish()

    assert (result.out.strip(), result.err) == ("", "")
    assert time.monotonic() - start < AT_ONCE


def test_is_silent_when_etcd_is_frozen(tab: Tab, own_etcd: Callable[..., Etcd]) -> None:
    """Connections stay open then, and nothing is answered."""
    etcd = own_etcd()
    etcd.freeze()

    assert tab("etcdnaming list fo", {"ETCDNAMING_ENDPOINTS": etcd.endpoint}, 1) == []


def test_uses_the_flags_before_the_word(tab: Tab, auth_etcd: Callable[..., Etcd]) -> None:
    """User and password among them; without read permission nothing is offered."""
    etcd = auth_etcd()
    etcd.put("svc/e1", "")
    etcd.put("other/e1", "")
    there = {"ETCDNAMING_ENDPOINTS": etcd.endpoint}

    assert tab(f"etcdnaming --user {ROOT} del o", there) == ["plain,other/e1"]
    assert tab(f"etcdnaming --user {READER} del svc/", there) == ["plain,svc/e1"]
    assert tab(f"etcdnaming --user {READER} del o", there, 1) == []
    assert tab("etcdnaming del o", there, 1) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_prints_a_script_for_each_shell(run: Run, shell: str) -> None:
    """That calls us back."""
    result = run("completion", shell)

    assert (result.status, result.err) == (0, "")
    assert f"_ETCDNAMING_COMPLETE={shell}_complete" in result.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_is_one_for_its_shell(run: Run, shell: str) -> None:
    """It parses."""
    if not shutil.which(shell) and "CI" not in os.environ:
        pytest.skip(f"no {shell} here")  # a developer may have none; .ci/run brings them
    script = run("completion", shell).out

    done = subprocess.run([shell, "-n"], input=script, text=True, capture_output=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_bash_completes_in_the_middle_of_an_address(filled: Etcd, tmp_path: Path) -> None:
    """The real one."""
    stand_in = tmp_path / "etcdnaming"
    stand_in.write_text(f'#!/bin/sh\nexec {" ".join(command())} "$@"\n')
    stand_in.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    bash = Typed(("bash", "--norc", "--noprofile"), pointing_at(filled.endpoint, {"PATH": path}))
    with closing(bash):
        bash.do('eval "$(etcdnaming completion bash)"')

        bash.types("etcdnaming del foo/svc/10.0.0.1:\t", "etcdnaming del foo/svc/10.0.0.1:80 ")
        bash.types("etcdnaming del --al\tfoo/s\t", "etcdnaming del --all foo/svc/ ")
