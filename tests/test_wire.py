"""The stored form, compared with what Go's client writes and reads (``tests/data``)."""

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
from etcdnaming.model import JSON, Endpoint
from etcdnaming.wire.decoding import decode_by_go_rules
from etcdnaming.wire.encoding import dumps_by_go_rules

DATA = Path(__file__).parent / "data"

Vector: TypeAlias = dict[str, Any]
Reader: TypeAlias = Callable[[bytes], Endpoint]

thorough = settings(max_examples=300)


def vectors(name: str) -> list[Vector]:
    """Return the golden vectors of the file *name*; ``tools/vectors.py`` describes them."""
    return [json.loads(line) for line in (DATA / name).read_text().splitlines()]


def joined(text: str | list[tuple[str, int]]) -> str:
    """Return the text of a vector, which may be stored as parts with repeat counts."""
    return text if isinstance(text, str) else "".join(part * times for part, times in text)


def value_of(vector: Vector) -> bytes:
    """Return the bytes that Go was given to read."""
    if "base64" in vector:
        return base64.b64decode(vector["base64"])
    return joined(vector["value"]).encode()


def is_answer(text: str, answer: str | dict[str, str]) -> bool:
    """Return whether *text* equals Go's answer, which may be stored as a hash."""
    if isinstance(answer, str):
        return text == answer
    return hashlib.sha256(text.encode()).hexdigest() == answer["sha256"]


def is_written(vector: Vector) -> bool:
    """Return whether `encode` writes what Go wrote, or refuses what Go could not read back."""
    try:
        endpoint = Endpoint(vector["addr"], wire.loads(joined(vector["metadata"])))
        value = wire.encode(endpoint).decode()
    except (InvalidEndpointError, InvalidValueError):
        return "unreadable" in vector
    return "unreadable" not in vector and is_answer(value, vector["value"])


def is_read(vector: Vector, reader: Reader) -> bool:
    """Return whether *reader* decodes as Go did, or refuses what Go skipped."""
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
    """Return the first characters of each of *vectors*."""
    return [json.dumps(vector)[:200] for vector in vectors]


def outcome(reader: Reader, value: bytes) -> str:
    """Return the result as text, which distinguishes 1, 1.0 and True, and 0.0 from -0.0."""
    try:
        return repr(reader(value))
    except InvalidValueError as exc:
        return f"refused: {exc}"


def test_encode_writes_the_bytes_of_go() -> None:
    """Metadata that Go writes but can't read again is refused."""
    known = vectors("wire_write.jsonl")
    assert len(known) > 150
    assert shown(vector for vector in known if not is_written(vector)) == []


@pytest.mark.parametrize("reader", [wire.decode, decode_by_go_rules])
def test_decode_accepts_and_refuses_the_same_values_as_go(reader: Reader) -> None:
    """The result is the same, except that integers are floats in Go."""
    known = vectors("wire_read.jsonl")
    assert len(known) > 900
    assert shown(vector for vector in known if not is_read(vector, reader)) == []


def test_decode_all_equals_decode_of_each_value() -> None:
    """The other values in the list do not matter."""
    values = [value_of(vector) for vector in vectors("wire_read.jsonl")]
    values = [each for each in values if each.count(b"[") + each.count(b"{") < 100]  # for repr
    for beginning in range(0, len(values), 7):
        few = values[beginning : beginning + 7]
        assert [repr(found) for found in wire.decode_all(few)] == [
            repr(alone(each)) for each in few
        ]


def test_decode_all_equals_decode_of_a_value_among_ordinary_ones() -> None:
    """One value that needs Go's rules is noticed, although all others are decoded fast."""
    ordinary = wire.encode(Endpoint("10.0.0.1:80", {"weight": 1}))
    for value in map(value_of, vectors("wire_read.jsonl")):
        _, found, _ = wire.decode_all([ordinary, value, ordinary])
        expected = alone(value)
        assert type(found) is type(expected)
        if value.count(b"[") + value.count(b"{") < 100:  # for repr
            assert repr(found) == repr(expected)


def alone(value: bytes) -> Endpoint | InvalidValueError:
    """Return the endpoint, or the error."""
    try:
        return decode_by_go_rules(value)
    except InvalidValueError as exc:
        return exc


@thorough
@given(texts, metadata)
def test_decode_reads_what_encode_wrote(addr: str, metadata: JSON) -> None:
    """A large float without a fraction comes back as another integer that is the same float."""
    endpoint = wire.decode(wire.encode(Endpoint(addr, metadata)))
    assert endpoint.addr == addr
    assert as_go_holds_it(endpoint.metadata) == as_go_holds_it(metadata)


@thorough
@given(metadata)
def test_dumps_fast_path_equals_go_rules(metadata: JSON) -> None:
    """Both give the same text for all metadata that JSON can express."""
    assert wire.dumps(metadata) == dumps_by_go_rules(metadata)


@thorough
@given(values)
def test_dumps_again_equals_go_rules_for_decoded_values(value: bytes) -> None:
    """Both give the same text where msgspec does the writing, too."""
    try:
        metadata = wire.decode(value).metadata
    except InvalidValueError:
        return
    assert wire.dumps_again(metadata) == dumps_by_go_rules(metadata)


@thorough
@given(metadata)
def test_dumps_again_equals_go_rules_for_generated_metadata(metadata: JSON) -> None:
    """Numbers are where encoders differ most."""
    read = wire.decode(wire.encode(Endpoint("", metadata))).metadata
    assert wire.dumps_again(read) == dumps_by_go_rules(read)


def test_dumps_again_writes_nesting_deeper_than_msgspec_allows() -> None:
    """Go's rules are used where msgspec fails."""
    read = wire.loads("[" * 9_000 + "]" * 9_000)
    assert wire.dumps_again(read) == dumps_by_go_rules(read)


@thorough
@given(metadata)
def test_loads_reads_what_dumps_wrote(metadata: JSON) -> None:
    """Metadata in the output of ``list`` can be passed to ``--metadata-json``."""
    text = wire.dumps(metadata)
    assert wire.dumps(wire.loads(text)) == text
    assert as_go_holds_it(wire.loads(text)) == as_go_holds_it(metadata)


@settings(thorough, max_examples=600)
@given(values)
def test_decode_fast_path_equals_go_rules(value: bytes) -> None:
    """Where msgspec may differ from Go, its result is not used."""
    assert outcome(wire.decode, value) == outcome(decode_by_go_rules, value)


@pytest.mark.parametrize("digits", [308, 309, 400, 4300, 4301])
@pytest.mark.parametrize("offset", range(0, 100, 7))
def test_decode_finds_an_integer_out_of_range_at_any_offset(digits: int, offset: int) -> None:
    """The fast path samples only every hundredth byte."""
    value = b'{"Addr":"%s","Metadata":[%s]}' % (b"a" * offset, b"1" * digits)
    assert outcome(wire.decode, value) == outcome(decode_by_go_rules, value)


def test_decode_keeps_all_digits_of_an_integer() -> None:
    """Go decodes every number to a float; nothing else differs."""
    value = b'{"Op":0,"Addr":"a","Metadata":[9007199254740993,123456789012345678901234567890]}'
    assert wire.decode(value).metadata == [9007199254740993, 123456789012345678901234567890]
    assert wire.encode(wire.decode(value)) == value


def test_decode_keeps_the_sign_of_minus_zero() -> None:
    """The integer -0 is decoded as a float, as in Go."""
    value = b'{"Op":0,"Addr":"web-0","Metadata":{"a":-0}}'
    assert wire.encode(wire.decode(value)) == value


def test_member_names_have_no_letter_with_other_case_folds() -> None:
    """Go folds some Unicode letters to k and s, unlike lower(); no member name has k or s."""
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
def test_decode_error_states_the_reason(value: bytes, reason: str) -> None:
    """The text is one short line, which is shown as a warning."""
    with pytest.raises(InvalidValueError) as refused:
        wire.decode(value)
    assert str(refused.value) == reason


class Colour(str, enum.Enum):
    """A subclass of str."""

    RED = "red"


class Size(enum.IntEnum):
    """A subclass of int."""

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
def test_dumps_writes_tuples_mappings_and_enums(value: JSON, text: str) -> None:
    """The caller need not convert them."""
    assert wire.dumps(value) == text


@pytest.mark.parametrize("escaped_by_go_only", ["<", ">", "&", "\u2028", "é"])
@pytest.mark.parametrize(
    "escaped_by_both", ["\\", '"', "\b", "\f", "\n", "\r", "\t", "\x00", "\x1f"]
)
def test_dumps_escapes_both_kinds_of_characters_in_one_text(
    escaped_by_both: str, escaped_by_go_only: str
) -> None:
    """A text with a character of the second kind is not written by Python's own function."""
    text = f"a{escaped_by_both}b{escaped_by_go_only}c"
    assert json.loads(wire.dumps(text)) == text
    assert json.loads(wire.dumps({text: [text]})) == {text: [text]}


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
    ids=lambda parameter: (
        parameter if isinstance(parameter, str) else ""
    ),  # some have an endless repr
)
def test_encode_error_states_the_reason(endpoint: Endpoint, reason: str) -> None:
    """An endpoint that Go could not read is never stored."""
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
def test_loads_decodes_by_the_rules_of_stored_values(text: str | bytes, value: JSON) -> None:
    """Any JSON value is accepted, as text or bytes."""
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
def test_loads_error_states_the_reason(text: str | bytes, reason: str) -> None:
    """The text is one short line, which the command line shows as an error."""
    with pytest.raises(InvalidValueError) as refused:
        wire.loads(text)
    assert str(refused.value) == reason


def test_wire_imports_msgspec_only_for_the_first_decode() -> None:
    """``etcdnaming add`` starts faster without it."""
    program = (
        "import sys; from etcdnaming import wire; from etcdnaming.model import Endpoint\n"
        "wire.encode(Endpoint('a', wire.loads('{}'))); assert 'msgspec' not in sys.modules\n"
        "wire.decode(b'{}'); assert 'msgspec' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
