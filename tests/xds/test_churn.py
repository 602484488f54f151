"""Channels that live for one call: gRPC hides in a request what it leaves and asks for again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from harness.backends import Backends
from harness.xds import Xds

from etcdnaming import Client
from etcdnaming.xds.bootstrap import Bootstrap, bootstrap

from .conftest import Service

CHURN = Path(__file__).parent.parent / "harness" / "churn.py"


@pytest.fixture(
    params=[
        "",
        pytest.param("1.60.2", marks=[pytest.mark.long, pytest.mark.timeout(600)]),
    ]
)
def python(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A Python with a version of grpcio; up to 1.65 all channels of a process share a stream."""
    if not request.param:
        return Path(sys.executable)
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    wanted = f"grpcio=={request.param}"
    subprocess.run([venv / "bin" / "pip", "install", "--quiet", wanted], check=True)
    return venv / "bin" / "python"


def test_channels_that_come_and_go_lose_no_call(
    xds: Xds, client: Client, backends: Backends, tmp_path: Path, python: Path
) -> None:
    """In one process, from several threads."""
    times = 400 if python == Path(sys.executable) else 3200
    answers: dict[int, str] = {}
    for n in range(24):
        answers[n] = backends().addr if n < 4 else answers[n % 4]
        Service(client, f"foo/svc-{n}").add(answers[n])
    bridge = xds.bridge("foo")
    file = tmp_path / "xds.json"
    file.write_text(bootstrap(Bootstrap(bridge.address, "churn")))
    targets = [f"xds:///foo/svc-{n}={addr}" for n, addr in answers.items()]

    done = subprocess.run(
        [str(python), str(CHURN), str(times), *targets],
        env={**os.environ, "GRPC_XDS_BOOTSTRAP": str(file)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout)["found"] == {"good": times}, done.stdout
