"""
Install one etcd of the matrix, and print the directory of its ``etcd`` and ``etcdctl``.

    ETCDNAMING_TEST_ETCD=$(python tools/servers.py 3.6) make test

3.4 is unpacked from Debian's packages, without installing them (needs apt). 3.5, 3.6 and 3.7 are
built with Go, each in a module of this project (tests/interop/servers) that selects the patch
release; so the replacements in etcd's own modules have no effect. The default of the tests, 3.5.1
from a wheel, is not one of them.

The programs are kept in ``~/.cache/etcdnaming-test`` (or below ``$XDG_CACHE_HOME``), and built
again when the module changes. ``python tools/servers.py`` without arguments prints all names.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

MODULES = Path(__file__).parent.parent / "tests" / "interop" / "servers"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "etcdnaming-test"
DEBIAN = "3.4"
BUILT = {
    "etcd": "go.etcd.io/etcd/server/v3",
    "etcdctl": "go.etcd.io/etcd/etcdctl/v3",
}


def main(args: list[str]) -> None:
    if args:
        print(directory(args[0]))
    else:
        print(*names(), sep="\n")


def names() -> list[str]:
    """Return the names of all etcds of the matrix, the oldest first."""
    return [DEBIAN, *sorted(module.name for module in MODULES.iterdir())]


def directory(name: str) -> Path:
    """Return the directory of the etcd *name*, which is built if necessary."""
    if name not in names():
        sys.exit(f"no such etcd: {name}; there are {', '.join(names())}")
    if name == DEBIAN:
        return kept(f"{DEBIAN}-debian", from_debian)
    module = MODULES / name
    digest = hashlib.sha256((module / "go.sum").read_bytes()).hexdigest()[:12]
    return kept(f"{name}-{digest}", lambda into: build(module, into))


def kept(name: str, make: Callable[[Path], None]) -> Path:
    """Return the directory *name* of the cache; *make* fills it if it does not exist."""
    done = CACHE / name
    if not done.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=CACHE))
        try:
            make(unfinished)
            unfinished.rename(done)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    return done


def build(module: Path, into: Path) -> None:
    for program, package in BUILT.items():
        subprocess.run(
            ["go", "build", "-buildvcs=false", "-o", into / program, package],
            cwd=module,
            env={**os.environ, "CGO_ENABLED": "0"},
            stdout=sys.stderr,
            check=True,
        )


def from_debian(into: Path) -> None:
    """Unpack Debian's packages without installing them, so that no service is started."""
    packages = ["etcd-server", "etcd-client"]
    with tempfile.TemporaryDirectory() as download:
        for command in ["update"], ["download", *packages]:
            quietly = ["apt-get", "-qq", "--option=APT::Sandbox::User=root", *command]
            subprocess.run(quietly, cwd=download, stdout=sys.stderr, check=True)
        for package in sorted(Path(download).glob("*.deb")):
            subprocess.run(["dpkg-deb", "--extract", package, f"{download}/root"], check=True)
        for program in BUILT:
            shutil.move(f"{download}/root/usr/bin/{program}", into)
    version = subprocess.run(
        [into / "etcd", "--version"], capture_output=True, check=True, text=True
    )
    if f"etcd Version: {DEBIAN}." not in version.stdout:
        sys.exit(f"this Debian's etcd is not {DEBIAN}: {version.stdout.splitlines()[0]}")


if __name__ == "__main__":
    main(sys.argv[1:])
