"""Metadata and stored values, made up by Hypothesis: good ones, odd ones and broken ones."""

from __future__ import annotations

import json
from typing import Any, TypeAlias

from hypothesis import strategies as st

__all__ = ["as_go_holds_it", "metadata", "texts", "values"]

Texts: TypeAlias = st.SearchStrategy[str]

# fmt: off
LITERALS = [
    "null", "true", "false", "nul", "NaN", "-Infinity",
    "0", "-0", "1", "-1", "255", "256", "007", "-", "--", "0-0", "1.", ".5", "1e5", "1E+5", "1e0",
    "1.0", "-0.0", "-0.5", "1e-7", "1e999", "-1e-999", "1.7976931348623159e308",
    "18446744073709551615", "18446744073709551616", "-9223372036854775809",
    *("1" * digits for digits in (300, 308, 309, 310, 4300, 4301)),
    '""', '"a"', '"-0"', '",-0"', '"Addr"', r'"\/"', r'"\x"', r'"\u0041"', r'"\u00"', r'"\u0000"',
    r'"\ud83d"', r'"\ude00"', r'"\ud83d\ude00"', r'"\uD83D\uD83D\uDE00"', r'"\ud83d\n"', r'"\"',
    *(f'"{character}"' for character in "é€😀\ud83d\ude00\u2028\ufeff\x7f\x00\x1f\n"),
]
NAMES = [
    "Op", "Addr", "Metadata", "op", "OP", "addr", "aDdR", "metadata", "METADATA",
    "Key", "Addr ", "", r"\u0041ddr", r"\u006fp", r"Addr\u0000", "Ad\ud800", "\u212aey",
]
FRAGMENTS = [
    *(literal.encode("utf-8", "surrogatepass") for literal in LITERALS),
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b" ", b"\t", b"\n", b"\r", b"\v", b"\x00",
    b"{}", b"[]", b'"Addr":', b'"Metadata":', b'"Op":', b"-0", b"e9", b"NaN", b"//",
    b"\xff", b"\x80", b"\xe2\x82", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\xc0\x80", b"\xef\xbb\xbf",
]
# fmt: on

texts: Texts = st.text(st.characters(exclude_categories=["Cs"]))
"""Texts without halves of surrogate pairs."""

integers = st.integers() | st.integers(-(2**1023), 2**1023)
floats = st.floats(allow_nan=False, allow_infinity=False)

metadata: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | integers | floats | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=10,
)
"""Metadata that Go could hold."""

literals: Texts = (
    st.sampled_from(LITERALS)
    | integers.map(str)
    | floats.map(repr)
    | texts.map(json.dumps)
    | texts.map(lambda text: json.dumps(text, ensure_ascii=False))
)
blanks = st.sampled_from(["", "", "", " ", "\t", "\r\n"])


def arrays(elements: Texts) -> Texts:
    """JSON arrays of *elements*."""
    return st.lists(elements, max_size=4).map(lambda items: f"[{','.join(items)}]")


def objects(elements: Texts) -> Texts:
    """JSON objects of *elements*, with names that Go may know."""
    members = st.builds('{2}"{0}"{2}:{2}{1}{2}'.format, st.sampled_from(NAMES), elements, blanks)
    return st.lists(members, max_size=4).map(lambda items: f"{{{','.join(items)}}}")


documents = objects(
    st.recursive(literals, lambda inner: arrays(inner) | objects(inner), max_leaves=5)
).map(lambda document: document.encode("utf-8", "surrogatepass"))


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Documents in which something was replaced by a fragment."""
    document = draw(documents)
    start = draw(st.integers(0, len(document)))
    end = start + draw(st.integers(0, 3))
    return document[:start] + draw(st.sampled_from(FRAGMENTS)) + document[end:]


values: st.SearchStrategy[bytes] = st.one_of(
    documents,
    damaged(),
    st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(b"".join),
    st.binary(),
)
"""Whatever somebody might have stored."""


def as_go_holds_it(value: Any) -> Any:
    """Return *value*, however deep, with floats for all integers."""
    whole = [value]
    unfinished: list[tuple[Any, Any]] = [(whole, 0)]
    while unfinished:
        container, place = unfinished.pop()
        inner = container[place]
        if type(inner) is int:
            container[place] = float(inner)
        elif isinstance(inner, dict):
            container[place] = dict(inner)
            unfinished += [(container[place], name) for name in inner]
        elif isinstance(inner, list):
            container[place] = list(inner)
            unfinished += [(container[place], index) for index in range(len(inner))]
    return whole[0]
