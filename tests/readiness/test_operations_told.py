"""Sizes and spans of time are said as people say them."""

from __future__ import annotations

import pytest

from trunkline.readiness.evidence.statements import Prepared
from trunkline.readiness.told import failures, size, span


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 bytes"), (1023, "1023 bytes"), (1536, "1.5 kB"), (5 * 1024**3, "5.0 GB")]
)
def test_sizes(number: int, words: str) -> None:
    assert size(number) == words


@pytest.mark.parametrize(("seconds", "words"), [(61.2, "61 seconds"), (600, "10 minutes"), (9000, "2 hours")])
def test_spans(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_many_statements_that_fail_are_told_by_answer() -> None:
    labels = ["read rows", "insert a row", "update a row", "delete a row"]
    failing = [Prepared("file", label, "", "no such column", "42703", None) for label in labels]
    assert failures(failing, 4) == "All 4 statements fail: no such column (42703)."
    assert failures(failing, 9) == (
        "4 of 9 statements fail: no such column (42703) (read rows, insert a row, update a row and 1 more)."
    )
