"""Which expressions, functions, triggers and views are known to leave nothing behind when they run.

A rolled-back transaction undoes writes, but not everything: a sequence keeps its number, a call over the network has
been made, and while it lasts, a row that was updated is locked against others. So only what is on a list of what is
known passes, and everything else counts as unknown.

- An **expression** passes where every function that it calls is steady (PostgreSQL's or an extension's, and nowhere
  volatile), volatile but known (`random`), or one of the database's own that passes itself.
- A **function** passes where it is SQL or PL/pgSQL, its text calls nothing else, and it has no statement that writes,
  locks, notifies or is put together at run time. Two writes pass: `insert into` a table on which an insert passes, and
  `update parent set … where parent.id = new.parent_id`, which reaches the row's own parent only, made up as well.
- A **name** of a view, a domain, a foreign table, or a table with a policy that doesn't pass taints each text it is in.

In policies and views, functions that are declared STABLE or IMMUTABLE are believed: any reader runs them anyway.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Literal

from trunkline.postgres.catalogue.model import Catalogue, Function, Name, Relation, Trigger, quote

Event = Literal["insert", "update", "delete"]

_TOKENS = re.compile(
    r"""--[^\n]*|/\*.*?\*/|(?P<string>\be'(?:[^'\\]|\\.|'')*'|'(?:[^']|'')*'|(?P<tag>\$(?:[a-z_]\w*)?\$).*?(?P=tag))"""
    r"""|(?P<quoted>"(?:[^"]|"")*")""",
    re.DOTALL | re.IGNORECASE,
)
_WORD = r'(?:[^\W\d][\w$]*|"(?:[^"]|"")*")'
_NAME = rf"{_WORD}(?:\s*\.\s*{_WORD})*"
_NAMES = re.compile(_NAME)
_CALLS = re.compile(rf"({_NAME})\s*\(")
_WRITES = re.compile(
    r"(?<!\.)\b(insert|update|delete|merge|truncate|copy|execute|call|do|notify|listen|lock|create|drop|alter|grant|"
    r"revoke|set|reset|vacuum|analyze|refresh|cluster|reindex|share|open|fetch|move|commit|rollback)\b"
)
_LOCKS = re.compile(r"\bfor\s+(no\s+key\s+update|update|key\s+share|share)\b", re.IGNORECASE)
_INSERT = re.compile(
    rf"\binsert\s+into\s+(?P<table>{_NAME})(?:\s+as\s+{_WORD})?\s*(?:\([^()]*\)\s*)?(?=values\b|select\b|default\b)"
)
_OR_NOTHING = re.compile(r"\bon\s+conflict\s*(?:\([^()]*\)\s*)?do\s+nothing\b")
_UPDATE_OF_PARENT = re.compile(
    rf"\bupdate\s+(?:only\s+)?(?P<table>{_NAME})(?:\s+(?:as\s+)?(?!set\b)[a-z_]\w*)?\s+set\s+(?P<values>[^;]*?)"
    r"\bwhere\s+(?:[a-z_]\w*\.)?id\s*=\s*(?:new|old)\.[a-z_]\w*\s*;"
)
_SYNTAX_WORDS = """
    if elsif while and or not in exists values any all some as on using return then when case else select from where
    with having by over filter between like distinct union except intersect limit offset check unique include row array
    lateral materialized within coalesce nullif greatest least grouping extract substring overlay position trim cast
    numeric decimal varchar varying char character bit timestamp timestamptz time interval float by loop raise query
    perform is end conflict
"""
_SYNTAX = frozenset(_SYNTAX_WORDS.split())
"""Words of the language that can stand before a parenthesis without being a call."""
_KNOWN_WORDS = """
    random random_normal clock_timestamp timeofday gen_random_uuid uuidv4 uuidv7 gen_random_bytes gen_salt
    uuid_generate_v1 uuid_generate_v1mc uuid_generate_v4
"""
_KNOWN = frozenset(_KNOWN_WORDS.split())
"""Volatile functions of PostgreSQL and its extensions that leave nothing."""


class Harmless:
    """Answers for one database. What can't be proven is named; None stands for harmless."""

    def __init__(self, catalogue: Catalogue, with_rules: frozenset[int] = frozenset()) -> None:
        """`with_rules` are tables with rewrite rules, by oid."""
        self._catalogue = catalogue
        self._with_rules = with_rules
        self._known: dict[tuple[object, ...], str | None] = {}
        self._assumed: set[tuple[object, ...]] = set()
        """Harmless if what is being asked is; what calls itself adds nothing."""
        self._functions: dict[str, list[Function]] = {}
        for function in catalogue.functions:
            self._functions.setdefault(function.name.name, []).append(function)
        self._steady = {each.name for each in catalogue.steady_functions}
        self._children: dict[Name, list[Relation]] = {}
        for relation in catalogue.relations.values():
            for parent in relation.parents:
                self._children.setdefault(parent, []).append(relation)
        self._named: dict[str, list[Relation | Name]] = {}
        for each in (*catalogue.relations.values(), *catalogue.domains):
            name = each.name.name if isinstance(each, Relation) else each.name
            self._named.setdefault(name, []).append(each)

    def has_rules(self, relation: Relation) -> bool:
        """Whether rewrite rules turn its commands into others."""
        return relation.oid in self._with_rules

    def reading(self, relation: Relation) -> str | None:
        """What a read of a table or view would run that isn't known, in words."""
        return self._once(("read", relation.name), lambda: self._reading(relation))

    def writing(self, relation: Relation) -> str | None:
        """What a new row would run that isn't known, beside triggers: defaults, checks, indexes, policies, types."""
        return self._once(("write", relation.name), lambda: self._writing(relation))

    def triggers(self, relation: Relation, event: Event) -> Iterator[Trigger]:
        """Triggers that a command would start and that aren't known; those of all partitions included."""
        for table in self._family(relation):
            for each in table.triggers:
                is_started = each.is_enabled and event in fires_on(each)
                if is_started and not (event == "insert" and _waits_for_null(relation, each)) and self._trigger(each):
                    yield each

    def expression(self, text: str, *, believe: bool = False) -> str | None:
        """What an expression calls or names that isn't known; `believe` functions that say they only read."""
        return self._text(_plain(text), believe=believe)

    def _once(self, key: tuple[object, ...], answer: Callable[[], str | None]) -> str | None:
        if key in self._known:
            return self._known[key]
        if key in self._assumed:
            return None
        is_outermost = not self._assumed
        self._assumed.add(key)
        found = answer()
        if found:
            self._known[key] = found
        if is_outermost:
            if not found:
                self._known.update(dict.fromkeys(self._assumed))
            self._assumed.clear()
        return found

    def _family(self, relation: Relation) -> Iterator[Relation]:
        waiting, seen = [relation], set[Name]()
        while waiting:
            each = waiting.pop()
            if each.name not in seen:
                seen.add(each.name)
                yield each
                waiting += self._children.get(each.name, [])

    def _reading(self, relation: Relation) -> str | None:
        if relation.kind == "foreign table":
            return f"{relation.name} is on another server"
        if relation.kind == "view":
            text = relation.definition or ""
            found = "it locks rows" if _LOCKS.search(_plain(text)) else self.expression(text, believe=True)
            return f"view {relation.name}: {found}" if found else None
        for each in relation.policies:
            for text in (each.using, each.check):
                if text is not None and (found := self.expression(text, believe=True)):
                    return f"policy {quote(each.name)} of {relation.name}: {found}"
        return None

    def _writing(self, relation: Relation) -> str | None:
        if not relation.is_table:
            return f"{relation.name} is a {relation.kind}"
        for table in self._family(relation):
            if not table.is_table or table.oid in self._with_rules:
                return f"{table.name} is a {table.kind}" if not table.is_table else f"{table.name} has a rewrite rule"
            for what, text in _expressions(table):
                if found := self.expression(text):
                    return f"{what}: {found}"
        return self.reading(relation)

    def _trigger(self, trigger: Trigger) -> str | None:
        condition = re.search(r" WHEN \((.*)\) EXECUTE ", trigger.definition, re.DOTALL)
        if condition and (found := self.expression(condition[1])):
            return found
        functions = [each for each in self._catalogue.functions if each.name == trigger.function]
        if not functions:
            return f"{trigger.function}()"
        return next(filter(None, map(self._function, functions)), None)

    def _function(self, function: Function) -> str | None:
        return self._once(("function", function.oid), lambda: self._source(function))

    def _source(self, function: Function) -> str | None:
        if function.language not in ("plpgsql", "sql"):
            return f"{function.name}() is written in {function.language}"
        text = _plain(f"{function.source}\n;{function.argument_defaults or ''}")
        for update in _UPDATE_OF_PARENT.finditer(text):
            if found := self._table_for(update["table"], "update"):
                return found
        text = _UPDATE_OF_PARENT.sub(lambda each: f" {each['values']} ", text)
        for insert in _INSERT.finditer(text):
            if found := self._table_for(insert["table"], "insert"):
                return found
        text = _OR_NOTHING.sub(" ", _INSERT.sub(" ", text))
        if writes := _WRITES.search(text):
            return f"{function.name}() has a statement with {writes[1].upper()}"
        return self._text(text, believe=False)

    def _table_for(self, text: str, event: Event) -> str | None:
        """What a write to the tables that a name can mean would run."""
        parts = _parts(text)
        found = [
            each
            for each in self._catalogue.relations.values()
            if each.name.name == parts[-1] and (len(parts) == 1 or each.name.schema == parts[-2])
        ]
        if not found:
            return f"{text}, a table that can't be seen"
        for each in found:
            if event == "insert" and any(column.uses_sequence for column in each.columns.values()):
                return f"{each.name} takes numbers from a sequence"
            if unknown := self.writing(each):
                return unknown
            if trigger := next(self.triggers(each, event), None):
                return f"trigger {quote(trigger.name)} of {each.name}"
        return None

    def _text(self, text: str, *, believe: bool) -> str | None:
        if "/*" in text or "*/" in text:
            return "comments inside of comments"
        for call in _CALLS.finditer(text):
            if found := self._call(_parts(call[1]), believe=believe):
                return found
        for name in {_parts(each[0])[-1] for each in _NAMES.finditer(text)}:
            if found := self._name(name):
                return found
        return None

    def _call(self, parts: tuple[str, ...], *, believe: bool) -> str | None:
        name = parts[-1]
        own = [each for each in self._functions.get(name, ()) if len(parts) == 1 or each.name.schema == parts[-2]]
        for each in own:
            if (not believe or each.volatility == "volatile") and (found := self._function(each)):
                return f"{each.name}() ({found})" if f"{each.name}()" not in found else found
        is_syntax = len(parts) == 1 and name in _SYNTAX
        is_steady = (
            name in self._steady if len(parts) == 1 else Name(parts[-2], name) in self._catalogue.steady_functions
        )
        if own or is_syntax or is_steady or name in _KNOWN:
            return None
        return f"{'.'.join(map(quote, parts))}()"

    def _name(self, name: str) -> str | None:
        for each in self._named.get(name, ()):
            if isinstance(each, Relation):
                found = self.reading(each)
            else:
                found = self._once(("domain", each), lambda domain=each: self._domain(domain))
            if found:
                return found
        return None

    def _domain(self, domain: Name) -> str | None:
        found = next(filter(None, map(self.expression, self._catalogue.domains[domain])), None)
        return f"domain {domain}: {found}" if found else None


def fires_on(trigger: Trigger) -> frozenset[Event]:
    """The commands that start it."""
    head = trigger.definition.partition(" ON ")[0].lower()
    events: tuple[Event, ...] = ("insert", "update", "delete")
    return frozenset(each for each in events if re.search(rf"(?:before|after|instead of|or) {each}\b", head))


def _expressions(table: Relation) -> Iterator[tuple[str, str]]:
    """What the server runs for each new row, with what it is."""
    for column in table.columns.values():
        if column.default is not None and not column.uses_sequence:
            yield f"default of column {quote(column.name)}", column.default
        if column.generated_as is not None:
            yield f"generated column {quote(column.name)}", column.generated_as
        yield f"type of column {quote(column.name)}", column.type
    for constraint in table.constraints:
        if constraint.kind == "check":
            yield f"check {quote(constraint.name)}", constraint.definition
    for index in table.indexes:
        if None in index.columns or index.predicate is not None:
            yield f"index {quote(index.name)}", re.sub(r"^.*? USING \w+ ", "", index.definition, flags=re.DOTALL)


def _waits_for_null(relation: Relation, trigger: Trigger) -> bool:
    """Whether it only fills a column that must be given and always is."""
    found = re.search(r'WHEN \(\(new\."?([^"\s]+)"? IS NULL\)\)', trigger.definition, re.IGNORECASE)
    column = relation.columns.get(found[1]) if found else None
    return column is not None and not column.nullable and column.default is None


def _plain(source: str) -> str:
    """Without comments and strings, in lower case but for quoted names.

    Both are found in one go: a string can hold `--`, and a comment a quote.
    """
    pieces: list[str] = []
    end = 0
    for token in _TOKENS.finditer(source):
        pieces.append(source[end : token.start()].lower())
        pieces.append(token["quoted"] or ("''" if token["string"] else " "))
        end = token.end()
    return "".join((*pieces, source[end:].lower()))


def _parts(name: str) -> tuple[str, ...]:
    """A name's parts as they are stored."""
    words = re.findall(_WORD, name)
    return tuple(each[1:-1].replace('""', '"') if each.startswith('"') else each for each in words)
