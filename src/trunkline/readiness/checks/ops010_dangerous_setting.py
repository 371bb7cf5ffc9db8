"""OPS010: settings that stop writes, cleaning up or new connections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from trunkline.readiness.check import Case, Check, Evidence
from trunkline.readiness.report import Finding, Severity

_OFF = frozenset({"off", "false", "no", "0", "f", "n"})
_ON = frozenset({"on", "true", "yes", "1", "t", "y"})
_NEARLY_ALL = 0.9


def find(evidence: Evidence) -> Iterator[Finding]:
    """One for each setting, with whose it is."""
    activity = evidence.activity
    usable = activity.usable_connections
    if usable and activity.connections >= _NEARLY_ALL * usable:
        yield _finding(
            "major",
            "max_connections",
            f"{activity.connections} of {usable} connections for ordinary roles are taken.",
            "New sessions are refused: the application's, the migration's, and whoever comes to help.",
            "-- Put a pooler in front, or: alter system set max_connections = …; -- and restart",
        )
    for name in ("autovacuum", "track_counts"):
        if activity.settings.get(name, "on").lower() in _OFF:
            yield _finding(
                "major",
                name,
                f"{name} is off, so nothing cleans up dead rows by itself.",
                "Tables grow with each update, plans rest on old statistics, and in the end the server stops itself.",
                f"alter system reset {name}; select pg_reload_conf();",
            )
    yield from _for_some(evidence)


def _for_some(evidence: Evidence) -> Iterator[Finding]:
    """Settings of the server, or of a role or database, that change what writes do."""
    read_only = "default_transaction_read_only"
    if evidence.activity.settings.get(read_only, "off").lower() in _ON and not evidence.catalogue.server.is_standby:
        yield _finding("blocker", read_only, f"{read_only} is on.", _NO_WRITES, f"alter system reset {read_only};")
    for each in evidence.activity.own_settings:
        says = f"{each} is {each.value}."
        if each.name == read_only and each.value.lower() in _ON:
            # A role that only reads is often made on purpose.
            severity: Severity = "minor" if each.role else "blocker"
            yield _finding(severity, str(each), says, _NO_WRITES, each.reset)
        elif each.name == "session_replication_role" and each.value.lower() == "replica":
            yield _finding("major", str(each), says, _NO_TRIGGERS, each.reset)


_NO_WRITES = "Everything that writes in such a session fails."
_NO_TRIGGERS = "Triggers and foreign keys don't work in such a session: rows go in without organization and parents."


def _finding(severity: Severity, object_: str, evidence: str, impact: str, remedy: str) -> Finding:
    return Finding(
        code="OPS010",
        severity=severity,
        component="operations",
        object=object_,
        evidence=evidence,
        impact=impact,
        remedy=remedy,
    )


def _crowded(evidence: Evidence) -> Evidence:
    return replace(evidence, activity=replace(evidence.activity, connections=95, usable_connections=100))


def _roomy(evidence: Evidence) -> Evidence:
    return replace(evidence, activity=replace(evidence.activity, connections=50, usable_connections=100))


def _never_cleaned(evidence: Evidence) -> Evidence:
    return replace(evidence, activity=replace(evidence.activity, settings={"autovacuum": "off"}))


def _set(command: str) -> str:
    """SQL that runs a command with the name of the database in it."""
    return f"do $$ begin execute format('{command}', current_database()); end $$;"


CHECK = Check(
    code="OPS010",
    title="A setting endangers the work",
    component="operations",
    severity="blocker",
    about="""
Few settings do harm by themselves; these do:

- `default_transaction_read_only` on, for the server or this database: every write fails (minor for single roles, which
  are often meant to read only);
- `session_replication_role = replica` for a role or database: triggers and foreign keys are off, so rows go in without
  what triggers fill, and without parents;
- `autovacuum` or `track_counts` off: dead rows stay, and in the end the server refuses to work (OPS012);
- nine of ten connections that ordinary roles may have are taken, at the moment of looking.

Settings made by `ALTER ROLE` and `ALTER DATABASE` are seen for this database and for all.
""",
    find=find,
    bad=(
        Case("", finds=("max_connections",), as_if=_crowded),
        Case("", finds=("autovacuum",), as_if=_never_cleaned),
        Case(
            _set("alter database %I set default_transaction_read_only = on"),
            finds=("default_transaction_read_only of this database",),
        ),
        Case(
            _set("alter role anon in database %I set session_replication_role = replica"),
            finds=("session_replication_role of role anon in this database",),
        ),
    ),
    good=(Case(""), Case("", as_if=_roomy), Case(_set("alter database %I set statement_timeout = ''5s''"))),
)
