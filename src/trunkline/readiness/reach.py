"""Who reaches what: the roles behind a public API, what they hold, and which policies bind them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from trunkline.postgres.catalogue.model import PLATFORM_SCHEMAS, Catalogue, Function, Policy, Relation
from trunkline.readiness.check import Evidence
from trunkline.readiness.find import MIGRATE
from trunkline.readiness.matching import TableMatch
from trunkline.readiness.target import Access, Command

PUBLIC_ROLES = ("anon", "authenticated")
"""Roles that requests from anywhere act as, by the convention of PostgREST and Supabase."""
COMMANDS: tuple[Command, ...] = ("select", "insert", "update", "delete")


def can_enter(catalogue: Catalogue, role: str, schema: str) -> bool:
    """Whether a role may name anything in a schema."""
    roles = catalogue.roles_of(role)
    return any(each.grantee in roles and each.privilege == "usage" for each in catalogue.schema_grants.get(schema, ()))


def held(catalogue: Catalogue, relation: Relation, privileges: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """What anon and authenticated hold of these rights, on all or some columns, by role; those with none left out."""
    found: dict[str, tuple[str, ...]] = {}
    for role in PUBLIC_ROLES:
        roles = catalogue.roles_of(role)
        mine = {each.privilege for each in relation.grants if each.grantee in roles}
        rights = tuple(each for each in privileges if each in mine)
        if rights and role in catalogue.roles and can_enter(catalogue, role, relation.name.schema):
            found[role] = rights
    return found


def told(rights: dict[str, tuple[str, ...]]) -> str:
    """Rights in words: `anon may select, insert; authenticated may select`."""
    return "; ".join(f"{role} may {', '.join(each)}" for role, each in rights.items())


def binding(catalogue: Catalogue, relation: Relation, role: str, command: Command) -> Iterator[Policy]:
    """Permissive policies that apply to a role's command."""
    roles = catalogue.roles_of(role)
    for policy in relation.policies:
        if policy.is_permissive and policy.command in (command, "all") and not roles.isdisjoint(policy.roles):
            yield policy


def policy_component(evidence: Evidence, relation: Relation) -> str:
    """Findings about policies count in their component where the target declares who may do what, else in Exposure."""
    is_graded = any(each.key == "rls_policies" for each in evidence.target.components)
    return "rls_policies" if is_graded and declared(evidence, relation) is not None else "exposure"


def whole(catalogue: Catalogue, relation: Relation) -> Relation:
    """The table that a partition is part of, whatever lies between; any other relation is itself."""
    while relation.is_partition and relation.parents[0] in catalogue.relations:
        relation = catalogue.relations[relation.parents[0]]
    return relation


def declared(evidence: Evidence, relation: Relation) -> tuple[Access, ...] | None:
    """Who may do what with a table's rows, where the target says so."""
    match = evidence.matching.of(relation)
    return match.wanted.access if match is not None else None


def policies_remedy(evidence: Evidence, match: TableMatch, wanted: Iterable[tuple[Access, str]]) -> str:
    """SQL for rights and policies as they are declared; the migration's step where names differ."""
    if match.how != "present" or match.relation is None:
        return f"{MIGRATE}  # brings the table's policies with its name"
    table = match.wanted.name
    lines: list[str] = []
    for access, command in wanted:
        columns = f" ({', '.join(access.columns)})" if access.columns and command != "delete" else ""
        using = "" if command == "insert" else f" using ({access.rows})"
        check = f" with check ({access.check or access.rows})" if command in ("insert", "update") else ""
        name = f"{table.name}_{command}_{access.role}"
        lines.append(f"grant {command}{columns} on {table.sql} to {access.role};")
        lines.append(f"create policy {name} on {table.sql} for {command} to {access.role}{using}{check};")
    needed = "-- the functions in them are part of the target's own schema\n" if evidence.target.policy_ddl else ""
    return needed + "\n".join(lines)


def own_functions(catalogue: Catalogue) -> Iterator[Function]:
    """Functions of the database's owner, a platform's left out."""
    for each in catalogue.functions:
        if each.name.schema not in PLATFORM_SCHEMAS and not each.name.schema.startswith("trunkline"):
            yield each


def signature(function: Function, *, always_with_schema: bool = False) -> str:
    """A function with its arguments, as findings and ALTER FUNCTION name it."""
    name = function.name.sql if always_with_schema else str(function.name)
    return f"{name}({function.arguments})"


def passes_policies(catalogue: Catalogue, role: str, *, as_owner: bool = True) -> bool:
    """Whether policies don't bind a role: it is a superuser, bypasses them, or owns tables that don't force them."""
    known = catalogue.roles.get(role)
    if known is not None and (known.is_superuser or known.bypasses_rls):
        return True
    return as_owner and any(
        each.is_table and each.owner == role and not each.forces_row_security for each in catalogue.own_relations()
    )
