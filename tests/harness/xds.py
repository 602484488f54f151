"""The xDS bridge as a process, and its clients: real ones in several languages, and a bare one."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter, deque
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest

from etcdnaming.sandbox import free_port
from etcdnaming.xds import xds_pb2 as xds
from etcdnaming.xds.bootstrap import Bootstrap, bootstrap
from etcdnaming.xds.bridge.server import STREAM
from etcdnaming.xds.names import Kind

from .backends import method
from .etcdctl import Etcdctl
from .examples import EXAMPLES
from .process import Process, Spawn
from .waiting import TIMEOUT, listens, wait_until

__all__ = [
    "CLIENTS",
    "Ads",
    "Bridge",
    "Call",
    "Caller",
    "Language",
    "Xds",
    "addresses",
    "languages",
]

CLIENTS = EXAMPLES / "xds"

BUILD_TIMEOUT = 3600
"""Seconds for the slowest compiler, on a busy machine that has none of the libraries yet."""


class Language(NamedTuple):
    """A language and, where several are tested, the version of its gRPC."""

    name: str
    version: str = ""

    @property
    def shown(self) -> str:
        """Its usual name, with the version of its gRPC."""
        if self.name == "go":
            found = re.search(r"google.golang.org/grpc v(\S+)", (CLIENTS / "go/go.mod").read_text())
            return f"Go {found[1] if found else ''}"
        if self.name == "node":
            package = json.loads((CLIENTS / "node" / "package.json").read_text())
            return f"Node {package['dependencies']['@grpc/grpc-js-xds']}"
        if self.name == "cpp":
            return f"C++ {_output('pkg-config', '--modversion', 'grpc++')}"
        if self.name == "ruby":
            return f"Ruby {_output('ruby', '-rgrpc', '-e', 'print GRPC::VERSION')}"
        if self.name == "rust":
            found = re.search(r'tonic-xds = .*"=(\S+)"', (CLIENTS / "rust/Cargo.toml").read_text())
            return f"Rust {found[1] if found else ''}"
        return f"{self.name.title()} {self.version}".strip()

    @functools.cache  # noqa: B019 - there are few languages
    def command(self) -> list[str]:
        """Return the command that runs its client, which is built if necessary."""
        with (CLIENTS / f".{self.name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # another worker of the tests may be building it, too
            return list(_BUILD[self.name](self.version))


def languages(*, without: Collection[str] = ()) -> list[Any]:
    """
    Return the values of the fixture *language*; some are marked for other runs.

    The fixture builds the client. That takes minutes on a machine that has built none yet, so it
    does not count for the timeout of the test.
    """
    built = pytest.mark.timeout(180, func_only=True)
    interop, long = (pytest.mark.interop, built), (pytest.mark.long, built)
    found = [
        pytest.param(Language("python"), id="python"),
        pytest.param(Language("go"), marks=interop, id="go"),
        pytest.param(Language("node"), marks=interop, id="node"),
        pytest.param(Language("java", "1.85.1"), marks=interop, id="java"),
        pytest.param(Language("cpp"), marks=long, id="cpp"),
        pytest.param(Language("ruby"), marks=long, id="ruby"),
        pytest.param(Language("rust"), marks=long, id="rust"),
    ]
    return [each for each in found if each.id not in without]


class Call(NamedTuple):
    """
    One call: when it began (seconds since the epoch), its duration, and its result.

    *answer* is the address of the server that answered; if the call failed, it is empty and *error*
    is set.
    """

    at: float
    seconds: float
    answer: str
    error: str


class Caller:
    """
    A client in a process of its own that calls repeatedly.

    *enough*: the number of calls for each endpoint that show which endpoints a client calls.
    """

    def __init__(self, process: Process, enough: int) -> None:
        self._process, self._enough = process, enough

    @property
    def calls(self) -> list[Call]:
        """All calls that have ended."""
        lines = self._process.out.rpartition("\n")[0].splitlines()
        found = [json.loads(line) for line in lines if line.startswith("{")]
        return [
            Call(each["t"] / 1000, each["d"] / 1000, each.get("p", ""), each.get("e", ""))
            for each in found
            if "d" in each
        ]

    @property
    def errors(self) -> list[str]:
        """
        The errors of the calls so far.

        Those before the first answer do not count: the bridge may not have the endpoints yet.
        """
        calls = self.calls
        first = next((number for number, call in enumerate(calls) if call.answer), 0)
        return [call.error for call in calls[first:] if call.error]

    def answers(self, last: int = 0) -> Counter[str]:
        """Count the *last* calls by the server that answered."""
        return Counter(call.answer for call in self.calls[-last:])

    def wait_for(self, *answers: str, last: int = 0, timeout: float = TIMEOUT) -> None:
        """Return when all of these servers, and no others, answer the next calls."""
        seen, last = len(self.calls), last or self._enough * len(answers)

        def reached() -> bool:
            newest = self.calls[seen:][-last:]
            return len(newest) == last and {call.answer for call in newest} == set(answers)

        try:
            wait_until(reached, timeout)
        except AssertionError:
            tail = self.calls[-5:]
            raise AssertionError(f"not {answers}: {tail}, {self._process.err[-2000:]}") from None

    def wait_for_calls(self, number: int, timeout: float = TIMEOUT) -> None:
        """Return after *number* more calls."""
        wanted = len(self.calls) + number
        wait_until(lambda: len(self.calls) >= wanted, timeout)

    def still_works(self, *answers: str) -> bool:
        """Return whether all calls so far were answered, and only by these servers."""
        return {call.answer for call in self.calls} == set(answers) and not self.errors

    def finish(self, timeout: float = TIMEOUT) -> list[Call]:
        """Return all calls when the client has made the requested number of them."""
        self._process.finish(timeout)
        return self.calls

    def signal(self, number: int) -> None:
        """Send a signal to the client."""
        self._process.signal(number)

    def close(self) -> None:
        """Stop the client."""
        self._process.close()


class Bridge:
    """``etcdnaming xds-bridge`` on a port that stays the same from one start to the next."""

    def __init__(self, spawn: Spawn, *args: str, host: str = "127.0.0.1") -> None:
        self.port, self.admin_port = free_port(), free_port()
        self.address = f"{host}:{self.port}"
        self._spawn = spawn
        self._args = [
            "xds-bridge",
            *args,
            f"--listen={self.address}",
            f"--admin=127.0.0.1:{self.admin_port}",
        ]
        self.process = self.launch()

    def launch(self, *args: str) -> Process:
        """Start the bridge without waiting."""
        self.process = self._spawn(*self._args, *args)
        return self.process

    def start(self, *args: str) -> Bridge:
        """Start the bridge again, and wait until it listens."""
        self.launch(*args)
        return self.wait()

    def wait(self) -> Bridge:
        """Return when the bridge listens."""
        self.process.wait_for_err("serving ", TIMEOUT)
        return self

    def kill(self, number: int) -> None:
        """End the bridge by a signal."""
        self.process.signal(number)
        self.process.finish(TIMEOUT)

    @property
    def listens(self) -> bool:
        """Whether its port is open."""
        return listens(self.address)

    def catch_up(self, etcd: Etcdctl) -> None:
        """Return when the bridge has the last change of *etcd*, which was below its prefixes."""
        wait_until(lambda: self.json("/names")["revision"] == etcd.revision(), TIMEOUT)

    def page(self, path: str, method: str = "GET") -> tuple[int, str]:
        """Return the status and the text of a page for operators."""
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, method=method)) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as exc:
            with exc:
                return exc.code, exc.read().decode()

    def json(self, path: str) -> Any:
        """Return the parsed JSON of a page."""
        status, text = self.page(path)
        assert status == 200, text
        return json.loads(text)

    def metric(self, name: str) -> float:
        """Return the value of a metric, by its name with labels."""
        for line in self.page("/metrics")[1].splitlines():
            series, _, value = line.rpartition(" ")
            if series == f"etcdnaming_xds_{name}":
                return float(value)
        return 0.0


class Xds:
    """Starts bridges and their clients."""

    def __init__(self, spawn: Spawn, directory: Path) -> None:
        self._spawn, self._directory = spawn, directory
        self._stack = ExitStack()
        self._files = 0

    def bridge(self, *args: str, host: str = "127.0.0.1") -> Bridge:
        """Start a bridge, and wait until it listens."""
        return Bridge(self._spawn, *args, host=host).wait()

    def launch(self, *args: str, host: str = "127.0.0.1") -> Bridge:
        """Start a bridge without waiting."""
        return Bridge(self._spawn, *args, host=host)

    def call(
        self,
        language: Language,
        server: str,
        target: str,
        *args: str,
        interval: int = 20,
        env: dict[str, str] | None = None,
        before: Sequence[str] = (),
        second: str = "",
        **settings: str,
    ) -> Caller:
        """
        Start a client that calls *target* repeatedly; *before* is a prefix of its command.

        *second* is a second server in its file, which the command itself refuses to write.
        """
        wanted = Bootstrap(server, "test-node", language=language.name, **settings)
        content = json.loads(bootstrap(wanted))
        if second:
            [first] = content["xds_servers"]
            uri = first["server_uri"].replace(server, second)
            content["xds_servers"].append({**first, "server_uri": uri})
        self._files += 1
        file = self._directory / f"xds-{self._files}.json"
        file.write_text(json.dumps(content))
        environment = {**os.environ, "GRPC_XDS_BOOTSTRAP": str(file), **(env or {})}
        words = [target, str(interval)]
        options = ["-method", method("Who"), *args]  # the last of equal options counts
        ordered = [*options, *words] if language.name == "go" else [*words, *options]
        process = Process([*before, *language.command(), *ordered], environment)
        # Rust picks endpoints at random; the others call them in turn.
        caller = Caller(process, 20 if language.name == "rust" else 4)
        self._stack.callback(caller.close)
        return caller

    def ads(self, server: str, agent: str = "test", zone: str = "") -> Ads:
        """Open a stream."""
        return self._stack.enter_context(Ads(server, agent, zone))

    def close(self) -> None:
        """Stop the clients."""
        self._stack.close()


class Ads:
    """A bare client: an ADS stream on which a test sends the requests."""

    def __init__(self, server: str, agent: str, zone: str) -> None:
        self._channel = grpc.insecure_channel(server)
        self._requests: deque[bytes | None] = deque()
        self._ready = threading.Condition()
        self._node = xds.Node(id="bare", user_agent_name=agent, locality=xds.Locality(zone=zone))
        ads: Any = self._channel.stream_stream(STREAM)
        self.call = ads(self._sent(), wait_for_ready=True)
        self._received: deque[xds.DiscoveryResponse] = deque()
        self._nonces: dict[Kind, tuple[str, str]] = {}
        self._names: dict[Kind, Sequence[str]] = {}
        threading.Thread(target=self._read, daemon=True).start()

    def ask(self, kind: Kind, *names: str, error: str = "", raw: bytes = b"") -> None:
        """Request *names*; that also acknowledges the last response, or with *error* refuses it."""
        self._names[kind] = names
        nonce, version = self._nonces.get(kind, ("", ""))
        request = xds.DiscoveryRequest(
            node=self._node,
            type_url=kind.type_url,
            resource_names=names,
            response_nonce=nonce,
            version_info=version,
        )
        if error:
            request.error_detail.message = error
        self._send(raw or request.SerializeToString())

    def get(self, timeout: float = TIMEOUT, *, acknowledge: bool = True) -> xds.DiscoveryResponse:
        """Return the next response, and acknowledge it."""
        with self._ready:
            assert self._ready.wait_for(lambda: self._received, timeout), "no response"
            response = self._received.popleft()
        kind = next(each for each in Kind if each.type_url == response.type_url)
        self._nonces[kind] = response.nonce, response.version_info
        if acknowledge:
            self.ask(kind, *self._names[kind])
        return response

    @property
    def waiting(self) -> int:
        """The number of responses that were not read."""
        return len(self._received)

    def close(self) -> None:
        """Close the stream."""
        self._send(None)
        self.call.cancel()
        self._channel.close()

    def __enter__(self) -> Ads:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, data: bytes | None) -> None:
        with self._ready:
            self._requests.append(data)
            self._ready.notify_all()

    def _sent(self) -> Iterator[bytes]:
        while True:
            with self._ready:
                self._ready.wait_for(lambda: self._requests)
                data = self._requests.popleft()
            if data is None:
                return
            yield data

    def _read(self) -> None:
        try:
            for data in self.call:
                with self._ready:
                    self._received.append(xds.DiscoveryResponse.FromString(data))
                    self._ready.notify_all()
        except grpc.RpcError:
            return


def addresses(response: xds.DiscoveryResponse) -> dict[str, list[str]]:
    """Return the addresses in each ClusterLoadAssignment of *response*, by its name."""
    found = {}
    for data in response.resources:
        message = xds.ClusterLoadAssignment.FromString(xds.Any.FromString(data).value)
        sent = []
        for each in message.endpoints:
            for endpoint in xds.LocalityLbEndpoints.FromString(each).lb_endpoints:
                place = xds.LbEndpoint.FromString(endpoint).endpoint.address.socket_address
                sent.append(f"{place.address}:{place.port_value}")
        found[message.cluster_name] = sorted(sent)
    return found


def _python(version: str) -> Sequence[str]:
    return [sys.executable, str(CLIENTS / "python" / "client.py"), "-json"]


def _go(version: str) -> Sequence[str]:
    at = CLIENTS / "go"
    subprocess.run(["go", "build", "-o", "build/client", "."], cwd=at, check=True)
    return [str(at / "build" / "client")]


def _node(version: str) -> Sequence[str]:
    at = CLIENTS / "node"
    if not (at / "node_modules").exists():
        command = ["npm", "install", "--no-package-lock", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=at, check=True, capture_output=True)
    return ["node", str(at / "client.js")]


def _java(version: str) -> Sequence[str]:
    """Return the command; it is compiled once, with the oldest version, and runs with any jars."""
    at, maven = CLIENTS / "java", ["mvn", "-B", "-q", f"-Dgrpc={version}"]
    jars = at / "target" / version
    if not (at / "target" / "classes").exists():
        subprocess.run([*maven, "compile"], cwd=at, check=True)
    if not jars.exists():
        copy = ["dependency:copy-dependencies", f"-DoutputDirectory={jars}.partial"]
        subprocess.run([*maven, *copy], cwd=at, check=True)
        shutil.move(f"{jars}.partial", jars)
    flags = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m"]
    return ["java", *flags, "-cp", f"{at / 'target' / 'classes'}:{jars}/*", "demo.Client"]


def _cpp(version: str) -> Sequence[str]:
    program, source = CLIENTS / "cpp" / "build" / "client", CLIENTS / "cpp" / "client.cc"
    if not _is_newer(program, source):
        program.parent.mkdir(exist_ok=True)
        library = _output("pkg-config", "--cflags", "--libs", "grpc++").split()
        command = ["c++", "-std=c++17", "-O1", "-Wall", "-o", str(program), str(source), *library]
        subprocess.run(command, check=True)
    return [str(program)]


def _ruby(version: str) -> Sequence[str]:
    return ["ruby", str(CLIENTS / "ruby" / "client.rb")]


def _rust(version: str) -> Sequence[str]:
    """Return the command; what it depends on takes minutes to build, and is kept for all clones."""
    at, program = CLIENTS / "rust", CLIENTS / "rust" / "build" / "client"
    if not _is_newer(program, at / "src" / "main.rs", at / "Cargo.toml", at / "Cargo.lock"):
        kept = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "etcdnaming-test"
        target = kept / "xds-rust"
        command = ["cargo", "build", "--quiet", "--locked", f"--target-dir={target}"]
        subprocess.run(command, cwd=at, check=True, timeout=BUILD_TIMEOUT)
        program.parent.mkdir(exist_ok=True)
        shutil.copy(target / "debug" / "client", program)
    return [str(program)]


def _is_newer(program: Path, *sources: Path) -> bool:
    changed = max(source.stat().st_mtime for source in sources)
    return program.exists() and program.stat().st_mtime > changed


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


_BUILD = {
    "python": _python,
    "go": _go,
    "node": _node,
    "java": _java,
    "cpp": _cpp,
    "ruby": _ruby,
    "rust": _rust,
}
