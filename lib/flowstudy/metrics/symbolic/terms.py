"""Terms: what a value of a flow stands for, as nodes that are stored once, so that equal terms are one number.

A node is (kind, data, kids): `kids` are the numbers of other terms, always smaller than its own. Kinds are `lit` (a
text), `text` (a template of terms), `trigger`, `get` (an output or column; data: name and version), `call` (what a
step did), `row` and `item` (of a loop), `last` (seen from outside the loop), `none` (a dangling reference, equal to
nothing), and `clause`, `or`, `and`, `any` (an encoded query) and `values` (columns).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from flowstudy.flows.query import Clause, alternatives, parse_query
from flowstudy.flows.schema import REFERENCE

Node: TypeAlias = tuple[str, Any, tuple[int, ...]]
#: Outputs whose parts never change: they were handed over once.
FIXED: Final = frozenset({"variables", "body", "headers"})
_UNORDERED: Final = frozenset({"or", "and", "any"})


class Ref(NamedTuple):
    """A data reference, its path taken apart."""

    path: tuple[str, ...]


Template: TypeAlias = tuple[str | Ref, ...]
#: A query: alternatives (`^NQ`) of conjunctions (`^`) of alternatives (`^OR`).
Query: TypeAlias = tuple[tuple[tuple[Clause, ...], ...], ...]


@lru_cache(maxsize=20_000)
def template(text: str) -> Template:
    """A text taken apart into its literal parts and references; () for the empty text.

    >>> template("Dear {{ trigger.from }}")
    ('Dear ', Ref(path=('trigger', 'from')))
    """
    pieces = REFERENCE.split(text.strip())
    parts = [Ref(tuple(piece.strip().split("."))) if place % 2 else piece for place, piece in enumerate(pieces)]
    return tuple(part for part in parts if part)


@lru_cache(maxsize=20_000)
def query(text: str) -> Query | None:
    """An encoded query by its joints (`^` binds weaker than `^OR`); None when it cannot be read."""
    clauses = parse_query(text.strip())
    return tuple(tuple(map(tuple, groups)) for groups in alternatives(clauses)) if clauses else None


@lru_cache(maxsize=20_000)
def _plain(text: str) -> str:
    text = text.strip()
    return text.lower() if text.lower() in ("true", "false") else text


def plain(value: Any) -> str:
    """Any JSON value as the text by which values are compared: true = "true", 3 = "3", a list as its items."""
    if isinstance(value, str):
        return _plain(value)
    if value is None:
        return ""
    if isinstance(value, list) and all(isinstance(each, str | int | float | bool) for each in value):
        return ",".join(map(plain, value))
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


class Terms:
    """All terms of one comparison."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._ids: dict[Node, int] = {}
        #: Table of the record that a term stands for, where known.
        self.tables: dict[int, str] = {}

    def make(self, kind: str, data: Any = None, kids: tuple[int, ...] = ()) -> int:
        """The number of a term, the same for equal ones."""
        if kind in _UNORDERED:
            kids = tuple(sorted(set(kids)))
            if len(kids) == 1:
                return kids[0]
        node = (kind, data, kids)
        found = self._ids.get(node)
        if found is None:
            found = self._ids[node] = len(self.nodes)
            self.nodes.append(node)
        return found

    def literal(self, text: str) -> int:
        """The term of a constant text."""
        return self.make("lit", plain(text))

    def text_of(self, term: int) -> str | None:
        """The text of a literal term, else None."""
        kind, data, _ = self.nodes[term]
        return data if kind == "lit" else None

    def attribute(self, term: int) -> str:
        """The name under which a term is compared: the last part of its path."""
        kind, data, _ = self.nodes[term]
        return data[0] if kind == "get" else data if kind == "trigger" else ""

    def rewritten(self, term: int, change: Callable[[int, Node], int | None], memo: dict[int, int]) -> int:
        """A term with `change` made in all its parts, inner ones first; `change` gives None for a part that stays."""
        stack = [term]
        while stack:
            top = stack[-1]
            kind, data, kids = self.nodes[top]
            missing = [kid for kid in kids if kid not in memo]
            if top in memo or missing:
                stack.pop() if top in memo else stack.extend(missing)
                continue
            stack.pop()
            fresh = tuple([memo[kid] for kid in kids])
            made = top if fresh == kids else self.make(kind, data, fresh)
            if made != top and top in self.tables:
                self.tables.setdefault(made, self.tables[top])
            other = change(top, self.nodes[made])
            memo[top] = made if other is None else other
        return memo[term]

    def words(self, term: int, depth: int = 0) -> str:
        """A term as people read it."""
        kind, data, kids = self.nodes[term]
        if depth > 6:
            return "…"
        inner = [self.words(kid, depth + 1) for kid in kids]
        if kind == "lit":
            return str(data)
        if kind == "trigger":
            return "the record" if data == "record" else f"the trigger's {data}"
        if kind == "get":
            owner = self.nodes[kids[0]]
            return str(data[0]) if owner[:2] == ("trigger", "record") else f"{data[0]} of {inner[0]}"
        if kind == "call":
            return str(data[0])
        if kind == "row":
            return f"each {data[0]}"
        if kind in ("item", "last"):
            return f"{'each' if kind == 'item' else 'the last'} of {inner[0]}"
        if kind == "none":
            return f"nothing ({data[1]})"
        if kind == "clause":
            return f"{inner[0]}{data}{inner[1]}"
        if kind == "values":
            return "^".join(f"{name}={value}" for name, value in zip(data, inner, strict=True))
        return {"and": "^", "or": "^OR", "any": "^NQ"}.get(kind, "").join(inner)
