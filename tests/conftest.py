"""Fixtures: etcd servers, and ways to call the program; their types are in `harness`."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from harness import auth, environment, installed, tls
from harness.backends import Backends
from harness.cli import Run
from harness.cluster import Cluster
from harness.counting import CountingServers
from harness.etcd import Etcd
from harness.failed import Failed
from harness.pids import NAMESPACE
from harness.process import Spawn
from harness.programs import Programs
from harness.proxy import Proxy
from harness.servers import HasLog, Servers
from harness.shell import Shell
from harness.terminal import Terminal
from harness.tls import Certificates
from harness.tried import Tried
from hypothesis import HealthCheck, settings

from etcdnaming.etcd import Client

# Examples have no deadline, and slow generation is not an error: the machine may be busy.
settings.register_profile(
    "busy", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("busy")

# Support code and programs that tests start: doctests must not import them.
collect_ignore_glob = ["harness/*", "process_programs/*"]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--tried=FILE`` and ``--failed=FILE``: see `harness.tried`, `harness.failed`."""
    parser.addoption("--tried", type=Path, help="append to it what was tried against which etcd")
    parser.addoption("--failed", type=Path, help="write to it which tests have failed")


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugins that the options enable."""
    if file := config.getoption("tried"):
        config.pluginmanager.register(Tried(file, Programs.find(os.environ)))
    if (file := config.getoption("failed")) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Failed(file))


@pytest.fixture(scope="session")
def programs() -> Programs:
    """Return the etcd and etcdctl programs that the tests run."""
    return Programs.find(os.environ)


@pytest.fixture(scope="session", autouse=True)
def _clean_environment(programs: Programs) -> Iterator[None]:
    """Remove etcd settings and ignored signals from the environment of the tests."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        # Under nohup, and when a shell started the tests with "&", signals are ignored.
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    with environment.changed(environment.cleaned()):
        yield


@pytest.fixture(autouse=True)
def _no_unforeseen_error(request: pytest.FixtureRequest) -> Iterator[None]:
    """
    Fail a test in which a background thread has continued after an unforeseen error.

    Nothing else shows it, because the thread repairs what the error has left undone. A test that
    causes such an error uses ``caplog``.
    """
    records: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: records.append(handler.format(record))  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    yield
    logging.getLogger().removeHandler(handler)
    if "caplog" not in request.fixturenames:
        assert not [each for each in records if "after an error" in each]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel of this tree."""
    directory = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    project = Path(__file__).parent.parent
    installed.succeed(*pip, "wheel", "--no-deps", "--wheel-dir", directory, project)
    [found] = directory.glob("*.whl")
    return found


@pytest.fixture(scope="session")
def _shared_etcd(programs: Programs) -> Iterator[Etcd]:
    with closing(Etcd(programs)) as etcd:
        etcd.start()
        yield etcd


@pytest.fixture
def etcd(_shared_etcd: Etcd) -> Etcd:
    """Return a running, empty etcd; its revisions are not reset between tests."""
    _shared_etcd.empty()
    _shared_etcd.begin_log()
    return _shared_etcd


@pytest.fixture
def client(etcd: Etcd) -> Iterator[Client]:
    """Yield a client of ``etcd``."""
    with Client([etcd.endpoint]) as client:
        yield client


@pytest.fixture
def _servers() -> Iterator[Servers]:
    with closing(Servers()) as servers:
        yield servers


@pytest.fixture
def own_etcd(programs: Programs, _servers: Servers) -> Callable[..., Etcd]:
    """Return ``own_etcd(*flags)``: a running etcd for this test only, which may kill or wipe it."""
    return lambda *flags: _servers.start(Etcd(programs, *flags))


@pytest.fixture
def auth_etcd(programs: Programs, _servers: Servers) -> Callable[..., Etcd]:
    """Return ``auth_etcd(*flags)``: an etcd with authentication and the users of `harness.auth`."""

    def start(*flags: str) -> Etcd:
        etcd = _servers.start(Etcd(programs, *auth.SERVER_FLAGS, *flags))
        auth.add_users(etcd)
        return etcd

    return start


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    """Return a certificate authority and certificates in files that the test may replace."""
    return Certificates(tmp_path)


@pytest.fixture
def secure_etcd(
    programs: Programs, certificates: Certificates, _servers: Servers
) -> Callable[..., Etcd]:
    """Return ``secure_etcd(*flags, mutual=False)``: an etcd that uses TLS with *certificates*."""
    return lambda *flags, mutual=False: _servers.start(
        tls.secure_etcd(programs, certificates, *flags, mutual=mutual)
    )


@pytest.fixture(scope="session")
def _shared_cluster(programs: Programs) -> Iterator[Cluster]:
    with closing(Cluster(programs)) as cluster:
        yield cluster


@pytest.fixture
def cluster(_shared_cluster: Cluster) -> Cluster:
    """Return three running members without data; members that a test has stopped are restarted."""
    _shared_cluster.start()
    _shared_cluster.empty()
    _shared_cluster.begin_log()
    return _shared_cluster


@pytest.fixture
def grpc_proxy(_servers: Servers) -> Callable[..., Proxy]:
    """Return ``grpc_proxy(etcd, *flags)``: a running grpc-proxy in front of *etcd*."""
    return lambda behind, *flags: _servers.start(Proxy(behind, *flags))


@pytest.fixture
def run(etcd: Etcd) -> Run:
    """Return a function that calls the program in this process."""
    return Run(etcd.endpoint)


@pytest.fixture
def spawn(etcd: Etcd) -> Iterator[Spawn]:
    """Yield a function that starts the program as a process, for signals, pipes and exit codes."""
    with closing(Spawn(etcd.endpoint)) as spawn:
        yield spawn


@pytest.fixture
def terminal(etcd: Etcd) -> Iterator[Terminal]:
    """Yield a function that starts the program on a terminal."""
    with closing(Terminal(etcd.endpoint)) as terminal:
        yield terminal


@pytest.fixture
def shell(programs: Programs, etcd: Etcd, tmp_path: Path) -> Shell:
    """Return a function that runs shell scripts with the program and etcdctl in their path."""
    return Shell(programs, etcd.endpoint, tmp_path)


@pytest.fixture
def namespace() -> list[str]:
    """Return a command prefix that runs a command as PID 1."""
    try:
        subprocess.run([*NAMESPACE, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        pytest.skip(f"no PID namespaces here: {exc}")
    return NAMESPACE


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the last log lines of servers and processes to the report of a failed test."""
    report = yield
    if report.failed:
        sections = [(f"{name} said last", log) for name, log in _logs(item).items()]
        report.sections += [section for section in sections if section[1]]
    return report


def _logs(item: pytest.Item) -> dict[str, str]:
    fixtures: dict[str, object] = getattr(item, "funcargs", {})
    return {
        name.strip("_"): fixture.last_lines()
        for name, fixture in fixtures.items()
        if isinstance(fixture, HasLog) and not name.startswith("_shared")
    }


@pytest.fixture
def backends() -> Iterator[Backends]:
    """``backends()`` starts a gRPC server; all of them end with the test."""
    with closing(Backends()) as backends:
        yield backends


@pytest.fixture
def servers() -> Iterator[CountingServers]:
    """Return gRPC servers that count their connections; they end with the test."""
    with closing(CountingServers()) as servers:
        yield servers


@pytest.fixture
def dead() -> Iterator[socket.socket]:
    """Return a socket that refuses connections; after ``listen`` it never answers them."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound
