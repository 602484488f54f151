"""The YAML format: each document means what the JSON object means."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from cli.output.samples import EVERYTHING, HEADER, RESULT, printed, stored
from hypothesis import example, given
from hypothesis import strategies as st
from wire_documents import metadata

from etcdnaming import keys
from etcdnaming.cli.output.yaml import YAMLDocuments
from etcdnaming.model import JSON, Listing

ODD = [
    "NO",
    "1e3",
    "null",
    "0x10",
    "~",
    "a: b",
    "- a",
    "#",
    "\u2028\x85\ufeff",
    "\0\x7f\x9f",
    "\\ud83d",
]


@pytest.mark.parametrize("what", EVERYTHING)
def test_yaml_format_prints_each_kind_of_result_as_json_does(what: str) -> None:
    """The members, their order and their types are equal."""
    document = yaml.safe_load(printed("yaml", EVERYTHING[what]))

    expected = json.loads(printed("json", EVERYTHING[what]))
    assert json.dumps(document) == json.dumps(expected)


def test_yaml_format_is_in_blocks() -> None:
    """Users read and edit it, so a value has a line of its own."""
    listing = Listing(HEADER, "svc", [stored("svc/e", "a:1", {"NO": [[], {}, [1]]})], [], 1, False)

    text = printed("yaml", lambda to: to.listing(listing, {}))

    assert text.endswith(
        """\
target: "svc"
count: 1
more: false
endpoints:
  - key: "svc/e"
    key_base64: null
    addr: "a:1"
    metadata:
      "NO":
        - []
        - {}
        - - 1
    create_revision: 70
    mod_revision: 72
    version: 2
    lease: "0"
invalid: []
"""
    )


def test_yaml_format_separates_documents() -> None:
    """A `---` stands between two documents only, so one result is one document."""
    text = printed("yaml", lambda to: to.transaction([RESULT, RESULT]))

    assert text.count("---\n") == 1
    lines = printed("json", lambda to: to.transaction([RESULT, RESULT])).splitlines()
    assert [*yaml.safe_load_all(text)] == [*map(json.loads, lines)]


rows = st.tuples(st.binary().map(keys.decode), st.text(), metadata)


@given(st.lists(rows, max_size=4))
@example([("svc/e", text, {text: [text, {text: 12345678901234567890123}]}) for text in ODD])
@example([("svc/e", "a", [1e21, 1e-7, -0.0, 1.5e300, {"k" * 2000: [{"k" * 2000: "v"}]}])])
@example([("svc/e", "\U000e0001", {"\U000e0001": "\\\U000e0001"})])
def test_yaml_format_preserves_every_value(rows: list[tuple[str, str, Any]]) -> None:
    """Strings stay strings, and integers of any size keep all digits."""
    found = [stored(*row) for row in rows]
    listing = Listing(HEADER, "svc", found, [], len(found), more=False)

    document = yaml.safe_load(printed("yaml", lambda to: to.listing(listing, {})))

    expected = json.loads(printed("json", lambda to: to.listing(listing, {})))
    assert json.dumps(document) == json.dumps(expected)


values: st.SearchStrategy[JSON] = metadata


@given(values)
def test_yaml_documents_accept_any_json_text(value: JSON) -> None:
    """The escapes of surrogate pairs and blanks between tokens included."""
    for text in (json.dumps(value), json.dumps(value, indent=1)):
        assert yaml.safe_load("".join(YAMLDocuments().convert([text]))) == json.loads(text)
