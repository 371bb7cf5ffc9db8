"""Which triggers are known to leave nothing behind, so that rows can be tried on their tables.

A rolled-back transaction undoes writes, but not everything: a sequence keeps its number, a call over the network has
been made, and while it lasts, a row that a trigger has updated is locked against others. So a trigger is harmless only
where its text proves it, and everything else counts as unknown. Its function must be SQL or PL/pgSQL; call nothing but
PostgreSQL's own functions of a short list here; and hold no statement that writes, locks, notifies or is put together
at run time, with one exception: `update parent set … where parent.id = new.parent_id`, which reaches the row's own
parent only, and that was made up too. A trigger that runs only `when (new.x is null)` is harmless where x is always
given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from trunkline.postgres.catalogue.model import Catalogue, Function, Relation, Trigger

Event = Literal["insert", "update", "delete"]

_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_STRINGS = re.compile(r"'(?:[^']|'')*'")
_FORBIDDEN = re.compile(
    r"\b(insert|update|delete|merge|truncate|copy|execute|perform|call|do|notify|listen|lock|create|drop|alter|grant|"
    r"revoke|set|reset|vacuum|analyze|refresh|cluster|reindex|share|nextval|setval|open|fetch|move)\b"
)
_UPDATE_OF_PARENT = re.compile(
    r"\bupdate\s+(?:only\s+)?(?P<table>[a-z_][\w.]*)(?:\s+(?:as\s+)?(?!set\b)[a-z_]\w*)?\s+set\s+[^;]*?"
    r"\bwhere\s+(?:[a-z_]\w*\.)?id\s*=\s*(?:new|old)\.[a-z_]\w*\s*;"
)
_CALLED = re.compile(r"([a-z_][\w.]*)\s*\(")
_KNOWN_WORDS = """
    if elsif and or not in exists values any all some as on using return when then else case select from where with
    coalesce nullif greatest least now clock_timestamp statement_timestamp transaction_timestamp timezone date_trunc
    date_part extract lower upper trim btrim ltrim rtrim initcap length char_length octet_length concat concat_ws
    substr substring left right replace translate regexp_replace split_part strpos position overlay repeat format md5
    encode decode to_tsvector setweight array_length array_to_string string_to_array array_append array_remove
    array_position array_agg unnest cardinality jsonb_build_object jsonb_build_array json_build_object to_jsonb to_json
    row_to_json jsonb_set jsonb_array_length jsonb_typeof jsonb_agg jsonb_object_agg count min max sum avg abs round
    ceil floor mod row array numeric varchar char timestamp timestamptz time interval decimal float
    gen_random_uuid current_setting make_interval to_char to_timestamp to_date
"""
_KNOWN = frozenset(_KNOWN_WORDS.split())


def fires_on(trigger: Trigger) -> frozenset[Event]:
    """The commands that start it."""
    head = trigger.definition.partition(" ON ")[0].lower()
    events: tuple[Event, ...] = ("insert", "update", "delete")
    return frozenset(each for each in events if re.search(rf"(?:before|after|instead of|or) {each}\b", head))


def unknown_triggers(
    catalogue: Catalogue, relation: Relation, event: Event, *, parents_are_made: bool
) -> Iterator[Trigger]:
    """Triggers that a command would start and that are not known to be harmless; those of partitions included.

    Where parents are rows that were there before, a trigger that updates the parent isn't harmless.
    """
    relations = [relation, *(each for each in catalogue.relations.values() if relation.name in each.parents)]
    for each in (trigger for table in relations for trigger in table.triggers):
        if not each.is_enabled or event not in fires_on(each):
            continue
        if event == "insert" and _waits_for_null(relation, each):
            continue
        if not _is_harmless(catalogue, each, parents_are_made=parents_are_made):
            yield each


def calls_only_known(expression: str) -> bool:
    """Whether an expression (a default) calls nothing but PostgreSQL's own functions of the list."""
    return all(_is_known(name) for name in _CALLED.findall(_stripped(expression)))


def _is_harmless(catalogue: Catalogue, trigger: Trigger, *, parents_are_made: bool) -> bool:
    functions = [each for each in catalogue.functions if each.name == trigger.function]
    return bool(functions) and all(
        _leaves_nothing(catalogue, each, parents_are_made=parents_are_made) for each in functions
    )


def _waits_for_null(relation: Relation, trigger: Trigger) -> bool:
    """Whether it only fills a column that must be given and always is."""
    found = re.search(r'WHEN \(\(new\."?([^"\s]+)"? IS NULL\)\)', trigger.definition, re.IGNORECASE)
    column = relation.columns.get(found[1]) if found else None
    return column is not None and not column.nullable and column.default is None


def _leaves_nothing(catalogue: Catalogue, function: Function, *, parents_are_made: bool) -> bool:
    if function.language not in ("plpgsql", "sql"):
        return False
    text = _stripped(function.source)
    for update in _UPDATE_OF_PARENT.finditer(text):
        if not _is_quiet(catalogue, update["table"]):
            return False
    if parents_are_made:
        text = _UPDATE_OF_PARENT.sub(" ", text)
    return not _FORBIDDEN.search(text) and all(_is_known(name) for name in _CALLED.findall(text))


def _is_quiet(catalogue: Catalogue, table: str) -> bool:
    """Whether updating a table starts nothing that itself writes."""
    name = table.rpartition(".")[2]
    for relation in (each for each in catalogue.relations.values() if each.name.name == name):
        for trigger in relation.triggers:
            source = next((each.source for each in catalogue.functions if each.name == trigger.function), "update")
            if "update" in fires_on(trigger) and _FORBIDDEN.search(_stripped(source)):
                return False
    return True


def _stripped(source: str) -> str:
    return _STRINGS.sub("''", _COMMENTS.sub(" ", source)).lower()


def _is_known(name: str) -> bool:
    return name.removeprefix("pg_catalog.") in _KNOWN
