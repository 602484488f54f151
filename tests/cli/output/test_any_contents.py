"""Every format prints whatever etcd may contain, on a terminal of any width and in a pipe."""

from __future__ import annotations

import json

import yaml
from cli.output.samples import EVERYTHING, containing, printed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etcdnaming.cli.output import FORMATS
from etcdnaming.model import Endpoint, InvalidValue, StoredEndpoint

# Wide, combining and control characters, other syntaxes.
CHARACTERS = "e/019é字\u0301👍🏽\x1b\n\t :[]\\\"'\u202e-#&*?!|>%@`{},"
TEXT = st.text(st.sampled_from(CHARACTERS), max_size=12)
KEY = st.sampled_from(["e", "e1", "e10"]) | st.text(
    st.sampled_from(f"{CHARACTERS}\udcff"), min_size=1, max_size=12
)
REVISION = st.integers(1, 2**62)
LEASE = st.integers(0, 2**63 - 1)
METADATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(-1e300, 1e300) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
ENDPOINT = st.builds(Endpoint, TEXT, METADATA)
STORED = st.builds(StoredEndpoint, KEY, ENDPOINT, REVISION, REVISION, REVISION, LEASE)
INVALID = st.builds(InvalidValue, KEY, TEXT, st.binary(max_size=20), REVISION, LEASE)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(STORED, max_size=5),
    st.lists(INVALID, max_size=3),
    TEXT,
    st.integers(0, 10**9),
    st.sampled_from(FORMATS),
    st.none() | st.integers(1, 200),
)
def test_any_endpoints_are_printed(
    endpoints: list[StoredEndpoint],
    invalid: list[InvalidValue],
    text: str,
    number: int,
    name: str,
    columns: int | None,
) -> None:
    """JSON and YAML can be read back."""
    printings = containing(endpoints, invalid, text, number)
    assert printings.keys() < EVERYTHING.keys()
    for printing in printings.values():
        shown = printed(name, printing, columns)
        if name == "json":
            for line in shown.splitlines():
                json.loads(line)
        elif name == "yaml":
            list(yaml.safe_load_all(shown))
