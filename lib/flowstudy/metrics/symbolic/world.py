"""Situations: one choice among finitely many values per compared term, shared by both flows and made when asked for.

The values of a term are the constants that either flow compares it with, the points between numbers, empty where
somebody asks, and "another". Complementary operators, exclusion of constants and bands of numbers follow from that.
Only the catalogue or the reference may close the values of a term, never the candidate.
"""

from __future__ import annotations

import random
import re
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from flowstudy.flows.catalogue import Catalogue, ColumnDef
from flowstudy.flows.schema import Flow
from flowstudy.metrics.symbolic.terms import Terms, plain, query

#: Operators that are the contrary of another.
CONTRARY: Final = {
    "!=": "=", "ISNOTEMPTY": "ISEMPTY", "NOT LIKE": "LIKE", "NOT IN": "IN", "NOTON": "ON", "NSAMEAS": "SAMEAS",
    "<=": ">", ">=": "<", "RELATIVELE": "RELATIVEGT", "RELATIVELT": "RELATIVEGE",
}  # fmt: skip
_LIKE: Final = {"LIKE": str.__contains__, "STARTSWITH": str.startswith, "ENDSWITH": str.endswith}
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_MOST_PATTERNS: Final = 4
_BOOLEAN: Final = frozenset({"true", "false"})
_DECISIONS: Final = ("approved", "rejected")


class Constants(NamedTuple):
    """What the flows compare one attribute with."""

    reference: set[str]
    candidate: set[str]
    patterns: set[tuple[str, str]]
    asks: set[str]


class Cell(NamedTuple):
    """One value, or one kind of values, of a term: a constant, a gap between numbers, empty or another."""

    text: str | None
    number: float | None = None
    like: frozenset[tuple[str, str]] = frozenset()
    words: str = ""


def constants(candidate: Flow, reference: Flow) -> dict[str, Constants]:
    """All literals that conditions, queries and cases of both flows compare with, by attribute."""
    pool: dict[str, Constants] = {}
    for flow in (candidate, reference):
        for name, operator, text in _comparisons(flow):
            entry = pool.setdefault(name, Constants(set(), set(), set(), set()))
            if operator in _LIKE or CONTRARY.get(operator) in _LIKE:
                entry.patterns.add((CONTRARY.get(operator, operator), text))
            elif text == "":
                entry.asks.add("empty")
            elif operator in ("=", "!=", "IN", "NOT IN", "CHANGESTO", "<", ">", "<=", ">="):
                side = entry.candidate if flow is candidate else entry.reference
                side.update(text.split(",") if operator.endswith("IN") else [text])
                entry.asks.update({"order"} if operator in ("<", ">", "<=", ">=") else ())
    return pool


def _comparisons(flow: Flow) -> Iterator[tuple[str, str, str]]:
    """Attribute, operator and constant of every comparison; references are no constants."""
    switches: dict[int, str] = {}
    parts = [flow.trigger.inputs] if flow.trigger else []
    for component in flow.components:
        parts.append(component.inputs)
        if component.is_logic and component.definition == "SWITCH":
            switches[component.order] = plain(component.input("value")).strip("{} ").rsplit(".", 1)[-1]
        elif component.is_logic and component.definition == "CASE" and component.block in switches:
            text = plain(component.input("value"))
            if "{{" not in text:
                yield from ((switches[component.block], "=", each.strip()) for each in text.split(","))
    for inputs in parts:
        for given in inputs:
            for groups in query(given.value) or () if isinstance(given.value, str) else ():
                for clause in (each for group in groups for each in group):
                    if "{{" not in clause.value:
                        yield clause.field.strip("{} ").rsplit(".", 1)[-1], clause.operator, plain(clause.value)


@dataclass
class World:
    """One situation in the making: `masks` says which values of each term are still possible.

    A question that is open is answered by yes, and the other answer is put on `open`, from where a later run takes
    it; with `pick` the answer is drawn instead, the one given less often so far first.
    """

    terms: Terms
    pool: dict[str, Constants]
    catalogue: Catalogue | None
    masks: dict[Hashable, int] = field(default_factory=dict)
    open: list[tuple[dict[Hashable, int], Any, int]] = field(default_factory=list)
    #: Calls that stand in a TRY of either flow, so that they may fail.
    tried: set[int] = field(default_factory=set)
    #: The run of the reference while the candidate asks: it holds for the other answer too.
    asker: Any = None
    pick: random.Random | None = None
    seen: dict[Any, list[int]] = field(default_factory=dict)
    site: Hashable = None
    #: What runs remember of the steps, by side and order.
    prepared: dict[tuple[str, int], Any] = field(default_factory=dict)
    _cells: dict[Hashable, tuple[Cell, ...]] = field(default_factory=dict)
    _masks: dict[Any, int] = field(default_factory=dict)

    def ask(self, variable: Hashable, mask: int, every: int) -> bool:
        """Whether the value of a variable lies in `mask`, `every` being all its values."""
        now = self.masks.get(variable, every)
        yes, no = now & mask, now & ~mask
        if not (yes and no):
            return bool(yes)
        answer = True
        if self.pick is None:
            self.open.append(({**self.masks, variable: no}, self.asker, len(self.tried)))
        else:
            count = self.seen.setdefault((self.site, variable), [0, 0])
            answer = count[1] < count[0] or (count[1] == count[0] and self.pick.random() < 0.5)
            count[answer] += 1
        self.masks[variable] = yes if answer else no
        return answer

    def flag(self, *name: Hashable) -> bool:
        """An opaque truth value."""
        return self.ask(("flag", *name), 1, 3)

    def fails(self, call: int) -> bool:
        """Whether a step fails; in one situation at most one does."""
        variable = ("flag", "fails", call)
        if variable not in self.masks and any(v == 1 for k, v in self.masks.items() if _failure(k)):
            return False
        return self.ask(variable, 1, 3)

    def holds(self, left: int, operator: str, right: int) -> bool:
        """Whether one comparison holds in this situation."""
        if operator in CONTRARY:
            return not self.holds(left, CONTRARY[operator], right)
        text, known = self.terms.text_of(right), self.terms.text_of(left)
        if operator == "CHANGESTO":
            return self.flag("changed", left) and self.holds(left, "=", right)
        if operator == "CHANGESFROM":
            return self.flag("changed", left) and self.flag("before", left, right)
        if operator == "VALCHANGES":
            return self.flag("changed", left)
        if operator in ("ISEMPTY", "EMPTYSTRING"):
            operator, text = "=", ""
        if operator == "IN" and text is not None:
            return any(self.holds(left, "=", self.terms.literal(each)) for each in text.split(","))
        if left == right and operator in ("=", "<", ">", "SAMEAS"):
            return operator in ("=", "SAMEAS")
        if text is not None and known is not None and (operator == "=" or operator in _LIKE or _numbers(text, known)):
            return _true(Cell(known, float(known) if _NUMBER.fullmatch(known) else None), operator, text)
        if text is not None and (operator == "=" or operator in _LIKE or (operator in "<>" and _number(text))):
            if operator in _LIKE and (operator, text) not in self._patterns(left):
                return self.flag(operator, left, text)
            cells = self.cells(left)
            key = (left, operator, text)
            if key not in self._masks:
                self._masks[key] = sum(1 << place for place, cell in enumerate(cells) if _true(cell, operator, text))
            return self.ask(left, self._masks[key], (1 << len(cells)) - 1)
        if operator in ("=", "<", ">"):
            first, second = min(left, right), max(left, right)
            side = {"=": 2, "<": 1, ">": 4}[operator] if first == left else {"=": 2, "<": 4, ">": 1}[operator]
            return self.ask(("order", first, second), side, 7)
        return self.flag(operator, left, right)

    def known(self, term: int) -> str | None:
        """The constant that a term has in this situation, where it is decided."""
        mask = self.masks.get(term, 0)
        if not mask or mask & (mask - 1):
            return None
        return self.cells(term)[mask.bit_length() - 1].text

    def weight(self) -> float:
        """Share of all situations that this one stands for."""
        share = 1.0
        for variable, mask in self.masks.items():
            share *= mask.bit_count() / self._size(variable)
        return share

    def words(self) -> str:
        """What is decided, as people read it."""
        return " and ".join(filter(None, (self._words(*each) for each in self.masks.items()))) or "nothing is special"

    def _words(self, variable: Hashable, mask: int) -> str:
        if isinstance(variable, int):
            cells = self.cells(variable)
            chosen = [cell.words for place, cell in enumerate(cells) if mask >> place & 1]
            return f"{self.terms.words(variable)} is {' or '.join(chosen)}" if len(chosen) < len(cells) else ""
        assert isinstance(variable, tuple)
        if variable[0] == "order":
            signs = [sign for place, sign in enumerate("<=>") if mask >> place & 1]
            return f"{self.terms.words(variable[1])} {'/'.join(signs)} {self.terms.words(variable[2])}"
        name, subject = variable[1], self.terms.words(variable[2]) if isinstance(variable[2], int) else variable[2]
        rest = " ".join(self.terms.words(each) if isinstance(each, int) else str(each) for each in variable[3:])
        says = f"{subject} {name} {rest}".strip()
        return says if mask == 1 else f"not ({says})"

    def _size(self, variable: Hashable) -> int:
        if isinstance(variable, int):
            return len(self.cells(variable))
        return 3 if isinstance(variable, tuple) and variable[0] == "order" else 2

    def _patterns(self, term: int) -> list[tuple[str, str]]:
        entry = self.pool.get(self.terms.attribute(term))
        return sorted(entry.patterns)[:_MOST_PATTERNS] if entry else []

    def cells(self, term: int) -> tuple[Cell, ...]:
        """The values among which the value of a term is chosen."""
        name, column = self.terms.attribute(term), self.column(term)
        key = (name, column.type if column else "", tuple(column.choices) if column else ())
        if key not in self._cells:
            self._cells[key] = tuple(self._values(name, column, self._patterns(term)))
        return self._cells[key]

    def column(self, term: int) -> ColumnDef | None:
        """The catalogue's word on a column, where the table is known."""
        kind, data, kids = self.terms.nodes[term]
        table = self.terms.tables.get(kids[0]) if kind == "get" else None
        definition = self.catalogue.tables.get(table) if self.catalogue and table else None
        return definition.columns.get(data[0]) if definition else None

    def _values(self, name: str, column: ColumnDef | None, patterns: list[tuple[str, str]]) -> Iterator[Cell]:
        entry = self.pool.get(name, Constants(set(), set(), set(), set()))
        kind = column.type if column else ""
        if name == "found" or kind == "boolean" or (not kind and entry.reference and entry.reference <= _BOOLEAN):
            yield from (_cell(each) for each in ("true", "false"))
            return
        closed = [*column.choices] if column else []
        if name == "decision":
            closed = [*_DECISIONS]
        given = sorted(entry.reference if closed else entry.reference | entry.candidate)
        texts = list(dict.fromkeys([*closed, *given]))
        numbers = sorted({float(each) for each in texts if _number(each)})
        line = bool(numbers) and not closed and ("order" in entry.asks or kind == "integer")
        if line:
            yield from _line(numbers, kind == "integer" or name == "count", name == "count")
            texts = [each for each in texts if not _number(each)]
        yield from map(_cell, texts)
        if "empty" in entry.asks:
            yield Cell("", None, words="empty")
        if not closed and not line:
            for choice in range(1 << len(patterns)):
                held = frozenset(each for place, each in enumerate(patterns) if choice >> place & 1)
                says = " and ".join(f"{operator} {text}" for operator, text in sorted(held))
                yield Cell(None, None, held, f"another{f' ({says})' if says else ''}")


def _cell(text: str) -> Cell:
    return Cell(text, float(text) if _number(text) else None, words=text)


def _line(numbers: list[float], integer: bool, natural: bool) -> Iterator[Cell]:
    """The numbers, and a point before, between and after them; integers that follow each other have none between."""
    if not (natural and numbers[0] <= 0):
        yield Cell(None, numbers[0] - 1, words=f"below {numbers[0]:g}")
    for place, number in enumerate(numbers):
        yield Cell(f"{number:g}", number, words=f"{number:g}")
        after = numbers[place + 1] if place + 1 < len(numbers) else None
        if after is None:
            yield Cell(None, number + 1, words=f"above {number:g}")
        elif not integer or after - number > 1:
            yield Cell(None, (number + after) / 2, words=f"between {number:g} and {after:g}")


def _true(cell: Cell, operator: str, text: str) -> bool:
    """Whether a comparison with a constant holds for a value."""
    if operator in _LIKE:
        return (operator, text) in cell.like if cell.text is None else _LIKE[operator](cell.text, text)
    if cell.number is not None and _number(text):
        value = float(text)
        return (
            cell.number == value if operator == "=" else cell.number < value if operator == "<" else cell.number > value
        )
    return operator == "=" and cell.text == text


def _number(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None and len(text) < 300


def _numbers(*texts: str) -> bool:
    return all(map(_number, texts))


def _failure(variable: Hashable) -> bool:
    return isinstance(variable, tuple) and variable[:2] == ("flag", "fails")
