"""Characters that are not printable are escaped in each output format."""

from __future__ import annotations

import ast
import json
from json.encoder import encode_basestring

import pytest
from cli.output.samples import EVERYTHING, HEADER, Printing, containing, printed, stored
from hypothesis import example, given
from hypothesis import strategies as st

from etcdnaming.cli.output import FORMATS
from etcdnaming.cli.output.printers import EtcdStatus
from etcdnaming.cli.output.spelling import escape, lease_id, quote_go, safe_json
from etcdnaming.model import Endpoint, InvalidValue, Keys, MemberStatus, Update, UpdateResult
from etcdnaming.printable import printable

HOSTILE = [
    "svc/\x1b[2J\x1b]0;title\x07",
    "svc/a\tb\nc\rd\x00e\x7f",
    "svc/\x9b31m\x85",
    "svc/\u202eevil\u2066\u200b\ufeff\u2028",
    "svc/\udcff\udc9b[2J",
    "svc/\U000e0041\N{NO-BREAK SPACE}",
    "svc/[red]x[/red][link=https://example.com]y[/link]:smile:",
    "svc/\\x1b\\",
]


@pytest.mark.parametrize(
    ("text", "simple", "go", "of_json"),
    [
        ("a/b:80", "a/b:80", '"a/b:80"', '"a/b:80"'),
        ("käse 世界", "käse 世界", '"käse 世界"', '"käse 世界"'),
        ("\t\n\r\\", r"\t\n\r\\", r'"\t\n\r\\"', r'"\t\n\r\\"'),
        ('"', '"', r'"\""', r'"\""'),
        ("\a\b\f\v", r"\x07\x08\x0c\x0b", r'"\a\b\f\v"', r'"\u0007\b\f\u000b"'),
        ("\x00\x1b\x7f", r"\x00\x1b\x7f", r'"\x00\x1b\x7f"', r'"\u0000\u001b\u007f"'),
        ("\x9b", r"\xc2\x9b", r'"\u009b"', r'"\u009b"'),
        ("\u202e", r"\xe2\x80\xae", r'"\u202e"', r'"\u202e"'),
        ("\U000e0041", r"\xf3\xa0\x81\x81", r'"\U000e0041"', r'"\udb40\udc41"'),
        ("\udcff", r"\xff", r'"\xff"', '"\N{REPLACEMENT CHARACTER}"'),
        ("\ud800", r"\xed\xa0\x80", r'"\ufffd"', '"\N{REPLACEMENT CHARACTER}"'),
    ],
)
def test_text_is_escaped_for_each_format(text: str, simple: str, go: str, of_json: str) -> None:
    """The column for Go is what Go's ``fmt.Sprintf("%q")`` returns for the bytes of the text."""
    assert (escape(text), quote_go(text), _json(text)) == (simple, go, of_json)


def test_message_keeps_its_backslashes() -> None:
    """Messages are read by people, and are never parsed back."""
    assert printable("C:\\svc\n\x1b[2J") == "C:\\svc\\n\\x1b[2J"


def test_lease_id_is_printed_as_in_etcdctl() -> None:
    """The same lease can be searched for in the output of both programs."""
    assert [lease_id(0x1A), lease_id(0)] == ["000000000000001a", "0"]


@given(st.text())
@example("".join(map(chr, range(0x3000))))
def test_escapes_of_json_and_go_decode_to_the_same_text(text: str) -> None:
    """For valid UTF-8, Python decodes Go's escapes too."""
    assert json.loads(_json(text)) == ast.literal_eval(quote_go(text)) == text


def _json(text: str) -> str:
    return safe_json(encode_basestring(text))


def _with(text: str) -> dict[str, Printing]:
    """Return `EVERYTHING` with *text* in each place whose content comes from etcd or the user."""
    endpoint = stored(text, text)
    bad = InvalidValue(f"{text}2", text, text.encode(errors="replace"), 1, 0)
    added = UpdateResult(HEADER, (Update.add(text, Endpoint(text)),), {text: endpoint})
    count = Keys(HEADER, text, [], 1, more=False)
    member = MemberStatus(HEADER, text, "leader", 1, [text], 0.1, text, "TLSv1.3", "2027-01-01")
    return {
        **containing([endpoint], [bad], text, 1),
        "added": lambda to: to.added(added, prev_kv=True),
        "count": lambda to: to.count(count),
        "status": lambda to: to.status(
            [EtcdStatus(text, member, ""), EtcdStatus(text, None, text)]
        ),
        "version": lambda to: to.version({text: text}),
    }


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("what", EVERYTHING)
def test_hostile_text_is_escaped_when_it_is_printed(name: str, text: str, what: str) -> None:
    """It adds no escape code, line or invisible character, and markup is plain text."""
    shown = printed(name, _with(text)[what], columns=2000, NO_COLOR="1")
    plain = printed(name, _with("harmless")[what], columns=2000, NO_COLOR="1")

    for line in shown.splitlines():
        assert line.replace("\t", "" if name == "simple" else "\t").isprintable(), line
    assert shown.count("\n") == plain.count("\n")
    assert shown.count("[red]x[/red]") == plain.count("harmless") * text.count("[red]")
