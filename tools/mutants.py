"""
Change the core in one place at a time, and list the changes that no test notices.

    make mutants                      all of the core; takes many hours, and can be interrupted
    make mutants MUTANTS_ARGS="--sample 100 --seed 1"
    make mutants MUTANTS_ARGS="--only etcdnaming/etcd/lease.py"

The first run notes which tests run which lines (``mutants_map.py``). Then each mutant
(``mutations.py``) meets the tests of the default run that run its line, the shortest first, in a
copy of the tree; one that still runs after the time limit counts as killed. Results are kept in
``build/mutants`` until the mutated file changes. ``mutants_explained.txt`` has the survivors that
change no promise, each with the reason; they count neither as killed nor as survivors.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import coverage
from mutations import Mutation, mutations

ROOT = Path(__file__).parent.parent
STATE = ROOT / "build" / "mutants"
COPY = STATE / "tree"
EXPLAINED = Path(__file__).with_name("mutants_explained.txt")

CORE = ["etcd", "endpoints", "registration", "resolver", "wire", "xds", "keys.py", "fork.py"]
NOT_CORE = ["xds/bridge", "xds/bootstrap.py", "etcd/rpc_pb2.py", "xds/xds_pb2.py"]

ROUNDS = (20.0, 180.0)
"""
Seconds that the tests of one mutant take without it, at most: the shortest first, then the rest.

Most mutants are killed in the first round.
"""

SLOWER = 4
"""How much longer they may take with it: a test that waits in vain does so for 25 s."""


def main() -> None:
    args = parsed()
    copy_tree()
    tests = read_map(args.tests)
    chosen = choose(args.only, args.sample, args.seed)
    results = read_results()
    explained = read_explained()
    for number, mutation in enumerate(chosen, 1):
        key = key_of(mutation)
        if key not in results:
            verdict, seconds = try_out(mutation, tests)
            results[key] = verdict
            write_result(key, verdict)
            print(
                f"{number}/{len(chosen)} {verdict} in {seconds:.0f}s: {title(mutation)}", flush=True
            )
    report([(mutation, results[key_of(mutation)]) for mutation in chosen], explained)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=int, help="try so many, chosen at random")
    parser.add_argument("--seed", type=int, default=0, help="of the random choice")
    parser.add_argument("--only", action="append", help="a file or directory of the core")
    parser.add_argument("--tests", nargs="*", default=[], help="the tests to note first: all")
    return parser.parse_args()


def copy_tree() -> None:
    """Copy the files that git knows, as they are now."""
    shutil.rmtree(COPY, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0")[:-1]:
        if (ROOT / name).is_file():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, COPY / name)


def core() -> list[str]:
    """Return the paths of all files of the core."""
    package = ROOT / "etcdnaming"
    files = [
        file
        for each in CORE
        for file in ([package / each] if each.endswith(".py") else (package / each).rglob("*.py"))
    ]
    left_out = [package / each for each in NOT_CORE]
    return sorted(
        str(file.relative_to(ROOT))
        for file in files
        if not any(file == each or each in file.parents for each in left_out)
    )


def choose(only: list[str] | None, sample: int | None, seed: int) -> list[Mutation]:
    """Return the mutations to try, in the order of the choice."""
    paths = [path for path in core() if not only or any(path.startswith(each) for each in only)]
    found = [each for path in paths for each in mutations(path, (ROOT / path).read_bytes())]
    print(f"{len(found)} mutants in {len(paths)} files", flush=True)
    if sample:
        random.Random(seed).shuffle(found)  # a smaller sample is the beginning of a larger one
    return found[:sample]


def read_map(chosen: list[str]) -> dict[tuple[str, int], list[tuple[float, str]]]:
    """Return the tests that run each line, with their seconds; the tests run if none are known."""
    into = STATE / "map"
    if not (into / "complete").exists():
        into.mkdir(parents=True, exist_ok=True)
        print("noting which tests run which lines", flush=True)
        paths = f"{COPY}:{COPY / 'tools'}"
        plugin = ["-p", "mutants_map", "-n", "2"]
        run_tests([*plugin, *chosen], None, MUTANTS_MAP=str(into), PYTHONPATH=paths)
        (into / "complete").touch()
    seconds: defaultdict[str, float] = defaultdict(float)
    for line in (into / "seconds.jsonl").read_text("utf-8").splitlines():
        name, took = json.loads(line)
        seconds[name] += took
    tests: defaultdict[tuple[str, int], list[tuple[float, str]]] = defaultdict(list)
    for file in into.glob("coverage.*"):
        data = coverage.CoverageData(str(file))
        data.read()
        for path in data.measured_files():
            name = str(Path(path).relative_to(COPY))
            for line, contexts in data.contexts_by_lineno(path).items():
                tests[name, line] += [(seconds[each], each) for each in contexts if each in seconds]
    return {place: sorted(found) for place, found in tests.items()}


def try_out(
    mutation: Mutation, tests: dict[tuple[str, int], list[tuple[float, str]]]
) -> tuple[str, float]:
    """Return whether the tests of the line notice *mutation*, and how long they took."""
    file, begin = COPY / mutation.path, time.monotonic()
    source, verdict = file.read_bytes(), "not run"
    file.write_bytes(mutation.applied(source))
    try:
        for chosen, limit in rounds(tests.get((mutation.path, mutation.line), [])):
            status = run_tests(["-x", *chosen], limit)
            verdict = {0: "survived", 1: "killed", None: "killed"}.get(status, "invalid")
            if verdict != "survived":
                break
    finally:
        file.write_bytes(source)
    return verdict, time.monotonic() - begin


def rounds(tests: list[tuple[float, str]]) -> Iterator[tuple[list[str], float]]:
    """Yield the tests of each round, with the seconds that they may take."""
    left = iter([*tests, (float("inf"), "")])
    seconds, test = next(left)
    for budget in ROUNDS:
        chosen, total = [], 0.0
        while total + seconds <= budget:
            chosen.append(test)
            total += seconds
            seconds, test = next(left)
        if chosen:
            yield chosen, 30 + SLOWER * total


def run_tests(args: list[str], limit: float | None, **environment: str) -> int | None:
    """Run pytest in the copy and return its status; ``None`` if it took too long."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args],
        cwd=COPY,
        env={**os.environ, "PYTHONPATH": str(COPY), "PYTHONDONTWRITEBYTECODE": "1", **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(limit)
    except subprocess.TimeoutExpired:
        return None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(10)  # in which the servers of the tests are stopped
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def key_of(mutation: Mutation) -> str:
    digest = hashlib.sha256((ROOT / mutation.path).read_bytes()).hexdigest()[:12]
    return f"{mutation.path} {digest} {mutation.start} {mutation.kind} {mutation.text.decode()}"


def read_results() -> dict[str, str]:
    file = STATE / "results.jsonl"
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    return dict(json.loads(line) for line in lines)


def write_result(key: str, verdict: str) -> None:
    with (STATE / "results.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps([key, verdict]) + "\n")


def title(mutation: Mutation) -> str:
    shown = mutation.shown((ROOT / mutation.path).read_bytes())
    return f"{mutation.path}:{mutation.line} {mutation.function}: {shown}"


def stable_title(mutation: Mutation) -> str:
    """Return the title without the line, which any change of the file moves."""
    return title(mutation).replace(f":{mutation.line} ", " ", 1)


def read_explained() -> set[str]:
    lines = EXPLAINED.read_text("utf-8").splitlines()
    return {line for line in lines if line.startswith("etcdnaming/")}


def report(results: list[tuple[Mutation, str]], explained: set[str]) -> None:
    counted: defaultdict[str, int] = defaultdict(int)
    for mutation, verdict in results:
        if verdict in {"survived", "not run"}:
            if stable_title(mutation) in explained:
                verdict = "explained"  # noqa: PLW2901 - counted as that
            else:
                print(f"{verdict}: {title(mutation)}")
        counted[verdict] += 1
    meant = counted["killed"] + counted["survived"] + counted["not run"]
    found: dict[str, Any] = dict(counted)
    print(
        f"{counted['killed']} of {meant} killed ({counted['killed'] / max(1, meant):.0%}); {found}"
    )


if __name__ == "__main__":
    main()
