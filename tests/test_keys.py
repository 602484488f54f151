"""Targets, keys and ranges, without an etcd."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etcdnaming import keys
from etcdnaming.errors import InvalidEndpointError, InvalidKeyError, InvalidTargetError

NOTHING = ["", "/", "//", "etcd:///", "etcd://", "etcd:////"]


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("foo/bar/svc", "foo/bar/svc"),
        ("foo/bar/svc/", "foo/bar/svc"),
        ("etcd:///foo/bar/svc", "foo/bar/svc"),
        ("etcd:///foo/bar/svc/", "foo/bar/svc"),
        ("etcd://foo/bar/svc", "foo/bar/svc"),
        ("etcd://foo", "foo"),
        ("etcd:////foo", "/foo"),
        ("/foo", "/foo"),
        ("foo//", "foo/"),
        ("foo//svc", "foo//svc"),
        ("etcd:///foo%20bar/%ff", "foo bar/\udcff"),
        ("foo%20bar", "foo%20bar"),
    ],
)
def test_parse_target_accepts_four_forms(text: str, target: str) -> None:
    """Other slashes are kept: etcd's keys are bytes."""
    assert keys.parse_target(text) == target


@pytest.mark.parametrize("text", ["foo//", "etcd:////foo//", "foo/bar/"])
def test_parse_target_keeps_a_parsed_target(text: str) -> None:
    """The command line has parsed what it passes to the library."""
    target = keys.parse_target(text)
    assert keys.parse_target(target) == target
    assert keys.parse_target(keys.target_of(f"{target}/e1")) == target


@pytest.mark.parametrize("text", NOTHING)
def test_parse_target_refuses_an_empty_target(text: str) -> None:
    """Its range would be all of etcd. The message shows it as it was written."""
    with pytest.raises(InvalidTargetError) as refused:
        keys.parse_target(text)
    assert str(refused.value) == f"invalid target {text!r}: it names no service"
    with pytest.raises(InvalidTargetError):
        keys.range_of(text.removeprefix("etcd:").strip("/"))


@pytest.mark.parametrize("text", ["etcd://10.0.0.1:2379/foo", "etcd://root:secret@etcd/foo"])
def test_parse_target_refuses_a_host(text: str) -> None:
    """It would decide where the password is sent. A password in it is not shown."""
    with pytest.raises(InvalidTargetError, match="write etcd:///foo") as refused:
        keys.parse_target(text)
    assert "secret" not in str(refused.value)


@given(st.text(min_size=1).filter(lambda text: text.strip("/")), st.text())
def test_range_of_holds_only_the_keys_under_the_target(target: str, key: str) -> None:
    """``foo`` does not include ``foo_other``."""
    start, end = keys.range_of(target.encode("utf-8", "replace").decode())
    for name in (key, target + key, f"{target}/{key}", f"{target}_other/{key}"):
        data = name.encode("utf-8", "replace")
        assert (start <= data < end) == data.startswith(start)


@given(st.binary())
def test_decoded_key_encodes_to_the_same_bytes(data: bytes) -> None:
    """Also if it is not UTF-8."""
    assert keys.encode(keys.decode(data)) == data


@pytest.mark.parametrize("key", ["foo/e1", "/foo/bar/svc/e1", "foo/bar/svc", "foo/bar/svc_2/e1"])
def test_check_key_refuses_a_key_outside_its_target_in_gos_words(key: str) -> None:
    """People search for this message."""
    with pytest.raises(InvalidKeyError) as refused:
        keys.check_key(key, "foo/bar/svc")
    assert str(refused.value) == (
        f"endpoints: endpoint key should be prefixed with 'foo/bar/svc/' got: '{key}'"
    )


@pytest.mark.parametrize(
    ("key", "target"),
    [("svc/e1", "svc"), ("/a/b", "/a"), ("a//b", "a/"), ("a/b/", "a/b")],
)
def test_target_of_returns_the_part_before_the_last_slash(key: str, target: str) -> None:
    """The default of --target."""
    assert keys.target_of(key) == target


@pytest.mark.parametrize("key", ["e1", "/e1", "//e1", ""])
def test_target_of_refuses_a_key_without_a_target(key: str) -> None:
    """It would belong to a service without a name."""
    with pytest.raises(InvalidTargetError, match="TARGET/NAME"):
        keys.target_of(key)


def test_complete_key_appends_the_address_when_the_key_ends_in_a_slash() -> None:
    """Shorter to type, and unique."""
    assert keys.complete_key("foo/svc/", "[::1]:80") == "foo/svc/[::1]:80"
    assert keys.complete_key("foo/svc/e1", "[::1]:80") == "foo/svc/e1"


def test_complete_key_refuses_an_empty_address() -> None:
    """The key would have no name."""
    assert keys.complete_key("svc/e1", "") == "svc/e1"
    with pytest.raises(InvalidEndpointError, match="'svc/' has no name"):
        keys.complete_key("svc/", "")


def test_complete_key_refuses_an_address_with_a_slash() -> None:
    """``svc/`` + ``unix:/run/x`` would be a key of the target ``svc/unix:/run``."""
    with pytest.raises(InvalidEndpointError, match="write the KEY in full"):
        keys.complete_key("svc/", "unix:/run/x.sock")
