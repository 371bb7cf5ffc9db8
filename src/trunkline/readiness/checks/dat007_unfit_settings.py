"""DAT007: settings inside of JSON that don't fit the columns which take them over."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby

from trunkline.postgres.catalogue.model import Name
from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.evidence.data import BadRows, DataEvidence
from trunkline.readiness.example import CLEAN
from trunkline.readiness.find import key_name
from trunkline.readiness.report import Finding


def find(evidence: Evidence) -> Iterator[Finding]:
    """One for each JSON column that holds such settings."""
    unfit = [each for each in evidence.data.bad if each.fault == "unfit setting"]
    for name, group in groupby(unfit, key=lambda each: key_name(each.relation, each.columns)):
        rows = list(group)
        yield Finding(
            code=CHECK.code,
            severity="major",
            component="data",
            object=name,
            evidence="; ".join(f"{each.told} don't fit {each.rule}; e.g. {each.samples_told}" for each in rows) + ".",
            impact="The settings of these rows can't be taken over: they get the default, and behave otherwise.",
            remedy=(
                "-- Put the settings of these rows right, or take the keys out of their JSON, in the old application"
                f" or with an update of {rows[0].relation.sql}."
            ),
        )


def _with(fault: BadRows) -> DataEvidence:
    return DataEvidence(bad=(fault,), sampled=())


_WARM = BadRows(
    fault="unfit setting",
    relation=Name("public", "orders"),
    columns=("config",),
    rule="weight: integer, weight > 0",
    count=1,
    is_estimate=False,
    samples=("7",),
    rows=3,
)

CHECK = Check(
    code="DAT007",
    title="Settings that don't fit their columns",
    component="data",
    severity="major",
    about="""
Where a JSON column held what the models now keep in columns of numbers (`info={"formerly_in": …}` in the model), the
values under its keys are read: flat or one level down, in camelCase or snake_case, numbers also as strings. Reported
are those that are no number, no whole number where one is asked for, or a number that the models' CHECK refuses. Where
several keys could be meant, nothing is said. At most 2,000 rows are read, all of them with `--deep`.

Such a setting can't be taken over by the column, and its row gets the default. Texts are not judged.
""",
    find=find,
    bad=(
        Case(
            "create table orders (id uuid primary key, config jsonb);",
            finds=("orders.config",),
            as_if=lambda evidence: replace(evidence, data=_with(_WARM)),  # the example keeps no number in JSON
        ),
    ),
    good=(
        Case(CLEAN),
        Case(
            "create table orders (id uuid primary key, config jsonb);"
            """insert into orders values (gen_random_uuid(), '{"currency": "7"}'), (gen_random_uuid(), '[]');"""
        ),
    ),
)
