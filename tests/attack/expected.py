"""What each principal may do with each table, written by hand: the specification that the matrix is judged by.

A letter is a command: (s)elect, (i)nsert, (u)pdate, (d)elete. A capital reaches every row of the organization, a small
letter only rows of the principal's own: its profile, its membership (an admin: those of all but owners), its session
with all in it, the agent it came to. An empty string or a missing principal means nothing at all.
"""

from __future__ import annotations

from uuid import UUID

from tests.attack.scene import Connection, Scene, qualified, raw

_COLUMNS = ("owner", "admin", "member", "viewer", "key", "service", "turn", "visitor", "arrival")

_GRID = """
profiles              Siu   Siu   Siu   Siu   S     S     S     -     -
organizations         SUD   SU    S     S     SU    SU    S     -     -
organization_members  SIUD  Siud  Sd    Sd    S     S     S     -     -
api_keys              SIU   SIU   -     -     SIU   SIU   -     -     -
credentials           SIUD  SIUD  -     -     SIUD  SIUD  S     -     -
audit_logs            SI    SI    I     I     SI    SI    I     -     -
agents                SIUD  SIUD  SIU   S     SIUD  SIUD  S     s     s
agent_versions        SI    SI    SI    S     SI    SI    S     -     -
tools                 SIUD  SIUD  SIUD  S     SIUD  SIUD  S     -     -
knowledge_bases       SIUD  SIUD  SIUD  S     SIUD  SIUD  S     -     -
knowledge_sources     SIUD  SIUD  SIUD  S     SIUD  SIUD  S     -     -
knowledge_chunks      SIUD  SIUD  SIUD  S     SIUD  SIUD  S     -     -
agent_sessions        SIUD  SIUD  SIU   S     SIUD  SIUD  sud   s     -
agent_turns           S     S     S     S     SIU   SIU   siu   -     -
agent_messages        SI    SI    SI    S     SI    SI    si    s     -
turn_states           -     -     -     -     SIUD  SIUD  siud  -     -
usage_logs            S     S     S     S     SI    SI    si    -     -
"""

_PEOPLE_OF_NO_ORGANIZATION = {"stranger": "siu", "spoofer": "siu", "newcomer": "i"}

TABLES = tuple(line.split()[0] for line in _GRID.split("\n") if line)

_CELLS = {
    (name, table): letters
    for table, *cells in (line.split() for line in _GRID.split("\n") if line)
    for name, letters in zip(_COLUMNS, cells, strict=True)
} | {(name, "profiles"): letters for name, letters in _PEOPLE_OF_NO_ORGANIZATION.items()}

SHOWN_COLUMNS = {
    ("anon", "agents"): "id organization_id name slug description avatar_url language is_active is_published"
    " first_message suggested_questions allowed_domains channels widget_config",
    ("anon", "agent_sessions"): "id organization_id session_id agent_id website_domain channel message_count status"
    " started_at last_activity_at ended_at",
    ("anon", "agent_messages"): "id organization_id session_id sequence turn_id role content audio_url"
    " audio_duration_ms tokens_used latency_ms model_used citations status created_at",
}
"""All that a visitor may read of the tables that it reaches."""

HIDDEN_COLUMNS = {
    ("authenticated", "api_keys"): "key_hash",
    ("trunkline_service", "api_keys"): "key_hash",
    ("authenticated", "credentials"): "ciphertext",
}
"""What nobody of a role may read, though it reaches the rows."""


def letters(attacker: str, table: str) -> str:
    """The commands of a principal on a table."""
    return _CELLS.get((attacker, table), "").replace("-", "")


class Rights:
    """The specification, applied to the rows of one scene."""

    def __init__(self, connection: Connection, scene: Scene) -> None:
        self._scene = scene
        self.everything = {table: _ids(connection, f"select id from {qualified(table)}") for table in TABLES}
        """Every row of every table, ours and theirs."""
        self._ours = {table: _of_organization(connection, table, scene.world.ours.organization_id) for table in TABLES}
        self._owners = _ids(connection, "select id from public.organization_members where role = 'owner'")
        self._memberships = {
            user: _ids(connection, f"select id from public.organization_members where user_id = '{user}'")
            for user in scene.world.ours.people.values()
        }

    def reach(self, attacker: str, table: str, command: str) -> frozenset[UUID]:
        """The ids of the rows that this one may run this command (s, u or d) on."""
        granted = letters(attacker, table)
        if command.upper() in granted:
            found = self._ours[table]
        elif command in granted:
            found = self._own(attacker, table)
        else:
            return frozenset()
        if table == "organization_members" and command in "ud":
            return found - self._owners  # each organization has one owner here, and the last one stays
        return found

    def _own(self, attacker: str, table: str) -> frozenset[UUID]:
        ours = self._scene.world.ours
        user = self._scene.attackers[attacker].user_id
        if table == "profiles":
            return frozenset({user} if user else ())
        if table == "organization_members":
            return self._ours[table] - self._owners if attacker == "admin" or not user else self._memberships[user]
        if table == "agent_turns":
            return frozenset({ours.ids[table], self._scene.spare_turns["first"]})
        return frozenset({ours.ids[table]})


def _of_organization(connection: Connection, table: str, organization: UUID) -> frozenset[UUID]:
    condition = {
        "organizations": "id = '{0}'",
        "profiles": "id in (select user_id from public.organization_members where organization_id = '{0}')",
    }.get(table, "organization_id = '{0}'")
    return _ids(connection, f"select id from {qualified(table)} where {condition.format(organization)}")


def _ids(connection: Connection, query: str) -> frozenset[UUID]:
    return frozenset(row[0] for row in connection.execute(raw(query)) if isinstance(row[0], UUID))
