"""The library's log: a line stays a line."""

from __future__ import annotations

import logging

import pytest

from etcdnaming.log import logger


def test_logger_escapes_what_it_is_given(caplog: pytest.LogCaptureFixture) -> None:
    """Arguments, not the message, by which error trackers group; numbers stay numbers."""
    log = logger("etcdnaming.test")

    log.warning("%s: %s, %d left", "a\nError: b\x1b[2J\u202e\udcff", ValueError("c\nd"), 3)

    [record] = caplog.records
    assert record.getMessage() == r"a\nError: b\x1b[2J\xe2\x80\xae\xff: c\nd, 3 left"
    assert record.msg == "%s: %s, %d left"


def test_logger_may_be_asked_for_again(caplog: pytest.LogCaptureFixture) -> None:
    """It escapes once only."""
    assert logger("etcdnaming.test") is logger("etcdnaming.test")

    logging.getLogger("etcdnaming.test").warning("%s", "a\\b\n")

    assert caplog.messages == ["a\\b" + r"\n"]
