"""Update files: the syntax, and the errors with their line numbers."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from etcdnaming.cli.failures import InputError
from etcdnaming.cli.update_file import parse
from etcdnaming.model import JSON, Endpoint, Update


def parsed(data: bytes | str) -> tuple[Update, ...]:
    """Return the updates in *data*, without checking their keys and addresses."""
    data = data.encode() if isinstance(data, str) else data
    return parse(data, "FILE", check=lambda _: None)


def add(key: str, addr: str, metadata: JSON = None, lease: int | None = None) -> Update:
    """Return an update that adds an endpoint."""
    return Update.add(key, Endpoint(addr, metadata), lease=lease)


@pytest.mark.parametrize(
    ("line", "update"),
    [
        ("add svc/e1 1.2.3.4:80", add("svc/e1", "1.2.3.4:80")),
        ('add svc/e1 1:2 {"zone": "a"}', add("svc/e1", "1:2", {"zone": "a"})),
        ('add svc/e1 1:2 "# no comment"', add("svc/e1", "1:2", "# no comment")),
        ("add svc/e1 1:2 12345678901234567890", add("svc/e1", "1:2", 12345678901234567890)),
        (" \tadd\tsvc/e1  1:2 \t [1] \t\r", add("svc/e1", "1:2", [1])),
        ('add "svc/e 1" "1 2" null', add("svc/e 1", "1 2")),
        (r'add "svc/\"\u00e9\n" 1:2', add('svc/"\u00e9\n', "1:2")),
        ('add svc/"e1" 1:2', add('svc/"e1"', "1:2")),
        ("add svc/#1 #2", add("svc/#1", "#2")),
        (r'add "svc/\udcff" 1:2', add("svc/\udcff", "1:2")),
        ("del svc/e1", Update.delete("svc/e1")),
        ('del "svc/e 1"', Update.delete("svc/e 1")),
        ("del svc/\u2028\x85", Update.delete("svc/\u2028\x85")),
    ],
)
def test_parse_reads_one_update_from_each_line(line: str, update: Update) -> None:
    """The key and address are words or JSON strings; the rest of the line is JSON."""
    assert parsed(line) == (update,)


def test_parse_accepts_a_key_of_any_bytes() -> None:
    """Keys in etcd need not be UTF-8."""
    assert parsed(b"del svc/\xff\xfe") == (Update.delete("svc/\udcff\udcfe"),)


@pytest.mark.parametrize("data", ["", "\n\n", "# only\n  # comments\r\n", "[]", " [ ] "])
def test_parse_returns_no_updates_when_the_file_is_empty(data: str) -> None:
    """Files with only comments, blank lines or an empty array count as empty."""
    assert parsed(data) == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("add", "KEY missing"),
        ("add svc/e1", "ADDR missing"),
        ("del", "KEY missing"),
        ("del svc/e1 svc/e2", "nothing more expected after del KEY, found 'svc/e2'"),
        ("put svc/e1 1:2", "add or del expected, found 'put'"),
        ('add "svc/e1 1:2', "KEY expected, found '\"svc/e1 1:2'"),
        ('add "svc/e1"x 1:2', "KEY expected, found '\"svc/e1\"x 1:2'"),
        (r'add "svc/\q" 1:2', r'"svc/\q" is not a JSON string'),
        (r'add "svc/\ud800" 1:2', r'"svc/\ud800" is not a JSON string'),
        ("add svc/e1 1:2 zone=a", "not JSON: a value expected at character 0, found 'zone=a'"),
        ("add svc/e1 1:2 NaN", "not JSON: a value expected at character 0, found 'NaN'"),
        ("add svc/e1 1:2 1 2", "not JSON: the end expected at character 2, found '2'"),
    ],
)
def test_parse_reports_the_line_of_an_invalid_update(line: str, message: str) -> None:
    """The line must be found in a file of thousands."""
    with pytest.raises(InputError) as caught:
        parsed(f"del svc/e1\n\n# comment\n{line}\ndel svc/e2\n")

    assert str(caught.value) == f"FILE:4: {message}"


def test_parse_reports_the_line_of_a_failed_check() -> None:
    """The caller passes the check."""

    def check(update: Update) -> None:
        if update.key == "svc/e2":
            raise ValueError("not this one")

    with pytest.raises(InputError, match=r"^FILE:2: not this one$"):
        parse(b"del svc/e1\ndel svc/e2\n", "FILE", check)


@pytest.mark.parametrize(
    ("members", "update"),
    [
        ({"op": "add", "key": "svc/e1", "addr": "1:2"}, add("svc/e1", "1:2")),
        (
            {"op": "add", "key": "svc/e1", "addr": "1:2", "metadata": {"a": [1]}},
            add("svc/e1", "1:2", {"a": [1]}),
        ),
        ({"op": "del", "key": "svc/e1"}, Update.delete("svc/e1")),
        ({"op": "delete", "key": "svc/e1", "addr": None}, Update.delete("svc/e1")),
        ({"Op": 0, "Key": "svc/e1", "Addr": "1:2", "Metadata": 1}, add("svc/e1", "1:2", 1)),
        (
            {"Op": 0, "Key": "svc/e1", "Endpoint": {"Addr": "1:2", "Metadata": "x"}},
            add("svc/e1", "1:2", "x"),
        ),
        (
            {"Op": 1, "Key": "svc/e1", "Endpoint": {"Addr": "", "Metadata": None}},
            Update.delete("svc/e1"),
        ),
        (
            {"op": "add", "key": "svc/\ufffd", "key_base64": "c3ZjL/8=", "addr": "1:2"},
            add("svc/\udcff", "1:2"),
        ),
        (
            {"op": "add", "key": "a/b", "key_base64": None, "addr": "1", "lease": "1f", "prev": {}},
            add("a/b", "1", lease=31),
        ),
        ({"op": "add", "key": "a/b", "addr": "1", "lease": "0"}, add("a/b", "1", lease=0)),
    ],
)
def test_parse_reads_one_update_from_each_object(members: dict[str, JSON], update: Update) -> None:
    """The member names are those of this program's JSON or of Go's."""
    assert parsed(json.dumps(members)) == (update,)


DELETES = (Update.delete("svc/1"), Update.delete("svc/2"))


@pytest.mark.parametrize(
    "data",
    [
        '{"op":1,"key":"svc/1"}\n{"op":1,"key":"svc/2"}\n',
        '{"op":1,"key":"svc/1"}{"op":1,"key":"svc/2"}',
        '{\n"op":1,\n"key":"svc/1"\n}\n\n{\n"op":1,\n"key":"svc/2"}',
        '[{"op":1,"key":"svc/1"},{"op":1,"key":"svc/2"}]',
        ' [\n{"op":1,"key":"svc/1"}\n,\n{"op":1,"key":"svc/2"}\n]\n',
    ],
)
def test_parse_accepts_consecutive_objects_and_arrays(data: str) -> None:
    """These are the formats of jq, with and without -c."""
    assert parsed(data) == DELETES


def test_parse_ignores_brackets_inside_strings() -> None:
    """Escaped quotes do not end a string."""
    members = {"op": "add", "key": 'svc/}]"\\', "addr": "[{", "metadata": ['{"', "\\"]}

    assert parsed(json.dumps([members, members])) == 2 * (add('svc/}]"\\', "[{", ['{"', "\\"]),)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('[\n{"op":1,"key":"svc/1"}\n', "3: ',' or ']' missing"),
        ('[\n{"op":1,"key":"svc/1"},\n]', "3: an object expected, found ']'"),
        ('[\n{"op":1,"key":"svc/1"}\n{}]', "3: ',' or ']' expected, found '{}]'"),
        ("[1]", "1: an object expected, found '1]'"),
        ("[", "1: an object missing"),
        ("[]\n{}", "2: the end expected, found '{}'"),
        ('{"op":1,"key":"svc/1"}\n,', "2: an object expected, found ','"),
        ('{"op":1,\n"key":"svc/1"', "1: not JSON: ',' or '}' expected at the end"),
        ('{"op":2,"key":"svc/1"}', '1: "op" must be "add" or "del", not 2'),
        ('{"op":true,"key":"svc/1"}', '1: "op" must be "add" or "del", not true'),
        ('{"key":"svc/1"}', '1: "op" is missing'),
        ('{"op":1,"key_base64":"!!"}', "1: \"key_base64\" is not base64: '!!'"),
        ('{"op":1,"key_base64":"ü"}', "1: \"key_base64\" is not base64: 'ü'"),
        ('{"op":1}', '1: "key" is missing'),
        ('{"op":1,"key":1}', '1: "key" must be a string'),
        ('{"op":0,"key":"a/b","addr":1}', '1: "addr" must be a string'),
        ('{"op":0,"key":"a/b","endpoint":"1"}', '1: "endpoint" must be an object'),
        ('{"op":0,"key":"a/b","adr":"1"}', "1: unknown member 'adr'"),
        ('{"op":1,"key":"a/b","addr":"1"}', "1: a delete takes a key, but no endpoint"),
        (
            '{"op":0,"key":"a/b","lease":"x"}',
            "1: 'x' is not a lease ID (hex), such as 7ffaa20539177e6e",
        ),
    ],
)
def test_parse_reports_the_line_of_an_invalid_object(data: str, message: str) -> None:
    """It is the line on which the object begins."""
    with pytest.raises(InputError) as caught:
        parsed(data)

    assert str(caught.value) == f"FILE:{message}"


@given(st.binary())
@example(b'[{"')
@example(b"add \xff \xff \xff")
@example(b'add "\\ud800" 1')
def test_parse_returns_updates_or_raises_input_error_for_any_bytes(data: bytes) -> None:
    """No other exception is raised, whatever is piped in."""
    with suppress(InputError):
        assert all(isinstance(update, Update) for update in parsed(data))
