"""
The cost of hot paths on any machine: function calls and imported modules.

Benchmarks measure time; these tests fail when a path gets longer. When one gets shorter by more
than a quarter they fail too, so that the new number is noted here.
"""

from __future__ import annotations

import gc
import subprocess
import sys
from collections.abc import Callable
from types import FrameType

import pytest
from harness import Etcd
from harness.environment import pointing_at

import etcdnaming
from etcdnaming import Client, Endpoint, EndpointManager, wire
from etcdnaming.cli.output import json_objects as objects
from etcdnaming.endpoints.decoding import stored_endpoints
from etcdnaming.etcd import rpc

OURS = etcdnaming.__file__.removesuffix("__init__.py")

MANY = 1000
ENDPOINTS = [Endpoint(f"10.0.0.1:{n}", {"zone": "a", "weight": n}) for n in range(1, MANY + 1)]
VALUES = [wire.encode(each) for each in ENDPOINTS]
STORED = stored_endpoints([rpc.KeyValue(key=b"svc/e", value=each) for each in VALUES])

MODULES = """
import sys
from etcdnaming.cli import main
status = main(sys.argv[1:])
modules = [each for each in sys.modules if not each.startswith("encodings")]
print(status, len(modules), file=sys.stderr)
"""


def calls(work: Callable[[], object]) -> int:
    """Return the calls by *work* of functions in this package, and of C functions from there."""
    # Generators that other tests left suspended run once more when they are collected: not now.
    gc.collect()
    gc.disable()
    counted = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal counted
        if event in ("call", "c_call") and frame.f_code.co_filename.startswith(OURS):
            counted += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
        gc.enable()
    return counted


def about(most: float) -> object:
    """Equal what is *most*, or up to a quarter less: Pythons before 3.12 call comprehensions."""
    return pytest.approx(most * 7 / 8, abs=most / 8)


def test_decode_all_makes_no_call_per_value() -> None:
    """msgspec and C do the work."""
    wire.decode_all(VALUES)  # imports what it needs

    assert calls(lambda: wire.decode_all(VALUES)) < 20


def test_stored_endpoints_makes_two_calls_per_key() -> None:
    """One of them decodes the key."""
    kvs = [rpc.KeyValue(key=b"svc/e", value=each) for each in VALUES]

    assert calls(lambda: stored_endpoints(kvs)) / MANY == about(2.1)


def test_encode_makes_few_calls() -> None:
    """One for each value of the metadata."""
    assert calls(lambda: [wire.encode(each) for each in ENDPOINTS]) / MANY == about(20)


def test_json_line_makes_few_calls() -> None:
    """One for all of the metadata."""
    objects.stored(STORED[0])  # imports what it needs

    assert calls(lambda: [objects.stored(each) for each in STORED]) / MANY == about(19)


def test_add_makes_few_calls_above_grpc(etcd: Etcd) -> None:
    """From the manager's method to the result, without the calls inside gRPC."""
    with Client([etcd.endpoint]) as client:
        manager = EndpointManager(client, "svc")
        manager.add_endpoint("svc/e1", ENDPOINTS[0])  # connects

        assert calls(lambda: manager.add_endpoint("svc/e1", ENDPOINTS[0])) == about(122)


@pytest.mark.parametrize(
    ("args", "most"),
    [(["--help"], 120), (["add", "svc/e1", "--addr", "1:1"], 237), (["list", "svc"], 257)],
    ids=["help", "add", "list"],
)
def test_command_imports_few_modules_at_start(etcd: Etcd, args: list[str], most: int) -> None:
    """Python's own and click's among them."""
    done = subprocess.run(
        [sys.executable, "-c", MODULES, *args],
        env=pointing_at(etcd.endpoint, None),
        capture_output=True,
        check=True,
        text=True,
    )
    status, modules = map(int, done.stderr.split())

    assert (status, modules) == (0, about(most))
