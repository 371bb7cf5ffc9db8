"""Who may do what with a table's rows, declared once beside the model.

A table's `info["access"]` is a tuple of `Allow`. Each becomes one grant and one policy per command; DDL, revisions,
the readiness analyser and the attack matrix all read this declaration. What isn't allowed here is denied twice: there
is no grant and no policy.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Table

Command = Literal["select", "insert", "update", "delete"]

ANON = "anon"
AUTHENTICATED = "authenticated"
SERVICE = "trunkline_service"
DEFINER = "trunkline_definer"
SUPABASE_SERVICE = "service_role"

ROLES = (ANON, AUTHENTICATED, SERVICE)
"""The roles that requests act as; the login role is a member of each and inherits nothing from them."""


@dataclass(frozen=True, slots=True)
class Allow:
    """Lets `role` run `commands` on the rows that `rows` admits.

    `rows` is an SQL predicate over one row, used for rows that exist (USING) and for rows as they will be (WITH
    CHECK); `check` replaces it for the latter. `columns` narrows the grant of SELECT, INSERT and UPDATE.
    """

    role: str
    commands: tuple[Command, ...]
    rows: str
    columns: tuple[str, ...] | None = None
    check: str | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """One row-level policy, as `CREATE POLICY` wants it."""

    name: str
    role: str
    command: Command
    using: str | None
    check: str | None


def access_of(table: Table) -> tuple[Allow, ...]:
    """The declaration of a table; a table without one is a mistake."""
    declared: tuple[Allow, ...] = table.info["access"]
    return declared


def policies_of(table: Table) -> Iterator[Policy]:
    """The policies that a table's declaration asks for."""
    for allow in access_of(table):
        for command in allow.commands:
            yield Policy(
                name=f"{table.name}_{command}_{allow.role}",
                role=allow.role,
                command=command,
                using=None if command == "insert" else allow.rows,
                check=(allow.check or allow.rows) if command in ("insert", "update") else None,
            )


def member(minimum: str = "viewer", column: str = "organization_id") -> str:
    """Rows of organizations in which the calling member has at least this role; a set, computed once a statement."""
    return f"{column} = any ((select app.organization_ids('{minimum}'))::uuid[])"


def claimed(column: str = "organization_id") -> str:
    """Rows of the one organization in the claims of an API key or a service."""
    return f"{column} = (select app.organization_id())"


def claimed_unbound(column: str = "organization_id") -> str:
    """As `claimed`, but not for a turn: what it runs may read its organization's configuration and never change it."""
    return f"{claimed(column)} and (select app.claim('session_id')) is null"


SESSION_OF_CLAIM = "(select app.claimed_session_id())"
"""The uuid of the session whose handle is claimed, found under the caller's own policies; once a statement."""


def claimed_found(column: str = "organization_id") -> str:
    """As `claimed`, in tables that grow with use, whose rows are found by something narrower than an organization.

    COALESCE hides the comparison from the choice of indexes. The planner knows no claims, thinks of an average
    organization, and would look into an index of all that a large one ever said.
    """
    return f"coalesce({claimed(column)}, false)"


WITHIN_CLAIM = "coalesce(session_id = (select app.claim('session_id')), true)"
"""The session whose handle is claimed; any session where none is. Of table agent_sessions."""


def claimed_within_session(column: str = "session_id") -> str:
    """As `claimed_found`; a turn's own service principal also claims its session and reaches no other."""
    # Where a session is claimed that the caller doesn't see, the first argument is null and the second false.
    return f"{claimed_found()} and coalesce({column} = {SESSION_OF_CLAIM}, (select app.claim('session_id')) is null)"


def claimed_into_session(column: str) -> str:
    """As `claimed_within_session`, for rows to be written; `column` is named with its table (see `under`).

    Which sessions a turn sees, its own, is said by the policy of sessions.
    """
    return f"{claimed_found()} and {under('agent_sessions', column)}"


def claimed_within_turn(column: str) -> str:
    """As `claimed_within_session`, for rows that hang on a turn."""
    return (
        f"{claimed()} and ((select app.claim('session_id')) is null or exists"
        f" (select 1 from public.agent_turns turn where turn.id = {column} and turn.session_id = {SESSION_OF_CLAIM}))"
    )


def under(parent: str, column: str) -> str:
    """Rows whose parent the caller sees; `column` is named with its table, as the parent may have one of that name.

    For rows to be written whose parent leads a unique index: the index speaks before the foreign key does, and would
    tell of rows under a foreign parent.
    """
    return f"exists (select 1 from public.{parent} as parent where parent.id = {column})"
