"""Every format prints whatever etcd may contain, on a terminal of any width and in a pipe."""

from __future__ import annotations

import json

import yaml
from cli.output.samples import EVERYTHING, HEADER, Printing, printed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from etcdnaming.cli.output import FORMATS
from etcdnaming.cli.output.printers import (
    CheckedEndpoints,
    EndpointDetails,
    EndpointHealth,
    FoundEndpoints,
    GotEndpoints,
)
from etcdnaming.cli.output.streams import write_whole
from etcdnaming.errors import ConditionFailedError
from etcdnaming.model import (
    Condition,
    Deletion,
    Difference,
    Endpoint,
    InvalidValue,
    Keys,
    LeaseTTL,
    Listing,
    Plan,
    Services,
    StoredEndpoint,
    StoredKey,
    Update,
    UpdateResult,
)

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


def _everything(
    endpoints: list[StoredEndpoint], invalid: list[InvalidValue], text: str, number: int
) -> dict[str, Printing]:
    """Return a printing of *endpoints*, *invalid* values and *text* for most of `EVERYTHING`."""
    both: list[StoredEndpoint | InvalidValue] = [*endpoints, *invalid]
    ttls = {each.lease: number for each in endpoints}
    updates = (
        *(Update.add(each.key, each.endpoint, lease=each.lease) for each in endpoints),
        *(Update.delete(each.key) for each in invalid),
    )
    conditions = [Condition(each.key, number) for each in endpoints]
    result = UpdateResult(HEADER, updates, {each.key: each for each in both})
    listing = Listing(HEADER, text, endpoints, invalid, number, more=bool(number))
    keys = [StoredKey(each.key, number, number, number, each.lease) for each in endpoints]
    differences = [Difference(*each) for each in zip(updates, [None, *both], strict=False)]
    details = [EndpointDetails(each, LeaseTTL(number, number), text) for each in endpoints]
    health = [EndpointHealth(each, "UNREACHABLE", None, text) for each in endpoints]
    return {
        "changed": lambda to: to.changed(result, prev_kv=True),
        "deleted": lambda to: to.deleted(Deletion(HEADER, number, both), prev_kv=True),
        "listing": lambda to: to.listing(listing, ttls),
        "addrs": lambda to: to.addrs(listing),
        "keys": lambda to: to.keys(Keys(HEADER, text, keys, number, more=bool(number))),
        "services": lambda to: to.services(Services(HEADER, text, {text: number})),
        "got": lambda to: to.got(GotEndpoints(HEADER, details, invalid, [text])),
        "found": lambda to: to.found(FoundEndpoints(text, number, endpoints), ttls),
        "checked": lambda to: to.checked(CheckedEndpoints(HEADER, text, health, invalid)),
        "transaction": lambda to: to.transaction([result]),
        "failure": lambda to: to.failure(ConditionFailedError(conditions, HEADER), updates),
        "plan": lambda to: to.plan(updates, conditions),
        "differences": lambda to: to.differences(
            Plan(HEADER, text, differences, [], both), done=bool(number)
        ),
        "export": lambda to: write_whole(to.export_lines([listing])),
    }


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
    printings = _everything(endpoints, invalid, text, number)
    assert printings.keys() < EVERYTHING.keys()
    for printing in printings.values():
        shown = printed(name, printing, columns)
        if name == "json":
            for line in shown.splitlines():
                json.loads(line)
        elif name == "yaml":
            list(yaml.safe_load_all(shown))
