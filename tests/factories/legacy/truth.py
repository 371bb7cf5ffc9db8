"""Is it so? What findings say of a legacy database, asked again in SQL that shares nothing with the analyser."""

from __future__ import annotations

import re
from collections.abc import Callable

import psycopg
from psycopg import sql

from trunkline.readiness import Finding, Target
from trunkline.readiness.target import TargetColumn, TargetTable

PERSON = 'set local request.jwt.claims = \'{"sub": "8a6f0e4e-0000-4000-8000-000000000000"}\''


def is_so(owner: psycopg.Connection, finding: Finding, target: Target) -> bool:
    """Whether the database itself says so. What is tried is undone.

    Raises:
        KeyError: nobody has written down how findings of this code are asked again.
    """
    said = Said(finding, target)
    if finding.code in BY_TRYING:
        with owner.transaction(force_rollback=True):
            return BY_TRYING[finding.code](owner, said)
    answer = owner.execute(BY_ASKING[finding.code].encode(), said.facts()).fetchone()
    return answer == (True,)


class Said:
    """A finding's object and evidence, taken apart, and what the models want of it."""

    def __init__(self, finding: Finding, target: Target) -> None:
        self.evidence = finding.evidence
        self.last = finding.object.rpartition(" ")[2]
        self.table, rest = re.fullmatch(r"(\w+)(.*)", finding.object, re.DOTALL).groups()  # type: ignore[union-attr]
        self.columns = [each.strip('" ') for each in rest.strip(" .()").split(",")] if rest else []
        self.tables = [name.name for name in target.tables]
        self.wanted = next((each for each in target.tables.values() if self._is(each)), None)

    @property
    def column(self) -> str:
        """The first of the columns."""
        return self.columns[0] if self.columns else ""

    def _is(self, table: TargetTable) -> bool:
        return self.table in (table.name.name, *table.formerly)

    def column_wanted(self) -> TargetColumn | None:
        """The models' own, under whichever name."""
        columns = self.wanted.columns.values() if self.wanted else ()
        return next((each for each in columns if self.column in (each.name, *each.formerly)), None)

    def parent(self) -> tuple[list[str], str]:
        """The table that the models' foreign key goes to, and what happens on delete, as pg_constraint says it."""
        wanted, column = self.wanted, self.column_wanted()
        if wanted is None or column is None:
            raise AssertionError(f"The models have no {self.table}.{self.column}.")
        key = next(each for each in wanted.foreign_keys if column.name in each.columns)
        return [key.parent.name], {"cascade": "c", "set null": "n", "restrict": "r", None: "a"}[key.on_delete]

    def facts(self) -> dict[str, object]:
        """What the questions may name."""
        column = self.column_wanted()
        return {
            "t": self.table,
            "c": self.column,
            "cs": self.columns,
            "last": self.last,
            "targets": self.tables,
            "wanted": list(self.wanted.columns) if self.wanted else [],
            "type": column.type if column else None,
            "nullable": column.nullable if column else None,
        }


_HAS = "select count(*) from pg_attribute where attrelid = to_regclass(%(t)s) and attname = %(c)s and not attisdropped"
_LEADING = """
select count(*) from pg_index i where i.indrelid = to_regclass(%(t)s) and i.indisvalid
and (select array_agg(a.attname::text order by k.n) from unnest(i.indkey) with ordinality k (attnum, n)
     join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
     where k.n <= cardinality(%(cs)s::text[])) = %(cs)s::text[]
"""
_POLICIES = "select count(*) from pg_policies where tablename = %(t)s"
_ON = "coalesce((select {} from pg_class where oid = to_regclass(%(t)s)), false)"

BY_ASKING: dict[str, str] = {
    "CMP005": "select exists (select from pg_proc where proname = %(t)s and prosrc ~ 'chat_(sessions|messages)')"
    " or exists (select from pg_trigger where tgrelid = to_regclass(%(t)s) and tgname = %(c)s)"
    " or exists (select from pg_policies where tablename = %(t)s and qual ~ 'chat_sessions')"
    " or pg_get_viewdef(to_regclass(%(t)s)) ~ 'chat_messages'",
    "EXP001": "select has_table_privilege('anon', oid, 'truncate') and relkind in ('r', 'p', 'v') from pg_class"
    " where oid = to_regclass(%(t)s)",
    "EXP002": "select prosecdef and proconfig is null from pg_proc where proname = %(t)s",
    "EXP003": "select prosecdef and has_function_privilege('anon', oid, 'execute') from pg_proc where proname = %(t)s",
    "EXP004": "select reloptions is null and has_table_privilege('anon', oid, 'select') from pg_class"
    " where oid = to_regclass(%(t)s) and relkind = 'v'",
    "EXP005": "select has_table_privilege('anon', oid, 'select') from pg_class"
    " where oid = to_regclass(%(t)s) and relkind = 'm'",
    "EXP010": "select exists (select from pg_default_acl where defaclacl::text ~ '(anon|authenticated)=')",
    "EXP019": "select relacl::text ~ '[{,]=' from pg_class where oid = to_regclass(%(t)s)",
    "EXP020": r"select relacl::text ~ '\*' from pg_class where oid = to_regclass(%(t)s)",
    "IDX001": f"select ({_LEADING}) = 0",
    "IDX002": f"select ({_LEADING}) = 0 and exists (select from pg_constraint c join pg_attribute a on"
    " a.attrelid = c.conrelid and c.conkey = array[a.attnum] where c.contype = 'f'"
    " and c.conrelid = to_regclass(%(t)s) and a.attname = %(c)s)",
    "OPS006": "select exists (select from pg_publication_tables where tablename in ('chat_sessions', 'chat_messages')"
    " and pubname = %(last)s)",
    "RLS001": f"select not {_ON.format('relrowsecurity')} and has_table_privilege('anon', %(t)s, 'select')",
    "RLS002": f"select {_ON.format('relrowsecurity and not relforcerowsecurity')}",
    "RLS003": f"select not {_ON.format('relrowsecurity')} and ({_POLICIES}) > 0",
    "RLS005": f"select ({_POLICIES} and 'true' in (qual, with_check)) > 0",
    "RLS010": f"select ({_POLICIES} and concat(qual, with_check) ~ '(?<!SELECT )auth\\.uid') > 0",
    "RLS014": f"select ({_POLICIES} and roles = array['public']::name[]) > 0",
    "SCH001": "select to_regclass(%(t)s) is null and %(t)s = any (%(targets)s::text[])",
    "SCH002": "select to_regclass(%(t)s) is not null and not %(t)s = any (%(targets)s::text[])",
    "SCH003": f"select to_regclass(%(t)s) is not null and ({_HAS}) = 0 and %(c)s = any (%(wanted)s::text[])",
    "SCH004": f"select ({_HAS}) = 1 and not %(c)s = any (%(wanted)s::text[])",
    "SCH005": f"select ({_HAS}) = 0 and %(c)s = any (%(wanted)s::text[]) and exists (select from pg_attribute"
    " where attrelid = to_regclass(%(t)s) and attname = 'config' and atttypid = 'jsonb'::regtype)",
    "SCH006": "select format_type(atttypid, atttypmod) is distinct from %(type)s from pg_attribute"
    " where attrelid = to_regclass(%(t)s) and attname = %(c)s",
    "SCH007": "select attnotnull = %(nullable)s from pg_attribute"
    " where attrelid = to_regclass(%(t)s) and attname = %(c)s",
    "SCH008": "select not exists (select from pg_index i where i.indrelid = to_regclass(%(t)s) and i.indisunique"
    " and (select array_agg(a.attname::text order by a.attname) from pg_attribute a where a.attrelid = i.indrelid"
    " and a.attnum = any (i.indkey)) = (select array_agg(c order by c) from unnest(%(cs)s::text[]) c))",
    "SCH012": "select not atthasdef from pg_attribute where attrelid = to_regclass(%(t)s) and attname = %(c)s",
    "SCH013": "select not exists (select from pg_constraint where conrelid = to_regclass(%(t)s) and contype = 'p')",
}
"""SQL that is true where a finding is: of table, column, columns of its object, and what our models say of them."""


def ask(owner: psycopg.Connection, query: str, *names: str) -> int:
    """A number. `{}` in the query stand for names."""
    composed = sql.SQL(query).format(*map(sql.Identifier, names))  # type: ignore[arg-type]
    found = owner.execute(composed).fetchone()
    return int(found[0]) if found else 0


def numbers(said: Said) -> list[int]:
    """How many rows, as the finding says: `12 of 480 rows`."""
    return [int(each.replace(",", "")) for each in re.findall(r"([\d,]+) of [\d,]+ rows", said.evidence)]


def _deletes_otherwise(owner: psycopg.Connection, said: Said) -> bool:
    parents, action = said.parent()
    key = owner.execute(
        "select from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and c.conkey = array[a.attnum]"
        " where c.contype = 'f' and c.conrelid = to_regclass(%s) and a.attname = %s and c.confdeltype = %s"
        " and (select relname from pg_class where oid = c.confrelid) = any (%s)"
        " and c.confrelid <> 'auth.users'::regclass",
        (said.table, said.column, action, [*parents, *FORMERLY.get(parents[0], ())]),
    ).fetchone()
    return key is None


FORMERLY = {"agents": ("bots", "projects"), "agent_sessions": ("chat_sessions",), "agent_messages": ("chat_messages",)}


def _refuses_or_admits_all(owner: psycopg.Connection, said: Said) -> bool:
    """Either values are refused that the code writes, or nothing bounds the column."""
    bounds = owner.execute(
        "select coalesce(string_agg(pg_get_constraintdef(c.oid), ' '), '') || coalesce((select"
        " string_agg(quote_literal(enumlabel), ' ') from pg_enum where enumtypid = a.atttypid), '') from pg_attribute a"
        " left join pg_constraint c on c.conrelid = a.attrelid and c.contype = 'c' and a.attnum = any (c.conkey)"
        " where a.attrelid = to_regclass(%s) and a.attname = %s group by a.atttypid",
        (said.table, said.column),
    ).fetchone()
    assert bounds is not None
    if " refuses " not in said.evidence:
        return bounds == ("",)
    refused = re.findall(r"'\w+'", said.evidence)
    return bool(refused) and bounds != ("",) and not any(each in bounds[0] for each in refused)


def _recurses(owner: psycopg.Connection, said: Said) -> bool:
    owner.execute(PERSON)
    owner.execute("set local role authenticated")
    try:
        ask(owner, "select count(*) from {}", said.table)
    except psycopg.errors.InvalidObjectDefinition as error:
        return "infinite recursion" in str(error)
    return False


def _visitors_read(owner: psycopg.Connection, said: Said) -> bool:
    owner.execute("set local role anon")
    return ask(owner, "select count(*) from {}", said.table) > 0


def _visitors_write(owner: psycopg.Connection, said: Said) -> bool:
    """A row is added to what belongs to somebody: with the parent of some row that is there."""
    key = "session_id" if said.table == "chat_messages" else _first(owner, said.table, "bot_id", "project_id")
    parent = owner.execute(
        sql.SQL("select {} from {} where {} is not null").format(*map(sql.Identifier, (key, said.table, key)))
    ).fetchone()
    values: dict[str, object] = {key: parent[0] if parent else None}
    if said.table == "chat_messages":
        values |= {"role": "user", _first(owner, said.table, "text", "content", "message"): "x"}
    owner.execute("set local role anon")
    added = owner.execute(
        sql.SQL("insert into {} ({}) values ({})").format(
            sql.Identifier(said.table),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(map(sql.Literal, values.values())),
        )
    )
    return added.rowcount == 1


def _first(owner: psycopg.Connection, table: str, *columns: str) -> str:
    there = "select attname from pg_attribute where attrelid = to_regclass(%s) and attname = any (%s)"
    found = owner.execute(there, (table, list(columns))).fetchone()
    assert found is not None
    return str(found[0])


def _policies_for(owner: psycopg.Connection, said: Said) -> list[int]:
    """How many policies there are for each command that the finding names."""
    commands = set(re.findall(r"\b(select|insert|update|delete)\b", said.evidence.partition("The server said")[0]))
    count = "select count(*) from pg_policies where tablename = %s and cmd in ('ALL', %s)"
    found = [owner.execute(count, (said.table, each.upper())).fetchone() for each in commands]
    return [int(each[0]) for each in found if each]


def _binds_nobody(owner: psycopg.Connection, said: Said) -> bool:
    off = owner.execute("select not relrowsecurity from pg_class where oid = to_regclass(%s)", (said.table,)).fetchone()
    return off == (True,) or all(_policies_for(owner, said))


def _fails(owner: psycopg.Connection, said: Said) -> bool:
    """The table isn't there, or not with all columns that the code names."""
    assert said.wanted is not None
    there = "select count(*) from pg_attribute where attrelid = to_regclass(%s) and attname = any (%s)"
    found = owner.execute(there, (said.table, list(said.wanted.columns))).fetchone()
    return found is not None and found[0] < len(said.wanted.columns)


def _orphans(owner: psycopg.Connection, said: Said) -> bool:
    (parent,), _ = said.parent()
    names = [each for each in (parent, *FORMERLY.get(parent, ())) if _exists(owner, each)]
    count = "select count(*) from {} c where c.{} is not null and not exists (select from {} p where p.id = c.{})"
    return numbers(said) == [ask(owner, count, said.table, said.column, names[0], said.column)]


def _exists(owner: psycopg.Connection, table: str) -> bool:
    return owner.execute("select to_regclass(%s) is not null", (table,)).fetchone() == (True,)


def _nulls(owner: psycopg.Connection, said: Said) -> bool:
    return numbers(said) == [ask(owner, "select count(*) from {} where {} is null", said.table, said.column)]


def _strays(owner: psycopg.Connection, said: Said) -> bool:
    stray = "select count(*) from {} where {}::text not in ('user', 'assistant', 'system', 'tool', 'model', 'bot')"
    return numbers(said) == [ask(owner, stray, said.table, said.column)]


def _duplicates(owner: psycopg.Connection, said: Said) -> bool:
    of_groups = "select coalesce(sum(n), 0) from (select count(*) n from {} group by {}, {} having count(*) > 1) g"
    return numbers(said) == [ask(owner, of_groups, said.table, *said.columns)]


def _former(owner: psycopg.Connection, said: Said) -> bool:
    values = re.findall(r"(\w+) → assistant", said.evidence)
    counts = [
        ask(owner, f"select count(*) from {{}} where {{}}::text = '{each}'", said.table, said.column) for each in values
    ]
    return bool(values) and numbers(said) == counts


def _unfit_settings(owner: psycopg.Connection, said: Said) -> bool:
    unfit = "select count(*) from {} where {} #>> '{{llm,temperature}}' in ('warm', '7')"
    return numbers(said) == [ask(owner, unfit, said.table, said.column)]


BY_TRYING: dict[str, Callable[[psycopg.Connection, Said], bool]] = {
    "CMP001": _fails,
    "DAT001": _orphans,
    "DAT002": _nulls,
    "DAT003": _strays,
    "DAT004": _duplicates,
    "DAT005": _former,
    "DAT007": _unfit_settings,
    "RLS006": _recurses,
    "RLS007": _visitors_read,
    "RLS008": _visitors_write,
    "RLS009": lambda owner, said: not any(_policies_for(owner, said)),
    "RLS013": lambda owner, said: not any(_policies_for(owner, said)),
    "RLS015": _binds_nobody,
    "SCH009": _deletes_otherwise,
    "SCH010": _refuses_or_admits_all,
}
