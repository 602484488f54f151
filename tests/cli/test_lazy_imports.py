"""Modules that gRPC and protobuf import are loaded on first use, in the command line only."""

from __future__ import annotations

import subprocess
import sys

import pytest
from harness import Etcd
from harness.environment import Changes, pointing_at

# The type of a deferred module changes when it is loaded.
LOADED = """
def loaded(names):
    return [
        name
        for name in names
        if name in sys.modules and type(sys.modules[name]).__name__ != "_LazyModule"
    ]
"""

COMMAND = f"""
import gc, sys
from etcdnaming.cli import main
from etcdnaming.cli.grpc_import import DEFERRED
{LOADED}
gc.disable()
status = main(sys.argv[1:])
deferred = [name for name in DEFERRED if name in sys.modules]
parts = [name for name in sys.modules if name.startswith(("asyncio.", "grpc.aio."))]
print(status, gc.isenabled(), "asyncio" in deferred, *loaded(DEFERRED), *parts, file=sys.stderr)
"""


def output_of(script: str, *args: str, etcd: Etcd | None = None, env: Changes | None = None) -> str:
    """Return the last line that a Python program prints on stderr."""
    done = subprocess.run(
        [sys.executable, "-c", script, *args],
        env=pointing_at(etcd.endpoint if etcd else "127.0.0.1:1", env),
        capture_output=True,
        text=True,
        check=True,
    )
    return "".join(done.stderr.splitlines()[-1:])


@pytest.mark.parametrize(
    "args",
    [
        ["add", "svc/e1", "--addr", "1:1"],
        ["list", "svc"],
        ["watch", "svc", "--timeout", "0.1s"],
    ],
    ids=lambda args: args[0],
)
def test_command_loads_no_deferred_module(etcd: Etcd, args: list[str]) -> None:
    """But the garbage collector runs again, for the commands that stay."""
    status, collects, deferred, *loaded = output_of(COMMAND, *args, etcd=etcd).split()

    assert (collects, deferred, loaded) == ("True", "True", []), status


def test_command_works_with_the_pure_python_protobuf(etcd: Etcd) -> None:
    """Which uses a deferred module for every message."""
    env = {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    args = ["add", "svc/e1", "--addr", "1:1"]
    status, *_, loaded = output_of(COMMAND, *args, etcd=etcd, env=env).split()

    assert (status, loaded) == ("0", "google.protobuf.internal.python_message")


USES = {
    "asyncio": "import asyncio; assert asyncio.run(asyncio.sleep(0, 1)) == 1",
    "asyncio-again": "asyncio = sys.modules['asyncio']; asyncio.run(asyncio.sleep(0))",
    "grpc.aio": """
import asyncio
async def state():
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        return channel.get_state()
assert asyncio.run(state()) is grpc.ChannelConnectivity.IDLE
""",
    "submodule": "from grpc.aio import _call as part; assert part.UnaryUnaryCall",
    "protobuf": """
from google.protobuf import text_format
from google.protobuf.internal import python_message
from etcdnaming.etcd import rpc
assert python_message.GeneratedProtocolMessageType
assert "key" in text_format.MessageToString(rpc.KeyValue(key=b"k"))
""",
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_deferred_module_works_when_it_is_used(use: str) -> None:
    """As if it had been imported at once."""
    script = f"""
import sys
from etcdnaming.cli.grpc_import import deferred_imports
with deferred_imports():
    import grpc
    import etcdnaming.etcd
{use}
"""
    assert output_of(script) == ""


def test_library_defers_no_module() -> None:
    """An import hook would be a side effect on the program."""
    script = f"""
import sys
{LOADED}
before = [*sys.meta_path]
import etcdnaming
etcdnaming.Client
assert sys.meta_path == before
assert not any(type(each).__name__ == "_LazyModule" for each in sys.modules.values())
assert "etcdnaming.cli" not in sys.modules
"""
    assert output_of(script) == ""
