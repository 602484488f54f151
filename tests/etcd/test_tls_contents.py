"""Invalid content in a certificate or key file never crashes the process that reads it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from harness import Certificates, Etcd
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

PROGRAM = str(Path(__file__).parent.parent / "harness" / "try_contents.py")
FILES = ("ca.pem", "client.pem", "client.key")
ERROR = re.compile(r"(InvalidSettingError|TLSError) .*")


def outcomes(etcd: Etcd, directory: Path, contents: Sequence[tuple[str, bytes]]) -> list[list[str]]:
    """Return the outcomes of each content of a file: at start-up and at a later connection."""
    done = subprocess.run(
        [sys.executable, PROGRAM, etcd.endpoint, str(directory)],
        input="".join(f"{name} {content.hex()}\n" for name, content in contents),
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert (done.returncode, len(lines)) == (0, len(contents)), (
        f"{contents[len(lines) : len(lines) + 1]} ended the process: {done.stderr[-2000:]}"
    )
    return [line.split("\t") for line in lines]


@pytest.fixture
def directory(certificates: Certificates) -> Path:
    """The directory of the files that the client reads."""
    return certificates.ca.parent


def test_invalid_content_is_an_error_that_names_the_file(
    secure_etcd: Callable[..., Etcd], certificates: Certificates, directory: Path
) -> None:
    """At start-up it is an invalid setting, later a failed connection attempt."""
    etcd = secure_etcd(mutual=True)
    wrong = [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"\0", "not PEM"),
        (b"garbage", "not PEM"),
        (b"\0" + certificates.client.cert.read_bytes(), "not PEM"),
        (b"-----BEGIN X-----\n-----END X-----\n", "but X"),
    ]
    contents = [(name, content) for name in FILES for content, _ in wrong]
    reasons = [reason for _ in FILES for _, reason in wrong]
    found = outcomes(etcd, directory, contents)
    for (name, _), reason, (begun, later) in zip(contents, reasons, found, strict=True):
        assert re.fullmatch(rf"InvalidSettingError .*/{name}: .*{reason}.*", begun)
        assert re.fullmatch(rf"TLSError .*/{name}: .*{reason}.*", later)


MUTATIONS = st.lists(
    st.tuples(
        st.sampled_from(FILES), st.floats(0, 1), st.integers(0, 200), st.binary(max_size=200)
    ),
    min_size=20,
    max_size=20,
)


def mutated(
    directory: Path, mutations: Sequence[tuple[str, float, int, bytes]]
) -> list[tuple[str, bytes]]:
    """Return the contents of the files after each mutation, which replaces some bytes."""
    contents = []
    for name, where, length, new in mutations:
        good = (directory / name).read_bytes()
        start = int(where * len(good))
        contents.append((name, good[:start] + new + good[start + length :]))
    return contents


def check_mutations(secure_etcd: Callable[..., Etcd], directory: Path, examples: int) -> None:
    """Check that start-up and later connections succeed or raise an error of ours."""
    etcd = secure_etcd(mutual=True)

    @settings(max_examples=examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(MUTATIONS)
    @example([(name, 0.0, 5000, b"") for name in FILES])
    def check(mutations: Sequence[tuple[str, float, int, bytes]]) -> None:
        for both in outcomes(etcd, directory, mutated(directory, mutations)):
            for outcome in both:
                assert outcome == "ok" or ERROR.fullmatch(outcome), outcome

    check()


def test_mutated_content_never_ends_the_process(
    secure_etcd: Callable[..., Etcd], directory: Path
) -> None:
    """A short version of the next test, with a few mutations."""
    check_mutations(secure_etcd, directory, 2)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_mutated_content_never_ends_the_process_in_a_thousand_cases(
    secure_etcd: Callable[..., Etcd], directory: Path
) -> None:
    """Each of the files is mutated at random."""
    check_mutations(secure_etcd, directory, 50)
