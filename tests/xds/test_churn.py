"""Channels that live for one call: gRPC hides in a request what it leaves and asks for again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from harness.backends import Backends
from harness.xds import CLIENTS, Language, Xds, languages

from etcdnaming import Client
from etcdnaming.xds.bootstrap import Bootstrap, bootstrap

from .conftest import Service

CHURN = Path(__file__).parent.parent / "harness" / "churn"

TIMES = 400


@pytest.fixture
def churn(
    xds: Xds, client: Client, backends: Backends, tmp_path: Path
) -> Callable[[Sequence[str], int], object]:
    """``churn(command, times)``: what became of so many calls, to 24 services in one process."""
    answers: dict[int, str] = {}
    for n in range(24):
        answers[n] = backends().addr if n < 4 else answers[n % 4]
        Service(client, f"foo/svc-{n}").add(answers[n])
    bridge = xds.bridge("foo")
    file = tmp_path / "xds.json"
    file.write_text(bootstrap(Bootstrap(bridge.address, "churn")))
    targets = [f"xds:///foo/svc-{n}={addr}" for n, addr in answers.items()]
    packages = {"NODE_PATH": str(CLIENTS / "node" / "node_modules")}

    def churn(command: Sequence[str], times: int) -> object:
        done = subprocess.run(
            [*command, str(times), *targets],
            env={**os.environ, **packages, "GRPC_XDS_BOOTSTRAP": str(file)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)["found"]

    return churn


@pytest.mark.parametrize("language", languages(without={"cpp", "rust"}), indirect=True)
def test_channels_that_come_and_go_lose_no_call(
    churn: Callable[[Sequence[str], int], object], language: Language
) -> None:
    """In one process, from several threads. C++ has the same core as Python and Ruby."""
    assert churn(_command(language), TIMES) == {"good": TIMES}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_channels_of_old_grpc_that_come_and_go_lose_no_call(
    churn: Callable[[Sequence[str], int], object], tmp_path: Path
) -> None:
    """Up to 1.65 all channels of a process share a stream."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([venv / "bin" / "pip", "install", "--quiet", "grpcio==1.60.2"], check=True)
    command = [str(venv / "bin" / "python"), str(CHURN / "churn.py")]

    assert churn(command, 8 * TIMES) == {"good": 8 * TIMES}


def _command(language: Language) -> Sequence[str]:
    """Return the command; its libraries are those of the client in *language*."""
    client = language.command()
    if language.name == "go":
        program = CLIENTS / "go" / "build" / "churn"
        build = ["go", "build", "-o", str(program), str(CHURN / "churn.go")]
        subprocess.run(build, cwd=CLIENTS / "go", check=True)
        return [str(program)]
    if language.name == "java":
        return [*client[:-1], str(CHURN / "Churn.java")]
    suffix = {"python": "py", "node": "js", "ruby": "rb"}[language.name]
    return [client[0], str(CHURN / f"churn.{suffix}")]
