"""Whose row is whose: which columns of a table point to a person, an organization, or a row that belongs to one.

Foreign keys say it for certain. Where an owner has left them out, names do: `user_id`, `organization_id`, `bot_id`
beside a table `bots` whose key has the same type.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from trunkline.postgres.catalogue.model import Catalogue, Column, Constraint, Name, Relation

Kind = Literal["person", "organization", "parent"]

_PERSON_COLUMNS = frozenset(
    ("user_id", "owner_id", "profile_id", "author_id", "creator_id", "person_id", "created_by", "uid")
)
_ORGANIZATION_COLUMNS = frozenset(
    ("organization_id", "organisation_id", "org_id", "tenant_id", "workspace_id", "team_id", "company_id")
)
_PEOPLE = frozenset(("profiles", "users", "people", "persons", "accounts"))
_ORGANIZATIONS = frozenset(
    ("organizations", "organisations", "orgs", "tenants", "workspaces", "teams", "companies", "projects")
)
_PERSON_TYPES = frozenset(("uuid", "text", "character varying"))
USERS = Name("auth", "users")


@dataclass(frozen=True, slots=True)
class Reference:
    """Columns of a table that say to whom a row belongs, or what it hangs on."""

    columns: tuple[str, ...]
    kind: Kind
    parent: Name | None
    """None: the value itself is a person's or organization's id, and no table is known that holds it."""
    parent_columns: tuple[str, ...]
    is_required: bool


class Links:
    """The references between the tables of one database."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self._references: dict[Name, tuple[Reference, ...]] = {}
        self._tenancy: dict[Name, bool] = {}
        self._children: dict[Name, list[tuple[Relation, Constraint]]] = {}
        for each in catalogue.relations.values():
            for key in each.constraints:
                if key.references is not None:
                    self._children.setdefault(key.references, []).append((each, key))
        self._by_word: dict[tuple[str, str], list[Relation]] = {}
        for each in catalogue.relations.values():
            if each.is_table and len(each.primary_key) == 1:
                for word in _endings(each.name.name):
                    self._by_word.setdefault((each.name.schema, word), []).append(each)

    def references(self, relation: Relation) -> tuple[Reference, ...]:
        """All references of a table, those by foreign keys first."""
        if relation.name not in self._references:
            self._references[relation.name] = (*self._declared(relation), *self._guessed(relation))
        return self._references[relation.name]

    def children(self, parent: Name) -> list[tuple[Relation, Constraint]]:
        """Tables with foreign keys to a table, and these keys."""
        return self._children.get(parent, [])

    def tenant_references(self, relation: Relation) -> tuple[Reference, ...]:
        """References that make a row somebody's: to people, organizations, or what belongs to one of them."""
        return tuple(
            each
            for each in self.references(relation)
            if each.kind != "parent"
            or (each.parent is not None and self.is_tenant(self.catalogue.relations[each.parent]))
        )

    def is_tenant(self, relation: Relation) -> bool:
        """Whether its rows belong to somebody. Tables of reference (countries, plans) don't."""
        name = relation.name
        if name not in self._tenancy:
            self._tenancy[name] = False  # a circle of tables adds nothing
            self._tenancy[name] = (
                self.is_people(relation) or self.is_organization(relation) or bool(self.tenant_references(relation))
            )
        return self._tenancy[name]

    def is_people(self, relation: Relation) -> bool:
        """Whether a row is a person: `auth.users`, what shares its key, or a table that is named so."""
        key = relation.primary_key
        if relation.name == USERS:
            return True
        if len(key) != 1:
            return False
        if relation.name.name in _PEOPLE and _plain(relation.columns[key[0]]) == "uuid":
            return True
        return any(
            each.kind == "foreign key" and each.columns == key and each.references == USERS
            for each in relation.constraints
        )

    def is_organization(self, relation: Relation) -> bool:
        """Whether a row is a tenant."""
        return relation.name.name in _ORGANIZATIONS and len(relation.primary_key) == 1

    def joins_people(self, relation: Relation) -> bool:
        """Whether a row makes a person a member of an organization."""
        kinds = {each.kind for each in self.references(relation) if each.is_required}
        return {"person", "organization"} <= kinds

    def needs(self, relation: Relation) -> frozenset[Name]:
        """Tables that must have a row before this one can, the table itself included."""
        found: set[Name] = set()
        waiting = [relation.name]
        while waiting:
            name = waiting.pop()
            if name in found or name not in self.catalogue.relations:
                continue
            found.add(name)
            waiting += [
                each.parent
                for each in self.references(self.catalogue.relations[name])
                if each.is_required and each.parent is not None
            ]
        return frozenset(found)

    def _kind(self, parent: Relation) -> Kind:
        if self.is_people(parent):
            return "person"
        return "organization" if self.is_organization(parent) else "parent"

    def _declared(self, relation: Relation) -> Iterator[Reference]:
        for each in relation.constraints:
            parent = self.catalogue.relations.get(each.references) if each.references is not None else None
            if each.kind == "foreign key" and parent is not None:
                yield Reference(
                    each.columns,
                    self._kind(parent),
                    parent.name,
                    each.referenced_columns,
                    all(not relation.columns[column].nullable for column in each.columns),
                )

    def _guessed(self, relation: Relation) -> Iterator[Reference]:
        known = {column for each in self._declared(relation) for column in each.columns}
        if self.is_people(relation) and relation.primary_key[0] not in known:
            known.add(relation.primary_key[0])
            yield Reference(relation.primary_key, "person", None, (), is_required=True)
        for column in relation.columns.values():
            if column.name not in known and not column.is_generated and (guess := self._guess(relation, column)):
                yield guess

    def _guess(self, relation: Relation, column: Column) -> Reference | None:
        names = (column.name,)
        parent = self._named_after(relation, column)
        if parent is not None:
            return Reference(names, self._kind(parent), parent.name, parent.primary_key, not column.nullable)
        if column.name in _PERSON_COLUMNS and _plain(column) in _PERSON_TYPES:
            return Reference(names, "person", None, (), not column.nullable)
        if column.name in _ORGANIZATION_COLUMNS:
            return Reference(names, "organization", None, (), not column.nullable)
        return None

    def _named_after(self, relation: Relation, column: Column) -> Relation | None:
        """The one table that `<stem>_id` can mean."""
        stem, dash, rest = column.name.rpartition("_")
        if not dash or rest != "id" or column.name in relation.primary_key:
            return None
        plurals = (stem, f"{stem}s", f"{stem}es", f"{stem[:-1]}ies")
        fitting = [
            other
            for plural in plurals
            for other in self._by_word.get((relation.name.schema, plural), ())
            if other.name != relation.name and other.columns[other.primary_key[0]].base_type == column.base_type
        ]
        exact = [each for each in fitting if each.name.name in plurals]
        for matches in (exact, fitting):
            if len(matches) == 1:
                return matches[0]
        return None


def _endings(name: str) -> Iterator[str]:
    """The name, and what follows each of its underscores: `chat_sessions`, `sessions`."""
    yield name
    while "_" in name:
        name = name.partition("_")[2]
        yield name


def _plain(column: Column) -> str:
    return column.base_type.partition("(")[0]
