"""Numbers that were kept in JSON are read as people wrote them, and judged by the columns that take them over."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import CheckConstraint, Column, Integer, MetaData, Numeric, Table, Text
from tests.factories.looks import run

from trunkline.readiness import Report, analyse, target_of

metadata = MetaData()
Table(
    "bots",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("temperature", Numeric(3, 2), info={"formerly_in": ("config", ("temperature", "temp"))}),
    Column("max_tokens", Integer, info={"formerly_in": ("config", ("max_tokens",))}),
    Column("model", Text, info={"formerly_in": ("config", ("model",))}),
    CheckConstraint("temperature >= 0 and temperature <= 2", name="temperature"),
    CheckConstraint("max_tokens is null or max_tokens between 1 and 100", name="tokens"),
)
TARGET = target_of(metadata, name="bots")


def judge(url: str, *configs: object) -> Report:
    """The check alone, over rows with these settings, numbered from 1."""
    rows = ", ".join(f"({n}, $${json.dumps(each)}$$)" for n, each in enumerate(configs, start=1))
    run(url, f"create table bots (id int primary key, config jsonb); insert into bots values {rows}")
    return analyse(url, TARGET, only=["DAT007"])


def test_settings_that_fit_are_left_alone(empty_url: str) -> None:
    report = judge(
        empty_url,
        {"temperature": 0.7, "maxTokens": "50", "model": 7},
        {"llm": {"Temperature": "2"}, "settings": {"max-tokens": 1}},
        {"temperature": None, "max_tokens": {"a": 1}},
        {"llm": {"temperature": 9}, "voice": {"temperature": 1}},  # who knows which
        ["temperature"],
        {},
    )
    assert report.findings == ()


@pytest.mark.parametrize(
    ("config", "column"),
    [
        ({"temperature": "warm"}, "temperature"),
        ({"temp": "2.1"}, "temperature"),
        ({"llm": {"temperature": -1}}, "temperature"),
        ({"temperature": "NaN"}, "temperature"),
        ({"temperature": "1e999999"}, "temperature"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"nested": {"maxTokens": "101"}}, "max_tokens"),
        ({"maxTokens": True}, "max_tokens"),
    ],
)
def test_a_setting_that_does_not_fit_is_found(empty_url: str, config: object, column: str) -> None:
    report = judge(empty_url, {"temperature": 1, "max_tokens": 5}, config)
    (finding,) = report.findings
    assert finding.object == "bots.config"
    assert finding.evidence.startswith(f"1 of 2 rows don't fit {column}: ")
    assert finding.evidence.endswith("e.g. 2.")


def test_all_columns_of_one_json_are_told_together(empty_url: str) -> None:
    (finding,) = judge(empty_url, {"temperature": 3, "max_tokens": 0}).findings
    assert "temperature: numeric(3,2), temperature >= 0 and temperature <= 2" in finding.evidence
    assert "max_tokens: integer" in finding.evidence
