"""The documentation of the checks as one page of Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.readiness.check import Case, Check
from trunkline.readiness.example import CLEAN

_HEAD = f"""\
# Checks

What `trunkline readiness` looks for. `trunkline explain CODE` prints the same in the terminal; `--only CODE` and
`--skip CODE` choose. Each check has examples that a test runs on a real database: the check finds just what it should.

This page is written by `scripts/write_checks.py`; a test keeps it true.

<details><summary>The schema that the examples begin with, where they say so</summary>

```sql
{CLEAN.strip()}
```

</details>
"""


def render_checks(checks: Sequence[Check]) -> str:
    """A table of all, then each in full."""
    rows = [
        f"| [{each.code}](#{each.code.lower()}) | {each.title} | {each.severity} | {each.component.replace('_', ' ')} |"
        for each in checks
    ]
    table = ["| code | finds | at worst | in |", "| --- | --- | --- | --- |", *rows]
    return "\n".join([_HEAD, *table, "", *("\n".join(_check(each)) for each in checks)])


def example(check: Check) -> tuple[str, str] | None:
    """What triggers a check: a sentence, and the SQL, which may be empty. The schema that many begin with is left out.

    None where only a state of the server does, which no SQL makes.
    """
    cases = [case for case in check.bad if case.as_if is None]
    case = next((case for case in cases if _own_sql(case)), cases[0] if cases else None)
    if case is None:
        return None
    begins = "On the example's schema" if case.sql.startswith(CLEAN) else "In an empty database"
    clauses = [begins]
    if _own_sql(case):
        clauses.append("after this")
    if check.statements:
        clauses.append(f"asked about `{'; '.join(check.statements)}`")
    found = ", ".join(f"`{name}`" for name in case.finds)
    return f"{', '.join(clauses)}{',' if len(clauses) > 1 else ''} it finds {found}.", _own_sql(case)


def _own_sql(case: Case) -> str:
    return case.sql.removeprefix(CLEAN).strip()


def _check(check: Check) -> list[str]:
    covers = [f"Covers: {', '.join(check.covers)}.", ""] if check.covers else []
    shown = example(check)
    block = ["```sql", shown[1], "```", ""] if shown and shown[1] else []
    return [
        f"## {check.code}",
        "",
        f"**{check.title}** ({check.severity} at worst, in {check.component.replace('_', ' ')})",
        "",
        check.about.strip(),
        "",
        *([shown[0], ""] if shown else []),
        *block,
        *covers,
    ]
