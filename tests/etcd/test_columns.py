"""Pages of a range that are decoded into a list for each field of their keys."""

from __future__ import annotations

from operator import attrgetter

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from etcdnaming.endpoints.decoding import stored_endpoint, stored_endpoints
from etcdnaming.etcd import rpc
from etcdnaming.etcd.columns import Columns, PageOfColumns
from etcdnaming.etcd.known_keys import CHANGE_BYTES, COLUMNS_FROM, Events

ROW = attrgetter("key", "value", "create_revision", "mod_revision", "version", "lease")
NUMBERS = st.sampled_from([0, 1, 127, 2**40, 2**63 - 1, -1])
VALUES = st.sampled_from([b"", b"x", b'{"Op":0,"Addr":"1:1","Metadata":{"a":1}}', b'{"Addr":1}'])
KEYS = st.builds(
    rpc.KeyValue,
    key=st.binary(min_size=1, max_size=3),
    value=VALUES,
    create_revision=NUMBERS,
    mod_revision=NUMBERS,
    version=NUMBERS,
    lease=NUMBERS,
)
PAGES = st.builds(
    rpc.RangeResponse,
    header=st.builds(rpc.ResponseHeader, revision=NUMBERS),
    kvs=st.lists(KEYS, max_size=9),
    more=st.booleans(),
    count=NUMBERS,
)


@given(PAGES)
def test_page_of_columns_equals_the_message(page: rpc.RangeResponse) -> None:
    """Whatever its keys leave out, and as endpoints too."""
    read = PageOfColumns.FromString(page.SerializeToString())

    assert (read.header, read.more, read.count) == (page.header, page.more, page.count)
    assert read.ByteSize() == page.ByteSize()
    assert [*map(ROW, read.kvs)] == [*map(ROW, page.kvs)]
    assert [*stored_endpoints(read.kvs)] == [stored_endpoint(kv) for kv in page.kvs]
    assert [*stored_endpoints(read.kvs[1:7])] == [stored_endpoint(kv) for kv in page.kvs[1:7]]


@pytest.mark.parametrize(("leases", "kind"), [((0, 0), True), ((7, 7), True), ((0, 7), False)])
def test_page_is_decoded_by_columns_unless_one_is_short(
    leases: tuple[int, int], kind: bool
) -> None:
    """A lease that only some keys have can't be assigned to them."""
    kvs = [rpc.KeyValue(key=b"k", value=b"v", lease=lease) for lease in leases]
    read = PageOfColumns.FromString(rpc.RangeResponse(kvs=kvs).SerializeToString())

    assert isinstance(read.kvs, Columns) is kind
    assert [kv.lease for kv in read.kvs] == [*leases]


def test_page_of_columns_refuses_what_is_no_message() -> None:
    """As the message does."""
    with pytest.raises(DecodeError):
        PageOfColumns.FromString(b"\x12\x05a")


@pytest.mark.parametrize("number", [1, COLUMNS_FROM - 1, COLUMNS_FROM])
def test_size_of_changes_counts_their_keys_and_values(number: int) -> None:
    """What waits for a slow user is limited by it, as rows and as columns."""
    kv = rpc.KeyValue(key=b"k" * 10, value=b"v" * 1000)
    events = Events.of([rpc.Event(kv=kv)] * number)

    assert isinstance(events.keys, Columns) is (number == COLUMNS_FROM)
    assert events.size == number * (CHANGE_BYTES + 1010)
