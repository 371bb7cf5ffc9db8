"""The documentation of the checks as one page of Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from trunkline.readiness.check import Check

_HEAD = """\
# Checks

What `trunkline readiness` looks for. `trunkline explain CODE` prints the same in the terminal; `--only CODE` and
`--skip CODE` choose. Each example was run: the check finds something after it.

This page is written by `scripts/write_checks.py`; a test keeps it true.
"""


def render_checks(checks: Sequence[Check]) -> str:
    """A table of all, then each in full."""
    rows = [
        f"| [{each.code}](#{each.code.lower()}) | {each.title} | {each.severity} | {each.component.replace('_', ' ')} |"
        for each in checks
    ]
    table = ["| code | finds | at worst | in |", "| --- | --- | --- | --- |", *rows]
    return "\n".join([_HEAD, *table, "", *("\n".join(_check(each)) for each in checks)])


def _check(check: Check) -> list[str]:
    covers = [f"Covers: {', '.join(check.covers)}.", ""] if check.covers else []
    return [
        f"## {check.code}",
        "",
        f"**{check.title}** ({check.severity} at worst, in {check.component.replace('_', ' ')})",
        "",
        check.about.strip(),
        "",
        "```sql",
        check.bad[0].sql.strip(),
        "```",
        "",
        *covers,
    ]
