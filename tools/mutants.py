"""
Change the core in one place at a time, and list the changes that no test notices.

    make mutants                      all of the core; takes many hours, and can be interrupted
    make mutants MUTANTS_ARGS="--sample 100 --seed 1 --jobs 3"
    make mutants MUTANTS_ARGS="--only etcdnaming/etcd/lease.py"

The first run notes which tests run which lines (``mutants_map.py``). Then each mutant
(``mutations.py``) meets the tests of the default run that run its line, in a copy of the tree,
until one fails: the shortest first, and before them those of the module. The verdicts:

killed       a test has failed
survived     all tests that run the line have passed
not run      no test is known to run the line, and the tests of the module have passed
not decided  those that fit in ``--seconds`` have passed, and there are more; or they were still
             running after several times what they take without the mutant

Results are kept in ``build/mutants`` until the mutated file changes; a mutant that is not decided
is tried again. ``mutants_explained.txt`` has the survivors that change no promise, each with the
reason; they count neither as killed nor as survivors.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import coverage
from mutations import Mutation, mutations

INFINITE = float("inf")
ROOT = Path(__file__).parent.parent
STATE = ROOT / "build" / "mutants"
NOTED = STATE / "tree"
"""The copy in which the tests are noted; each job has another one."""

EXPLAINED = Path(__file__).with_name("mutants_explained.txt")

CORE = ["etcd", "endpoints", "registration", "resolver", "wire", "xds", "keys.py", "fork.py"]
NOT_CORE = ["xds/bridge", "xds/bootstrap.py", "etcd/rpc_pb2.py", "xds/xds_pb2.py"]

FIRST_ROUND = 10.0
"""Seconds of the tests that come first: they kill most mutants, and a round takes time to begin."""

DEADLINE = 210.0
"""Seconds after which pytest has ended one test that hangs, and has stopped its servers."""

SLOWER = 4
"""How much longer they may take with the mutant: a test that waits in vain does so for 25 s."""

Tests = dict[tuple[str, int], list[tuple[float, str]]]
"""The tests that run each line, with their seconds; those of line 0 run any line of the file."""


def main() -> None:
    args = parsed()
    tests = read_map(args.tests)
    chosen = choose(args.only, args.sample, args.seed)
    results = read_results()
    todo = [each for each in chosen if results.get(key_of(each), "not decided") == "not decided"]
    trees: queue.SimpleQueue[Path] = queue.SimpleQueue()
    for number in range(args.jobs):
        trees.put(copy_tree(STATE / f"tree-{number}"))

    def try_one(number: int, mutation: Mutation) -> None:
        tree, begin = trees.get(), time.monotonic()
        verdict = try_out(mutation, tests, args.seconds, tree)
        trees.put(tree)
        results[key_of(mutation)] = verdict
        write_result(key_of(mutation), verdict)
        seconds = time.monotonic() - begin
        print(f"{number}/{len(todo)} {verdict} in {seconds:.0f}s: {title(mutation)}", flush=True)

    with ThreadPoolExecutor(args.jobs) as pool:
        tried = [pool.submit(try_one, *each) for each in enumerate(todo, 1)]
    for each in tried:
        each.result()
    report([(mutation, results[key_of(mutation)]) for mutation in chosen], read_explained())


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sample", type=int, help="try so many, chosen at random")
    parser.add_argument("--seed", type=int, default=0, help="of the random choice")
    parser.add_argument("--only", action="append", help="a file or directory of the core")
    parser.add_argument("--jobs", type=int, default=1, help="how many to try at a time")
    parser.add_argument("--seconds", type=float, default=200, help="of the tests of one mutant")
    parser.add_argument("--tests", nargs="*", default=[], help="the tests to note first: all")
    return parser.parse_args()


def copy_tree(into: Path) -> Path:
    """Copy the files that git knows, as they are now."""
    shutil.rmtree(into, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in listed.stdout.decode().split("\0")[:-1]:
        if (ROOT / name).is_file():
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, into / name)
    return into


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


def read_map(chosen: list[str]) -> Tests:
    """Return the tests that run each line; the tests run if none are known."""
    into = STATE / "map"
    if not (into / "complete").exists():
        into.mkdir(parents=True, exist_ok=True)
        print("noting which tests run which lines", flush=True)
        copy_tree(NOTED)
        plugin = ["-p", "mutants_map", "-n", "4", "--dist", "worksteal"]
        run_tests(NOTED, [*plugin, *chosen], None, MUTANTS_MAP=str(into))
        (into / "complete").touch()
    seconds: defaultdict[str, float] = defaultdict(float)
    for line in (into / "seconds.jsonl").read_text("utf-8").splitlines():
        name, took = json.loads(line)
        seconds[name] += took
    tests: defaultdict[tuple[str, int], set[str]] = defaultdict(set)
    for file in into.glob("coverage.*"):
        data = coverage.CoverageData(str(file))
        data.read()
        for path in data.measured_files():
            name = str(Path(path).relative_to(NOTED))
            for line, contexts in data.contexts_by_lineno(path).items():
                tests[name, line] |= {
                    each for each in contexts if seconds.get(each, INFINITE) < INFINITE
                }
                tests[name, 0] |= tests[name, line]
    return {place: [(seconds[each], each) for each in found] for place, found in tests.items()}


def try_out(mutation: Mutation, tests: Tests, seconds: float, tree: Path) -> str:
    """Return whether the tests of the line, as many as take *seconds*, notice *mutation*."""
    file = tree / mutation.path
    source = file.read_bytes()
    of_line = tests.get((mutation.path, mutation.line))
    known = nearest_first(of_line or tests_of_module(mutation.path, tests), mutation.path)
    file.write_bytes(mutation.applied(source))
    try:
        for budget in (FIRST_ROUND, seconds - FIRST_ROUND):
            if known and budget > 0:
                chosen, known = within(known, budget)
                limit = DEADLINE + SLOWER * sum(took for took, _ in chosen)
                status = run_tests(tree, ["-x", *(name for _, name in chosen)], limit)
                if status:
                    return "killed" if status == 1 else "invalid"
                if status is None:
                    return "not decided"
    finally:
        file.write_bytes(source)
    return "not decided" if known else "survived" if of_line else "not run"


def tests_of_module(path: str, tests: Tests) -> list[tuple[float, str]]:
    """Return the tests that run a line of *path*, and those of its module, by their file's name."""
    name = f"/test_{Path(path).stem}.py::"
    named = {test for found in tests.values() for test in found if name in test[1]}
    return [*named.union(tests.get((path, 0), []))]


def nearest_first(tests: list[tuple[float, str]], path: str) -> list[tuple[float, str]]:
    """Return *tests*, the shortest first, those of the module and of its room before others."""
    room, module = Path(path).parts[-2], Path(path).stem.strip("_")

    def rank(test: tuple[float, str]) -> float:
        file = test[1].partition("::")[0]
        return test[0] * (0.1 if module in file else 0.5 if f"/{room}" in file else 1)

    return sorted(tests, key=rank)


def within(
    tests: list[tuple[float, str]], budget: float
) -> tuple[list[tuple[float, str]], list[tuple[float, str]]]:
    """Return the first of *tests*, as many as *budget* allows (one at least), and the others."""
    number, total = 0, 0.0
    while number < len(tests) and (not number or total + tests[number][0] <= budget):
        total += tests[number][0]
        number += 1
    return tests[:number], tests[number:]


def run_tests(tree: Path, args: list[str], limit: float | None, **environment: str) -> int | None:
    """Run pytest in *tree* and return its status; ``None`` if it took too long."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *args],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": f"{tree}:{tree / 'tools'}", **environment},
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


def stable_titles(path: str) -> dict[Mutation, str]:
    """
    Return the titles without the line, which any change of the file moves.

    Of those that are equal, the second one ends with ``(2)``.
    """
    counted: defaultdict[str, int] = defaultdict(int)
    found = {}
    for mutation in mutations(path, (ROOT / path).read_bytes()):
        text = title(mutation).replace(f":{mutation.line} ", " ", 1)
        counted[text] += 1
        found[mutation] = text if counted[text] == 1 else f"{text} ({counted[text]})"
    return found


def read_explained() -> set[str]:
    lines = EXPLAINED.read_text("utf-8").splitlines()
    return {line for line in lines if line.startswith("etcdnaming/")}


def report(results: list[tuple[Mutation, str]], explained: set[str]) -> None:
    counted: defaultdict[str, int] = defaultdict(int)
    titles = {path: stable_titles(path) for path in {mutation.path for mutation, _ in results}}
    for mutation, verdict in results:
        if verdict in {"survived", "not run", "not decided"}:
            if titles[mutation.path][mutation] in explained:
                verdict = "explained"  # noqa: PLW2901 - counted as that
            else:
                print(f"{verdict}: line {mutation.line} of {titles[mutation.path][mutation]}")
        counted[verdict] += 1
    meant = sum(counted.values()) - counted["explained"] - counted["invalid"]
    found: dict[str, Any] = dict(counted)
    print(
        f"{counted['killed']} of {meant} killed ({counted['killed'] / max(1, meant):.0%}); {found}"
    )


if __name__ == "__main__":
    main()
