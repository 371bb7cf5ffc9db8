"""Databases of the two legacy generations, with data, with Supabase's roles and grants, and changed as owners do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias, get_args

import psycopg

Generation = Literal["older", "newer"]
"""Without organizations, and with them."""
GENERATIONS: tuple[Generation, ...] = get_args(Generation)

Fault: TypeAlias = Literal[
    "anybody writes",  # a policy lets everybody insert rows into what belongs to others
    "config value does not fit",  # a setting inside the JSON is no number, or out of its range
    "definer function",  # runs with its owner's rights, and everybody may call it
    "duplicates",  # rows that a unique key of the target would refuse
    "foreign key without index",
    "function for each row in policy",  # auth.uid() that isn't wrapped in a select
    "grant option",  # a role may pass its rights on
    "granted to everybody",  # to PUBLIC
    "materialized view is exposed",  # visitors may read it, and it knows no policies
    "mixed-case column",
    "no foreign key",  # where the target has one
    "no primary key",
    "nulls",  # rows that NOT NULL of the target would refuse
    "orphans",  # rows whose parent doesn't exist
    "other name",  # a column under another name than the target's (beyond the generation's own names)
    "other type",  # a column of another type than the target's
    "outside check",  # rows that a CHECK of the target would refuse, and no mapping of values covers
    "partitioned",
    "policies without effect",  # policies on a table whose row-level security is off
    "policy fails",  # for members, as policies recurse
    "policy names an old table",  # a policy on a table of the owner's own
    "publication",  # of logical replication, that names old tables
    "row security off",  # and visitors hold grants on it
    "rows of others are visible",  # a policy that lets everybody read
    "search_path not set",  # of a function
    "trigger",  # of the owner's own, on an old table
    "truncate granted to visitors",
    "view goes around policies",  # runs with its owner's rights, and visitors may read it
]


class Planted(NamedTuple):
    """A fault that a database was given, and where: `table.column`, `table`, `table.trigger`, or a name."""

    fault: Fault
    object: str


@dataclass(frozen=True)
class Shape:
    """Names that differ between the generations and by variations."""

    generation: Generation
    text: str = "text"

    @property
    def bots(self) -> str:
        """The table of what became agents."""
        return "bots" if self.generation == "newer" else "projects"

    @property
    def bot_id(self) -> str:
        """The column that refers to it."""
        return "bot_id" if self.generation == "newer" else "project_id"

    def fill(self, pattern: str) -> str:
        """Put the names into a pattern: `__bots__`, `__bot_id__`, `__text__`."""
        filled = pattern.replace("__bots__", self.bots).replace("__bot_id__", self.bot_id)
        return filled.replace("__text__", self.text)


@dataclass(frozen=True)
class Variation:
    """One thing that an owner has changed."""

    name: str
    sql: str
    plants: tuple[Planted, ...] = ()
    """Objects are patterns (`Shape.fill`), as is `sql`."""
    mends: tuple[Planted, ...] = ()
    """Faults of the generation that are no more."""
    is_late: bool = False
    """Comes after policies and indexes; else before them, while types can still be changed."""
    text: str | None = None
    """What the column `text` is called from here on."""
    generations: tuple[Generation, ...] = GENERATIONS
    excludes: frozenset[str] = frozenset()
    """Names of variations before this one that can't be combined with it."""


def make_legacy(owner_url: str, generation: Generation, variations: Collection[Variation] = ()) -> list[Planted]:
    """Fill an empty database; returns all faults that it has, those of the generation itself included.

    Variations are made in the order of `VARIATIONS`, in whichever order they are named.

    Raises:
        ValueError: a variation doesn't exist in this generation, or two exclude each other.
    """
    from tests.factories.legacy.variations import VARIATIONS

    chosen = [each for each in VARIATIONS if each in variations]
    _check_combination(generation, chosen)
    shape = Shape(generation)
    planted = set(_planted_by(generation))
    with psycopg.connect(owner_url) as connection:
        for name in ("prelude", "people", "configs", generation, "messages"):
            _run(connection, _read(name))
        for variation in (each for each in chosen if not each.is_late):
            shape = _vary(connection, shape, variation, planted)
        _run(connection, _read(f"{generation}_access") + "drop function legacy_config;")
        for variation in (each for each in chosen if each.is_late):
            shape = _vary(connection, shape, variation, planted)
    with psycopg.connect(owner_url, autocommit=True) as connection:
        connection.execute("analyze")
    return sorted(Planted(each.fault, shape.fill(each.object)) for each in planted)


def combinable(generation: Generation, variations: Collection[Variation]) -> bool:
    """Whether `make_legacy` takes these together."""
    names = {each.name for each in variations}
    return all(generation in each.generations and not each.excludes & names for each in variations)


def load_messages(url: str, count: int) -> None:
    """Add messages to a database without variations, 20 in each of as many new sessions as that takes."""
    with psycopg.connect(url, autocommit=True) as connection:
        found = connection.execute("select to_regclass('public.bots') is null").fetchone()
        shape = Shape("older" if found == (True,) else "newer")
        _run(connection, shape.fill(_SESSIONS.replace("__count__", str((count + 19) // 20))))
        _run(connection, _MESSAGES.replace("__count__", str(count)))
        connection.execute("vacuum analyze chat_sessions, chat_messages")


_SESSIONS = """
insert into chat_sessions (id, __bot_id__, created_at)
select md5('loaded ' || n)::uuid,
       b.ids[1 + n % cardinality(b.ids)],
       timestamptz '2024-07-01 00:00+00' + n * interval '1 min'
from generate_series(0, __count__ - 1) n, (select array_agg(id order by created_at) as ids from __bots__) b
"""
_MESSAGES = """
insert into chat_messages (session_id, role, text, timestamp)
select md5('loaded ' || n / 20)::uuid,
       case n % 2 when 0 then 'user' else 'model' end,
       'Message ' || n || repeat(' and so on', n % 12),
       timestamptz '2024-07-01 00:00+00' + n / 20 * interval '1 min' + n % 20 * interval '7 s'
from generate_series(0, __count__ - 1) n
"""


def _check_combination(generation: Generation, chosen: list[Variation]) -> None:
    if not combinable(generation, chosen):
        raise ValueError(f"These can't be combined in the {generation} generation: {[each.name for each in chosen]}")


def _vary(connection: psycopg.Connection, shape: Shape, variation: Variation, planted: set[Planted]) -> Shape:
    _run(connection, shape.fill(variation.sql))
    planted.difference_update(variation.mends)
    planted.update(variation.plants)
    return Shape(shape.generation, variation.text or shape.text)


def _planted_by(generation: Generation) -> list[Planted]:
    """What is wrong in a generation as such: its policies, its grants, its indexes. Objects are patterns."""
    guarded = ["profiles", "__bots__", "chat_sessions", "chat_messages", "usage_logs"]
    unindexed = ["chat_sessions.__bot_id__", "chat_sessions.user_id", "chat_messages.session_id", "usage_logs.user_id"]
    if generation == "newer":
        organizations = ["organizations", "organization_members"]
        failing = [*organizations, "__bots__", "chat_sessions", "chat_messages", "usage_logs"]
        special = [Planted("policy fails", table) for table in failing]
        guarded += organizations
        unindexed.append("__bots__.created_by")
    else:
        special = [Planted("rows of others are visible", "profiles")]
        unindexed.append("usage_logs.__bot_id__")
    return [
        *special,
        *(Planted("anybody writes", table) for table in ("chat_sessions", "chat_messages", "usage_logs")),
        *(Planted("truncate granted to visitors", table) for table in guarded),
        *(Planted("function for each row in policy", table) for table in guarded),
        *(Planted("foreign key without index", column) for column in unindexed),
    ]


def _read(name: str) -> str:
    return Path(__file__).with_name(f"{name}.sql").read_text(encoding="utf-8")


def _run(connection: psycopg.Connection, statements: str) -> None:
    connection.execute(statements.encode())
