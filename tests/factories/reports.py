"""Reports made by hand: one of a legacy database, one where all is well, one of a database that hid too much."""

from __future__ import annotations

from datetime import UTC, datetime

from trunkline.readiness.report import (
    ChecklistItem,
    Component,
    Finding,
    NotChecked,
    Observation,
    Option,
    Report,
)

_NAMES = {
    "architecture": "Architecture",
    "table_names": "Table names",
    "session_fields": "Session fields",
    "message_fields": "Message fields",
    "agent_fields": "Agent fields",
    "rls_policies": "RLS policies",
    "indexes": "Indexes",
}
HOSTILE = "odd|name`<script>alert(1)</script>*[x](y)_"
"""A name that every format must show and none may obey."""


def legacy_report() -> Report:
    """A legacy database: names, fields and policies to mend."""
    return Report(
        database="shop",
        server_version="18.6",
        target="Trunkline",
        analysed_at=datetime(2026, 3, 14, 9, 26, 53, tzinfo=UTC),
        seconds=0.84,
        is_deep=False,
        verdict="not_ready",
        score=48,
        status="PARTIALLY READY - NEEDS MIGRATION",
        headline="Organizations are there; the tables of agents have old names, and one policy fails when it is run.",
        source="legacy, with organizations",
        components=_legacy_components(),
        findings=_legacy_findings(),
        checklist=(
            ChecklistItem(title="Organizations and members", critical=True, done=True, ways=()),
            ChecklistItem(
                title="Bring the tables to their names",
                critical=True,
                done=False,
                ways=(
                    "rename them: `trunkline migrate start postgresql://… --strategy rename`",
                    'keep them: `__tablename__ = "bots"` in the model',
                ),
                codes=("SCH002",),
            ),
            ChecklistItem(
                title="Index messages by session",
                critical=False,
                done=False,
                ways=("create index concurrently on public.chat_messages (session_id, created_at);",),
                codes=("IDX001",),
            ),
        ),
        options=(
            Option(
                strategy="rename",
                advised=True,
                reason="Ids are uuids, and every table has one counterpart.",
                steps=("Rename three tables, views under the old names", "Add 61 columns", "Fill 1,203 rows"),
                exclusive_locks=6,
                rows_touched=1203,
                seconds=4,
                breaks="Nothing: the old application works until `complete`.",
            ),
            Option(
                strategy="create",
                advised=False,
                reason="Twice the space, and triggers on both sides.",
                steps=("Create three tables", "Copy 1,203 rows", "Switch"),
                exclusive_locks=3,
                rows_touched=2406,
                seconds=190,
                breaks="Nothing until the switch; the old application works until `complete`.",
            ),
        ),
        observations=_legacy_observations(),
        not_checked=(
            NotChecked(
                what="writing into audit_events",
                why="it has triggers of its own, which might act beyond the transaction.",
                how="`--deep` tries it.",
            ),
        ),
        risk="medium",
        risk_reason="One tenant reaches another's sessions today.",
        estimated_run="4 s",
        estimated_ready="about 2 days: 3 blockers, 1 major, a rehearsal",
        bottom_line="Migrate by renaming; the old application goes on meanwhile.",
        next_steps=(
            "trunkline migrate plan postgresql://… --strategy rename",
            "trunkline migrate start postgresql://… --strategy rename",
            "trunkline readiness postgresql://… --deep",
        ),
    )


def ready_report() -> Report:
    """A database where nothing is missing."""
    return legacy_report().model_copy(
        update={
            "verdict": "ready",
            "score": 100,
            "status": "READY",
            "headline": "The code can run on this database as it is.",
            "source": "Trunkline",
            "components": tuple(
                Component(
                    key=key, name=name, score=100, status="ready", notes="complete", expected="all", found="all of it"
                )
                for key, name in _NAMES.items()
            ),
            "findings": (),
            "checklist": (),
            "options": (),
            "observations": (),
            "not_checked": (),
            "risk": "none",
            "risk_reason": "There is nothing to migrate.",
            "estimated_run": "nothing to run",
            "estimated_ready": "now",
            "bottom_line": "Run the code.",
            "next_steps": ("trunkline serve",),
        }
    )


def unknown_report() -> Report:
    """A database whose policies could not be seen: no score, no verdict."""
    ready = ready_report()
    unseen = Component(
        key="rls_policies",
        name="RLS policies",
        score=None,
        status=None,
        notes="the role may not act as others",
        expected="9 tables",
        found="not seen",
    )
    return ready.model_copy(
        update={
            "verdict": "unknown",
            "score": None,
            "status": "COULD NOT CHECK",
            "headline": "Whether one tenant reaches another's rows could not be tried.",
            "components": tuple(unseen if each.key == "rls_policies" else each for each in ready.components),
            "not_checked": (
                NotChecked(
                    what="policies of all tables",
                    why="the role `reader` may not act as anon.",
                    how="Connect as the owner, or `grant anon to reader;`",
                    codes=("RLS006", "RLS007"),
                ),
            ),
        }
    )


def finding(code: str, severity: str, component: str, name: str, **others: str) -> Finding:
    """One finding; what isn't told is made up."""
    told = {
        "evidence": f"{name} was seen.",
        "impact": "The code can't use it.",
        "remedy": f"drop table {name};",
    } | others
    return Finding.model_validate({"code": code, "severity": severity, "component": component, "object": name, **told})


def _legacy_components() -> tuple[Component, ...]:
    grades = {
        "architecture": (100, "ready", "organizations, members, usage"),
        "table_names": (0, "missing", "bots, chat_sessions, chat_messages are the old names"),
        "session_fields": (21, "partial", "3 of 14 fields"),
        "message_fields": (62, "partial", "5 of 8 fields, one under an old name"),
        "agent_fields": (31, "partial", "most settings are inside `config`"),
        "rls_policies": (72, "partial", "one policy fails when it is run"),
        "indexes": (50, "partial", "messages have none by session"),
    }
    return tuple(
        Component.model_validate(
            {
                "key": key,
                "name": _NAMES[key],
                "score": score,
                "status": status,
                "notes": notes,
                "expected": f"what the models declare of {_NAMES[key].lower()}",
                "found": notes,
            }
        )
        for key, (score, status, notes) in grades.items()
    )


def _legacy_findings() -> tuple[Finding, ...]:
    return (
        finding(
            "SCH002",
            "blocker",
            "table_names",
            "bots",
            evidence="`agents` is missing; `bots` has 12 of its columns.",
            impact="Every query of the new code for agents fails.",
            remedy="alter table public.bots rename to agents;",
        ),
        finding(
            "RLS006",
            "blocker",
            "rls_policies",
            "organization_members",
            evidence='As authenticated: infinite recursion detected in policy for relation "organizations".',
            impact="Members see an error instead of their organizations.",
            remedy='drop policy "members" on public.organization_members;\n'
            'create policy "members" on public.organization_members for select to authenticated\n'
            "    using (user_id = (select auth.uid()));",
        ),
        finding(
            "RLS008",
            "blocker",
            "rls_policies",
            "chat_sessions",
            evidence="A member of another organization could insert 1 of 1 rows.",
            impact="Anybody who has signed up can write into the conversations of others.",
        ),
        finding("DAT001", "major", "data", "chat_messages.session_id", evidence="7 rows point to no session."),
        finding("EXP001", "minor", "exposure", HOSTILE, remedy="Ask the owner of the view."),
        finding("OPS007", "info", "operations", "the connection", remedy="Use a direct connection to migrate."),
    )


def _legacy_observations() -> tuple[Observation, ...]:
    return (
        Observation(
            role="anon",
            principal="nobody",
            table="chat_sessions",
            command="select",
            rows="foreign",
            outcome="denied",
        ),
        Observation(
            role="anon",
            principal="nobody",
            table="chat_sessions",
            command="insert",
            rows="foreign",
            outcome="allowed",
        ),
        Observation(
            role="authenticated",
            principal="a member of the row's organization",
            table="organization_members",
            command="select",
            rows="own",
            outcome="error",
            detail='infinite recursion detected in policy for relation "organizations"',
        ),
    )
