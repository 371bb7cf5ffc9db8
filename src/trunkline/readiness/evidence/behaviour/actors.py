"""Who acts when policies are tried: nobody, a stranger, a member, and whom the target declares."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from trunkline.postgres.catalogue.model import Catalogue, Name
from trunkline.readiness.evidence.synthesis import Tenant
from trunkline.readiness.matching import Matching
from trunkline.readiness.target import Principal, Target

ANON = "anon"
AUTHENTICATED = "authenticated"
_PLACEHOLDER = re.compile(r"\{([^{}]+)\}")
_MEMBER = Principal("a member of the row's organization", AUTHENTICATED, {"sub": "{person}", "role": AUTHENTICATED})


@dataclass(frozen=True)
class Actor:
    """A role with claims, and whose rows it tries."""

    name: str
    """In words, when it tries rows of its own."""
    role: str
    claims: Mapping[str, object]
    own: Tenant | None
    other: Tenant
    """Somebody else."""

    @property
    def name_abroad(self) -> str:
        """In words, when it tries rows of others."""
        return self.name.replace("the row's", "another")


class Cast:
    """Principals of a target (or plain members, where it declares none), with the columns that they speak of."""

    def __init__(self, catalogue: Catalogue, target: Target, matching: Matching) -> None:
        self._catalogue = catalogue
        self._matching = matching
        declared = list(target.principals)
        if not any(each.role == AUTHENTICATED for each in declared):
            declared.insert(0, _MEMBER)
        self._principals = [each for each in declared if self._can_act(each.role) and self._is_at_home(each.role)]

    def given(self) -> dict[Name, dict[str, str]]:
        """What rows must hold for the principals' rights to apply, by table and column of the database."""
        found: dict[Name, dict[str, str]] = {}
        for path, value in ((path, value) for each in self._principals for path, value in each.given.items()):
            if place := self._place(path):
                found.setdefault(place[0], {})[place[1]] = value
        return found

    def asked(self) -> dict[Name, frozenset[str]]:
        """Columns that claims are taken from, by table."""
        found: dict[Name, frozenset[str]] = {}
        for each in self._principals:
            for path in _PLACEHOLDER.findall(json.dumps(each.claims)):
                if place := self._place(path):
                    found[place[0]] = found.get(place[0], frozenset()) | {place[1]}
        return found

    def actors(self, one: Tenant, other: Tenant, stranger: Tenant) -> list[Actor]:
        """Everybody who can act on the rows of the first two. A principal whose claims can't be filled is left out."""
        found: list[Actor] = []
        if self._can_act(ANON):
            found.append(Actor("nobody", ANON, {"role": ANON}, None, one))
        for each in self._principals:
            if each.role == AUTHENTICATED and (claims := self._fill(each.claims, stranger)) is not None:
                found.append(Actor("a stranger", each.role, claims, None, one))
                break
        found += [
            Actor(each.name, each.role, claims, one, other)
            for each in self._principals
            if (claims := self._fill(each.claims, one)) is not None
        ]
        return found

    def _can_act(self, role: str) -> bool:
        known = self._catalogue.roles.get(role)
        return known is not None and not known.is_superuser and not known.bypasses_rls

    def _is_at_home(self, role: str) -> bool:
        """Whether this database knows the role at all; roles belong to a whole server, and rights to one database."""
        return role in (ANON, AUTHENTICATED) or any(
            any(each.grantee == role for each in relation.grants)
            or any(role in each.roles for each in relation.policies)
            for relation in self._catalogue.own_relations()
        )

    def _place(self, path: str) -> tuple[Name, str] | None:
        table, _, column = path.rpartition(".")
        match = self._matching.tables.get(table)
        actual = match.actual(column) if match is not None else None
        return (match.relation.name, actual) if match is not None and match.relation is not None and actual else None

    def _fill(self, claims: Mapping[str, object], tenant: Tenant) -> dict[str, object] | None:
        filled: dict[str, object] = {}
        for key, value in claims.items():
            if isinstance(value, Mapping):
                inner = self._fill(cast("Mapping[str, object]", value), tenant)
                if inner is None:
                    return None
                filled[key] = inner
            elif isinstance(value, str) and (found := _PLACEHOLDER.fullmatch(value)):
                text = self._value(found[1], tenant)
                if text is None:
                    return None
                filled[key] = text
            else:
                filled[key] = value
        return filled

    def _value(self, path: str, tenant: Tenant) -> str | None:
        if path == "person":
            return tenant.person
        place = self._place(path)
        row = tenant.rows.get(place[0]) if place is not None else None
        return row.values.get(place[1]) if row is not None and place is not None else None
