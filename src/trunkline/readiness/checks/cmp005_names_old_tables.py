"""CMP005: functions, triggers, views and policies of one's own that hang on tables which get new names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from trunkline.postgres.catalogue.model import Relation, quote
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import own_tables, tables
from trunkline.readiness.reach import own_functions, signature
from trunkline.readiness.report import Finding, Severity

_RENAMED = CLEAN + "alter table shops rename to stores;"
_PLAN = "trunkline migrate plan URL"


def find(evidence: Evidence) -> Iterator[Finding]:
    """One for each object that isn't part of the tables that the migration brings over."""
    renamed = [relation for match, relation in tables(evidence) if match.how == "renamed"]
    if renamed:
        yield from _functions(evidence, renamed)
        yield from _triggers(renamed)
        yield from _views(evidence, renamed)
        yield from _policies(evidence, renamed)


def _functions(evidence: Evidence, renamed: Sequence[Relation]) -> Iterator[Finding]:
    for function in own_functions(evidence.catalogue):
        if named := _named(function.source, renamed):
            yield _finding(
                "major",
                signature(function),
                f"Its source names {named}.",
                "It works through the old names until the migration is completed, and fails from then on.",
                f"-- Write it anew with the new names before `trunkline migrate complete`.\n{_PLAN}",
            )


def _triggers(renamed: Sequence[Relation]) -> Iterator[Finding]:
    for relation in renamed:
        for trigger in relation.triggers:
            yield _finding(
                "minor",
                f"{relation.name}.{quote(trigger.name)}",
                f"The trigger goes with {relation.name} to its new name, and calls {trigger.function}.",
                "Its function meets the new names of columns in NEW and OLD as soon as they change.",
                f"-- See that the function uses no column that gets a new name.\n{_PLAN}",
            )


def _views(evidence: Evidence, renamed: Sequence[Relation]) -> Iterator[Finding]:
    names = {relation.name for relation in renamed}
    for view in evidence.catalogue.own_relations():
        if read := [str(name) for name in view.reads if name in names]:
            yield _finding("info", str(view.name), f"The view reads {', '.join(read)}.", _FOLLOWS, _PLAN)


def _policies(evidence: Evidence, renamed: Sequence[Relation]) -> Iterator[Finding]:
    for relation in own_tables(evidence):
        if evidence.matching.of(relation) is not None:
            continue
        for policy in relation.policies:
            if named := _named(f"{policy.using} {policy.check}", renamed):
                object_ = f"{relation.name} policy {quote(policy.name)}"
                yield _finding("info", object_, f"It asks {named}.", _FOLLOWS, _PLAN)


_FOLLOWS = "It follows the tables to their new names by itself; whoever has its text in a file should change it there."


def _named(sql: str, renamed: Sequence[Relation]) -> str:
    """Which of the tables a text names, as a whole word; in a comment too."""
    return ", ".join(
        str(relation.name) for relation in renamed if re.search(rf"(?<!\w){re.escape(relation.name.name)}(?!\w)", sql)
    )


def _finding(severity: Severity, object_: str, evidence: str, impact: str, remedy: str) -> Finding:
    return Finding(
        code=CHECK.code,
        severity=severity,
        component="compatibility",
        object=object_,
        evidence=evidence,
        impact=impact,
        remedy=remedy,
    )


CHECK = Check(
    code="CMP005",
    title="Hangs on a table that gets a new name",
    component="compatibility",
    severity="major",
    about="""
Looks at what the database's owner has made around tables whose names will change, and which the models don't know:

- **functions** whose source names such a table (**major**): PostgreSQL keeps the text as it is, so they work only as
  long as something answers to the old name;
- **triggers** on such tables (**minor**): they go with the table, but their functions meet new names of columns;
- **views**, and **policies** of other tables, that read them (**info**): PostgreSQL follows the table.

A name is looked for as a whole word in a function's source, so a comment that mentions it counts too. SQL that is put
together at run time isn't seen.
""",
    find=find,
    bad=(
        Case(
            _RENAMED + "create function shop_count() returns bigint language sql as 'select count(*) from stores';",
            finds=("shop_count()",),
        ),
        Case(
            _RENAMED + "create function stop() returns trigger language plpgsql as 'begin return null; end';"
            "create trigger stop before delete on stores for each row execute function stop();",
            finds=("stores.stop",),
        ),
        Case(_RENAMED + "create view latest with (security_invoker) as select * from stores;", finds=("latest",)),
        Case(
            _RENAMED + "create table parcels (id int); create policy seen on parcels using"
            " (exists (select from stores));",
            finds=("parcels policy seen",),
        ),
    ),
    good=(
        Case(CLEAN + "create function shop_count() returns bigint language sql as 'select count(*) from shops';"),
        Case(
            _RENAMED + "create table bookstores (id int); create function n() returns bigint language sql as"
            " 'select count(*) from bookstores'; create view v as select id from orders;"
        ),
    ),
)
