"""What trying the policies showed, gathered by table for the checks that judge it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from trunkline.postgres.catalogue.model import Name, Relation
from trunkline.readiness.check import Evidence
from trunkline.readiness.evidence.behaviour.values import Tried


def by_relation(evidence: Evidence, is_meant: Callable[[Tried], bool]) -> Iterator[tuple[Relation, list[Tried]]]:
    """What was tried and came out otherwise than it must, by relation."""
    gathered: dict[Name, list[Tried]] = {}
    for each in evidence.behaviour.tried:
        if not each.is_expected and is_meant(each):
            gathered.setdefault(each.relation, []).append(each)
    for name, tried in gathered.items():
        yield evidence.catalogue.relations[name], tried


def told(tried: Iterable[Tried], *, most: int = 4) -> str:
    """Who did what: `nobody (role anon): insert, delete; a stranger (role authenticated): select`."""
    by_actor: dict[str, list[str]] = {}
    for each in tried:
        seen = each.observation
        commands = by_actor.setdefault(f"{seen.principal} (role {seen.role})", [])
        if seen.command not in commands:
            commands.append(seen.command)
    parts = [f"{actor}: {', '.join(commands)}" for actor, commands in by_actor.items()]
    more = f"; and {len(parts) - most} more" if len(parts) > most else ""
    return "; ".join(parts[:most]) + more


def details(tried: Iterable[Tried]) -> str:
    """The server's or the analyser's words, each once."""
    return "; ".join(dict.fromkeys(each.observation.detail for each in tried if each.observation.detail))
