"""What is written and read, held against what Go's client wrote and read (``tests/data``)."""

from __future__ import annotations

import base64
import enum
import hashlib
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from wire_documents import as_go_holds_it, metadata, texts, values

from etcdnaming import wire
from etcdnaming.errors import InvalidEndpointError, InvalidValueError
from etcdnaming.gojson.writing import dumps_by_the_rules
from etcdnaming.model import JSON, Endpoint
from etcdnaming.wire_reading import read_by_the_rules

DATA = Path(__file__).parent / "data"

Vector: TypeAlias = dict[str, Any]
Reader: TypeAlias = Callable[[bytes], Endpoint]

thorough = settings(max_examples=300)


def vectors(name: str) -> list[Vector]:
    """Return the golden vectors. What is in them: ``tools/vectors.py``."""
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


def joined(text: str | list[tuple[str, int]]) -> str:
    """Return the text that a vector keeps short."""
    return text if isinstance(text, str) else "".join(part * times for part, times in text)


def value_of(vector: Vector) -> bytes:
    """Return the bytes that Go was given to read."""
    if "base64" in vector:
        return base64.b64decode(vector["base64"])
    return joined(vector["value"]).encode()


def is_answer(text: str, answer: str | dict[str, str]) -> bool:
    """Tell whether *text* is what Go answered."""
    if isinstance(answer, str):
        return text == answer
    return hashlib.sha256(text.encode()).hexdigest() == answer["sha256"]


def is_written(vector: Vector) -> bool:
    """Tell whether we write what Go wrote, or refuse what it could not have read."""
    try:
        endpoint = Endpoint(vector["addr"], wire.loads(joined(vector["metadata"])))
        value = wire.encode(endpoint).decode()
    except (InvalidEndpointError, InvalidValueError):
        return "unreadable" in vector
    return "unreadable" not in vector and is_answer(value, vector["value"])


def is_read(vector: Vector, reader: Reader) -> bool:
    """Tell whether *reader* reads what Go read, or refuses what Go skipped."""
    try:
        endpoint = reader(value_of(vector))
    except InvalidValueError:
        return "skipped" in vector
    return (
        "skipped" not in vector
        and is_answer(endpoint.addr, vector["addr"])
        and is_answer(wire.dumps(as_go_holds_it(endpoint.metadata)), vector["metadata"])
    )


def shown(vectors: Iterable[Vector]) -> list[str]:
    """Return the beginnings of *vectors*; some are long."""
    return [json.dumps(vector)[:200] for vector in vectors]


def outcome(reader: Reader, value: bytes) -> str:
    """Return what comes of reading, as text: it tells 1 from 1.0 and True, and 0.0 from -0.0."""
    try:
        return repr(reader(value))
    except InvalidValueError as exc:
        return f"refused: {exc}"


def test_the_bytes_written_are_those_that_go_writes() -> None:
    """And what Go writes but can't read again is refused."""
    known = vectors("wire_write.jsonl")
    assert len(known) > 150
    assert shown(vector for vector in known if not is_written(vector)) == []


@pytest.mark.parametrize("reader", [wire.decode, read_by_the_rules])
def test_go_reads_and_refuses_the_same_values(reader: Reader) -> None:
    """With the same result, but that integers are floats to Go."""
    known = vectors("wire_read.jsonl")
    assert len(known) > 900
    assert shown(vector for vector in known if not is_read(vector, reader)) == []


def test_many_are_read_as_each_of_them_is() -> None:
    """Whatever stands beside it."""
    values = [value_of(vector) for vector in vectors("wire_read.jsonl")]
    values = [each for each in values if each.count(b"[") + each.count(b"{") < 100]  # for repr
    for beginning in range(0, len(values), 7):
        few = values[beginning : beginning + 7]
        assert [repr(found) for found in wire.decode_all(few)] == [
            repr(alone(each)) for each in few
        ]


def alone(value: bytes) -> Endpoint | InvalidValueError:
    """Return what is read, or why nothing is."""
    try:
        return read_by_the_rules(value)
    except InvalidValueError as exc:
        return exc


@thorough
@given(texts, metadata)
def test_what_is_written_is_read_again(addr: str, metadata: JSON) -> None:
    """A large float without a fraction comes back as another integer that is the same float."""
    endpoint = wire.decode(wire.encode(Endpoint(addr, metadata)))
    assert endpoint.addr == addr
    assert as_go_holds_it(endpoint.metadata) == as_go_holds_it(metadata)


@thorough
@given(metadata)
def test_the_shortcut_of_writing_leads_to_the_same_place(metadata: JSON) -> None:
    """Whatever is to be written."""
    assert wire.dumps(metadata) == dumps_by_the_rules(metadata)


@thorough
@given(values)
def test_what_was_read_is_written_again_by_the_rules(value: bytes) -> None:
    """Though by msgspec, wherever that writes as Go does."""
    try:
        metadata = wire.decode(value).metadata
    except InvalidValueError:
        return
    assert wire.dumps_again(metadata) == dumps_by_the_rules(metadata)


@thorough
@given(metadata)
def test_metadata_that_was_read_is_written_again_by_the_rules(metadata: JSON) -> None:
    """All that metadata may be: numbers above all."""
    read = wire.decode(wire.encode(Endpoint("", metadata))).metadata
    assert wire.dumps_again(read) == dumps_by_the_rules(read)


def test_what_is_nested_deep_is_written_again() -> None:
    """Deeper than msgspec goes."""
    read = wire.loads("[" * 9_000 + "]" * 9_000)
    assert wire.dumps_again(read) == dumps_by_the_rules(read)


@thorough
@given(metadata)
def test_metadata_that_is_shown_can_be_given_again(metadata: JSON) -> None:
    """From ``list`` to ``--metadata-json``."""
    text = wire.dumps(metadata)
    assert wire.dumps(wire.loads(text)) == text
    assert as_go_holds_it(wire.loads(text)) == as_go_holds_it(metadata)


@settings(thorough, max_examples=600)
@given(values)
def test_fast_reading_is_reading_by_the_rules(value: bytes) -> None:
    """Wherever msgspec differs from Go, it is not asked, or not believed."""
    assert outcome(wire.decode, value) == outcome(read_by_the_rules, value)


@pytest.mark.parametrize("digits", [308, 309, 400, 4300, 4301])
@pytest.mark.parametrize("offset", range(0, 100, 7))
def test_an_integer_out_of_range_is_found_wherever_it_stands(digits: int, offset: int) -> None:
    """Fast reading looks at every hundredth byte only."""
    value = b'{"Addr":"%s","Metadata":[%s]}' % (b"a" * offset, b"1" * digits)
    assert outcome(wire.decode, value) == outcome(read_by_the_rules, value)


def test_integers_keep_their_digits() -> None:
    """The one difference to Go, which has floats only."""
    value = b'{"Op":0,"Addr":"a","Metadata":[9007199254740993,123456789012345678901234567890]}'
    assert wire.decode(value).metadata == [9007199254740993, 123456789012345678901234567890]
    assert wire.encode(wire.decode(value)) == value


def test_minus_zero_stays_minus_zero() -> None:
    """It is a float, to Go and to us."""
    value = b'{"Op":0,"Addr":"web-0","Metadata":{"a":-0}}'
    assert wire.encode(wire.decode(value)) == value


def test_no_other_letter_is_like_one_in_the_names_of_members() -> None:
    """Unicode has letters that fold to k and s; Go takes them for those, and lower() does not."""
    others = (chr(code) for code in range(0x80, sys.maxunicode + 1))
    alike = {other for other in others if other.lower().isascii()}
    assert alike == {"\u212a"}
    assert not set("ks\u212a\u017f") & set("op addr metadata")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"1.2.3.4:80", "not an object"),
        (b"hello", "not JSON: a value expected at character 0, found 'hello'"),
        (b'"a"', "not an object"),
        (b"[]", "not an object"),
        (b'{"Addr":"a"', "not JSON: ',' or '}' expected at the end"),
        (b'{"Addr":"a"} {}', "not JSON: the end expected at character 13, found '{}'"),
        (
            b'{"Addr" "a"}',
            "not JSON: a name and ':' expected at character 1, found '\"Addr\" \"a\"}'",
        ),
        (b'{"Metadata":[1 2]}', "not JSON: ',' or ']' expected at character 15, found '2]}'"),
        (b'{"Addr":"a\nb"}', "not JSON: a value expected at character 8, found '\"a\\nb\"}'"),
        (b'{"Addr":1}', "Addr is not a string"),
        (b'{"Op":256}', "Op is not an integer from 0 to 255"),
        (b'{"Op":1.0}', "Op is not an integer from 0 to 255"),
        (b'{"Op":"0"}', "Op is not an integer from 0 to 255"),
        (b'{"Op":true}', "Op is not an integer from 0 to 255"),
        (b'{"Metadata":1e999}', "number out of range: 1e999"),
        (b'{"Metadata":1' + b"0" * 400 + b"}", "number out of range: 10000000000000000000…"),
        (b'{"Metadata":' + b"[" * 10_000, "nested more than 9999 deep"),
    ],
)
def test_a_value_that_is_refused_says_why(value: bytes, reason: str) -> None:
    """In one short line: it becomes a warning."""
    with pytest.raises(InvalidValueError) as refused:
        wire.decode(value)
    assert str(refused.value) == reason


class Colour(str, enum.Enum):
    """Text by another name."""

    RED = "red"


class Size(enum.IntEnum):
    """A number by another name."""

    BIG = 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ((1, (2, ())), "[1,[2,[]]]"),
        (MappingProxyType({"b": 1, "a": MappingProxyType({})}), '{"a":{},"b":1}'),
        (range(3), "[0,1,2]"),
        ({Colour.RED: Colour.RED}, '{"red":"red"}'),
        ([Size.BIG, True], "[3,true]"),
    ],
)
def test_what_is_like_json_is_written(value: JSON, text: str) -> None:
    """Tuples, mappings and enums need no conversion."""
    assert wire.dumps(value) == text


INSIDE_ITSELF: list[Any] = [{}]
INSIDE_ITSELF[0]["again"] = INSIDE_ITSELF


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        (Endpoint("a", math.nan), "nan has no form in JSON"),
        (Endpoint("a", [-math.inf]), "-inf has no form in JSON"),
        (Endpoint("a", 10**309), "an integer is beyond the range of Go's float64"),
        (Endpoint("a", -(10**5000)), "an integer is beyond the range of Go's float64"),
        (Endpoint("a", "x\ud800"), "half of a surrogate pair in text: '\\ud800'"),
        (Endpoint("a", {"\udfff": 1}), "half of a surrogate pair in text: '\\udfff'"),
        (Endpoint("a\udc80"), "half of a surrogate pair in text: '\\udc80'"),
        (Endpoint(None), "the address is not a str but NoneType"),  # type: ignore[arg-type]
        (Endpoint(b"a"), "the address is not a str but bytes"),  # type: ignore[arg-type]
        (Endpoint("a", b"x"), "metadata can't hold bytes"),
        (Endpoint("a", bytearray()), "metadata can't hold bytearray"),
        (Endpoint("a", memoryview(b"")), "metadata can't hold memoryview"),
        (Endpoint("a", {"x": {1, 2}}), "metadata can't hold set"),  # type: ignore[dict-item]
        (Endpoint("a", [object()]), "metadata can't hold object"),  # type: ignore[list-item]
        (Endpoint("a", {1: 2}), "a member's name is not a str but int"),  # type: ignore[dict-item]
        (Endpoint("a", {None: 2, "a": 1}), "a member's name is not a str but NoneType"),  # type: ignore[dict-item]
        (Endpoint("a", INSIDE_ITSELF), "metadata is nested more than 9999 deep"),
    ],
    ids=lambda parameter: parameter if isinstance(parameter, str) else "",  # some are endless
)
def test_an_endpoint_that_is_refused_says_why(endpoint: Endpoint, reason: str) -> None:
    """Nothing is stored that Go could not read."""
    with pytest.raises(InvalidEndpointError) as refused:
        wire.encode(endpoint)
    assert str(refused.value) == reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (' {"a": [1, 1.0, "\\ud800"]}\n', {"a": [1, 1.0, "\ufffd"]}),
        ('"é"'.encode(), "é"),
        ("12345678901234567890123", 12345678901234567890123),
    ],
)
def test_metadata_is_read_from_text(text: str | bytes, value: JSON) -> None:
    """By the rules for stored values."""
    assert wire.loads(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("zone-a", "not JSON: a value expected at character 0, found 'zone-a'"),
        ("1 2", "not JSON: the end expected at character 2, found '2'"),
        ("NaN", "not JSON: a value expected at character 0, found 'NaN'"),
        ("1e999", "number out of range: 1e999"),
        ('"\udcff"', "not UTF-8"),
        (b'"\xff"', "not UTF-8"),
        ("[" * 10_000 + "]" * 10_000, "nested more than 9999 deep"),
    ],
    ids=lambda parameter: "" if len(parameter) > 99 else None,
)
def test_metadata_that_is_refused_says_why(text: str | bytes, reason: str) -> None:
    """In one short line: it becomes an error of the command line."""
    with pytest.raises(InvalidValueError) as refused:
        wire.loads(text)
    assert str(refused.value) == reason


def test_only_those_who_read_import_msgspec() -> None:
    """``etcdnaming add`` starts faster without."""
    program = (
        "import sys; from etcdnaming import wire; from etcdnaming.model import Endpoint\n"
        "wire.encode(Endpoint('a', wire.loads('{}'))); assert 'msgspec' not in sys.modules\n"
        "wire.decode(b'{}'); assert 'msgspec' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
