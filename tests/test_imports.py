"""Protobuf messages work beside other clients of etcd, on every protobuf from 3.20 to 7."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).parent.parent

READ_AND_WRITE = """
import warnings
{before}
with warnings.catch_warnings():
    warnings.simplefilter("error")
    import etcdnaming.etcd.rpc_pb2 as rpc
    import etcdnaming.xds.xds_pb2 as xds
{after}
kv = rpc.KeyValue(key=b"svc/e1", value=b"{{}}", lease=7)
assert rpc.RangeResponse.FromString(rpc.RangeResponse(kvs=[kv]).SerializeToString()).kvs[0] == kv
assert rpc.DESCRIPTOR.name == "etcdnaming/etcd/rpc.proto"
assert rpc.DESCRIPTOR.package == "etcdnaming.etcd"
node = xds.Node(id="n", locality=xds.Locality(zone="a"))
assert xds.Node.FromString(node.SerializeToString()) == node
assert xds.DESCRIPTOR.name == "etcdnaming/xds/xds.proto"
assert xds.DESCRIPTOR.package == "etcdnaming.xds"
import google.protobuf
print(google.protobuf.__version__)
"""

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]


def venv(at: Path, *requirements: str) -> Path:
    """Return the Python of a fresh environment with *requirements*."""
    subprocess.run([sys.executable, "-m", "venv", at], check=True)
    python = at / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
    return python


def run(python: Path, before: str = "", after: str = "", **environment: str) -> str:
    """Return what the program prints when *python* runs it."""
    program = READ_AND_WRITE.format(before=before, after=after)
    done = subprocess.run(
        [python, "-c", program],
        cwd=TOP,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("protobuf", ["3.20.3", "4.25.9", "5.29.5", "6.33.0", "7.36.2"])
def test_messages_work_on_every_protobuf_version(tmp_path: Path, protobuf: str) -> None:
    """In C (or upb) and in pure Python, and without a warning."""
    python = venv(tmp_path, "grpcio", f"protobuf=={protobuf}")

    assert run(python) == protobuf
    assert run(python, PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION="python") == protobuf


def test_messages_coexist_with_other_clients_of_etcd(tmp_path: Path) -> None:
    """python-etcd3 registers a file ``rpc.proto`` of its own in the same pool of messages."""
    python = venv(tmp_path, "etcd3==0.12.0", "protobuf<3.21", "setuptools<81", "pyetcd")

    for other in ("import etcd3", "import pyetcd", "import etcd3, pyetcd"):
        assert run(python, before=other) == run(python, after=other)
