"""The database accepts a setting of an agent exactly where the schema of settings does.

The ranges tried here come from the JSON schema that the API publishes, not from the code that writes the CHECKs.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb
from pydantic import BaseModel, ValidationError
from tests.factories import rows
from tests.factories.world import make_world

from trunkline.agents.models import Agent
from trunkline.agents.settings import AgentSettings
from trunkline.db.base import new_id

Connection = psycopg.Connection[tuple[Any, ...]]

REQUIRED = {"name": "Baker", "slug": "baker"}
SCHEMA: dict[str, Any] = AgentSettings.model_json_schema()
FIELDS: dict[str, dict[str, Any]] = SCHEMA["properties"]

STRICTER = {
    "language": "BCP 47 is checked by the schema, its length by both",
    "timezone": "the IANA names are the schema's to know",
    "llm_credential_id": "which credential it is, a foreign key says",
}
"""Fields of which the database checks less than the schema; it never checks more."""

CASES = {
    "slug": ["a", "a-b", "-a", "a-", "A", "a_b", "ä", "a\n", "a b", "a" * 63, "a" * 64],
    "llm_base_url": [
        "http://a",
        "https://a",
        "ftp://a",
        "HTTP://a",
        " http://a",
        "http:/a",
        "javascript:alert(1)//https://",
    ],
    "language": ["en", "pt-BR", "e", "x" * 36],
    "timezone": ["UTC", "Europe/Lisbon", ""],
    "allowed_domains": [["shop.example"], [f"s{n}.example" for n in range(200)], [f"s{n}.example" for n in range(201)]],
}
"""Values of fields whose rule is more than a range."""


@pytest.fixture
def owner(owner_url: str) -> Iterator[Connection]:
    """The owner, with one agent; triggers and foreign keys rest, so that only types and CHECKs speak."""
    with psycopg.connect(owner_url) as connection:
        person = rows.person(connection, "baker@bakery.example")
        organization = rows.organization(connection, "bakery", person)
        rows.insert(connection, "agents", organization_id=organization, **REQUIRED)
        connection.execute("set local session_replication_role = replica")
        yield connection
        connection.rollback()


def variant(field: dict[str, Any]) -> dict[str, Any]:
    """The rules of a field, whether it may be null or not."""
    return next((each for each in field.get("anyOf", []) if each.get("type") != "null"), field)


def edges(name: str) -> Iterator[Any]:
    """Just below, at and above each bound; null; every literal and some that aren't."""
    rule = variant(FIELDS[name])
    yield None
    yield from CASES.get(name, [])
    if "enum" in rule:
        yield from (*rule["enum"], "", "other", rule["enum"][0].upper(), f"{rule['enum'][0]} ")
        return
    step = 1 if rule.get("type") == "integer" else 0.001
    for bound in (rule[key] for key in ("minimum", "maximum") if key in rule):
        yield from (bound - step, bound, bound + step, -bound - step)
    if rule.get("type") == "number":
        yield from (math.nan, math.inf, -math.inf)
    for size in (rule[key] for key in ("minLength", "maxLength") if key in rule and "pattern" not in rule):
        yield from ("x" * length for length in (size - 1, size, size + 1) if length >= 0)
        yield "\N{CROISSANT}" * size
    for size in (rule[key] for key in ("maxItems", "maxProperties") if key in rule):
        yield from (several(name, rule, count) for count in (0, 1, size, size + 1))
    if rule.get("type") == "boolean":
        yield from (True, False)


def several(name: str, rule: dict[str, Any], count: int) -> Any:
    """A list or an object of `count` good entries."""
    if rule["type"] == "object":
        return {f"key{n}": "value" for n in range(count)}
    items = rule["items"]
    if name == "allowed_domains":
        return [f"shop{n}.example" for n in range(count)]
    if items.get("format") == "uuid":
        return [new_id() for _ in range(count)]
    if "$ref" in items:
        required = SCHEMA["$defs"][items["$ref"].rpartition("/")[2]]["required"]
        return [dict.fromkeys(required, "x") for _ in range(count)]
    return ["x"] * count


def schema_accepts(name: str, value: Any) -> bool:
    """Whether the settings can be read with this value."""
    try:
        AgentSettings.model_validate({**REQUIRED, name: value})
    except ValidationError:
        return False
    return True


def database_accepts(owner: Connection, name: str, value: Any) -> bool:
    """Whether the agent's row can hold this value."""
    is_json = str(Agent.__table__.c[name].type) == "JSONB"
    sent = Jsonb(value) if is_json and value is not None else value
    owner.execute("savepoint one")
    try:
        owner.execute(SQL("update public.agents set {} = %s").format(Identifier(name)), (sent,))
    except (psycopg.IntegrityError, psycopg.DataError):
        return False
    else:
        return True
    finally:
        owner.execute("rollback to savepoint one")


def judge(owner: Connection, name: str, value: Any) -> None:
    """Both say the same; the schema may say more where it is known to."""
    by_schema, by_database = schema_accepts(name, value), database_accepts(owner, name, value)
    shown = repr(value)[:80]
    if name in STRICTER:
        assert by_database or not by_schema, f"{name} = {shown}: the schema takes it, the database doesn't"
    else:
        assert by_schema == by_database, f"{name} = {shown}: schema {by_schema}, database {by_database}"


def test_every_bound_is_the_same(owner: Connection) -> None:
    tried = 0
    for name in FIELDS:
        for value in edges(name):
            judge(owner, name, value)
            tried += 1
    assert tried > 350


def test_every_range_is_in_the_database(owner: Connection) -> None:
    """The twin of the above: dropping one CHECK makes the two differ."""
    owner.execute("alter table public.agents drop constraint agents_temperature_check")
    with pytest.raises(AssertionError, match=r"temperature = -0\.001"):
        for value in edges("temperature"):
            judge(owner, "temperature", value)


NUMBERS = [name for name in FIELDS if variant(FIELDS[name]).get("type") in ("integer", "number")]
TEXTS = [name for name in FIELDS if variant(FIELDS[name]).get("type") == "string" and name not in STRICTER]


@settings(
    derandomize=True, max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=st.sampled_from(NUMBERS), value=st.integers(-(2**40), 2**40) | st.floats(-10, 10))
@example(name="temperature", value=2.0000000000000004)
@example(name="top_p", value=-5e-324)
def test_any_number_gets_the_same_answer(owner: Connection, name: str, value: float) -> None:
    if variant(FIELDS[name])["type"] == "integer" and isinstance(value, float):
        value = round(value)  # PostgreSQL rounds what Pydantic refuses; the API's JSON never gets so far
    judge(owner, name, value)


@settings(
    derandomize=True, max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(name=st.sampled_from(TEXTS), value=st.text(max_size=130))
@example(name="name", value="\x00")
@example(name="name", value="")
def test_any_text_gets_the_same_answer(owner: Connection, name: str, value: str) -> None:
    judge(owner, name, value)


def test_defaults_are_the_same(owner: Connection) -> None:
    """A row of the required columns alone reads back as the schema's defaults."""
    names = list(AgentSettings.model_fields)
    columns = SQL(", ").join(map(Identifier, names))
    row = owner.execute(SQL("select {} from public.agents").format(columns)).fetchone()
    assert row is not None
    assert AgentSettings.model_validate(dict(zip(names, row, strict=True))) == AgentSettings.model_validate(REQUIRED)


def test_more_than_fifty_settings_have_a_type() -> None:
    """A typed column each, or a JSONB one that a model describes; only what is JSON by nature is neither."""
    columns = Agent.__table__.c
    assert set(FIELDS) <= set(columns.keys())
    json_by_nature = {"response_format", "context_schema", "config_json"}
    typed = [name for name in FIELDS if str(columns[name].type) != "JSONB"]
    described = [name for name in set(FIELDS) - set(typed) - json_by_nature if '"$ref"' in json.dumps(FIELDS[name])]
    maps = ["dynamic_variables"]
    assert sorted([*typed, *described, *maps, *json_by_nature]) == sorted(FIELDS)
    assert len(typed) + len(described) + len(maps) >= 55
    assert len(FIELDS) == 60  # as README says


def test_what_may_be_null_is_the_same() -> None:
    for name, field in FIELDS.items():
        nullable = any(each.get("type") == "null" for each in field.get("anyOf", []))
        assert Agent.__table__.c[name].nullable == nullable, name


def test_a_written_agent_reads_back_as_it_was(owner_url: str) -> None:
    """Every field set to something else than its default survives the way into the columns and back."""
    world = make_world(owner_url)
    changed = full_settings(world.ours.ids["knowledge_bases"], world.ours.ids["tools"], world.ours.ids["credentials"])
    sent = {name: getattr(changed, name) for name in AgentSettings.model_fields}
    with psycopg.connect(owner_url) as connection:
        place = (changed.llm_provider, changed.llm_base_url, changed.llm_credential_id)
        connection.execute("update public.credentials set provider = %s, base_url = %s where id = %s", place)
        assignments = SQL(", ").join(SQL("{} = %s").format(Identifier(name)) for name in sent)
        values = [
            Jsonb(plain(value)) if str(Agent.__table__.c[name].type) == "JSONB" and value is not None else value
            for name, value in sent.items()
        ]
        connection.execute(
            SQL("update public.agents set {} where id = %s").format(assignments), (*values, world.ours.ids["agents"])
        )
        columns = SQL(", ").join(map(Identifier, sent))
        row = connection.execute(
            SQL("select {} from public.agents where id = %s").format(columns), (world.ours.ids["agents"],)
        ).fetchone()
    assert row is not None
    assert AgentSettings.model_validate(dict(zip(sent, row, strict=True))) == changed
    defaults = AgentSettings.model_validate(REQUIRED)
    assert [name for name in sent if getattr(changed, name) == getattr(defaults, name)] == []


def plain(value: Any) -> Any:
    """A bundle or a list of them as JSON."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, list):
        return [plain(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def full_settings(base: UUID, tool: UUID, credential: UUID) -> AgentSettings:
    """Settings in which nothing is as by default: the upper bound, the last literal, one entry."""
    values: dict[str, Any] = {
        "name": "Other", "slug": "other", "language": "pt-BR", "timezone": "Europe/Lisbon", "channels": ["api"],
        "llm_base_url": "https://a.example", "llm_credential_id": credential, "knowledge_base_ids": [base],
        "tool_ids": [tool], "response_format": {"type": "object"}, "context_schema": {"type": "object"},
        "config_json": {"kept": [1, None, {"deep": True}]}, "voice_settings": {"speed": 1.5},
        "speech_processing": {"silence_ms": 700, "interruption": {"enabled": False}}, "retrieval": {"top_k": 9},
        "widget_config": {"accent_color": "#112233"}, "handoff": {"enabled": True},
        "security": {"pii": {"enabled": True, "categories": ["iban"]}},
    }  # fmt: skip
    for name, field in FIELDS.items():
        rule = variant(field)
        if name in values:
            continue
        if "enum" in rule:
            values[name] = next(each for each in reversed(rule["enum"]) if each != field.get("default"))
        elif rule.get("type") == "boolean":
            values[name] = not field["default"]
        elif rule.get("type") in ("integer", "number"):
            values[name] = rule["maximum"]
        elif rule.get("type") in ("array", "object"):
            values[name] = several(name, rule, 1)
        else:
            values[name] = "other"
    return AgentSettings.model_validate(values)
