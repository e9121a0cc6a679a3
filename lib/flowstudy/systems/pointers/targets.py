"""What can be pointed at in one prompt: numbered words of the requirement and numbered suggestions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from flowstudy.flows.catalogue import Catalogue, StepDef
from flowstudy.flows.outline import component_line, to_outline
from flowstudy.flows.schema import Component, Flow
from flowstudy.systems.records import Suggestion

#: How many of each can be pointed at; what comes later in a list must be spelled.
MAX_WORDS, MAX_SUGGESTIONS, MAX_INPUTS, MAX_CHOICES = 256, 64, 12, 16
STEP_KINDS: Final = frozenset({"trigger", "action", "subflow"})
_WORD: Final = re.compile(r"[\w$€£#@%+&]+(?:[-'’.@&+]\w+|[:,]\d+)*%?")
_LOOKALIKE: Final = re.compile(r"<(\\*[swic]\d+>)")


class PointerError(ValueError):
    """A pointer that points at nothing."""


class Word(NamedTuple):
    """A numbered word: where it starts and ends in the requirement."""

    start: int
    end: int


@lru_cache(maxsize=512)
def words(requirement: str) -> tuple[Word, ...]:
    """The words that get a number, punctuation around them left out; at most MAX_WORDS."""
    return tuple(Word(*m.span()) for m in _WORD.finditer(requirement))[:MAX_WORDS]


def escape(text: str) -> str:
    """Text in which nothing looks like a pointer: `<w3>` becomes `<\\w3>`."""
    return _LOOKALIKE.sub(r"<\\\1", text)


def step_def(suggestion: Suggestion, catalogue: Catalogue | None) -> StepDef | None:
    """The catalogue's entry of a suggested step; None for tables, columns and what the catalogue lacks."""
    if catalogue is None or suggestion.kind not in STEP_KINDS:
        return None
    shelf = {"trigger": catalogue.triggers, "action": catalogue.actions, "subflow": catalogue.subflows}[suggestion.kind]
    return shelf.get(suggestion.name)


def choices_of(name: str, catalogue: Catalogue | None) -> dict[str, str]:
    """Values and labels of the choices of a `table.column`; empty for other columns and unknown ones."""
    table, _, column = name.rpartition(".")
    known = catalogue.tables.get(table) if catalogue else None
    found = known.columns.get(column) if known else None
    return found.choices if found else {}


def step_head(kind: str, definition: str, scope: str | None = None) -> str:
    """`action itsm.create_incident`, quoted where the outline needs it."""
    if kind == "trigger":
        return to_outline(Flow.model_validate({"trigger": {"type": definition}}))
    if scope is None:
        first, dot, last = definition.rpartition(".")
        scope, definition = (first, last) if dot else ("global", definition)
    raw = {"category": kind, "definition": definition, "scope": scope, "order": 1}
    return component_line(Component.model_validate(raw))


class Pointing:
    """What can be pointed at in one prompt."""

    def __init__(self, suggestions: Sequence[Suggestion], requirement: str, catalogue: Catalogue | None) -> None:
        self.suggestions = list(suggestions[:MAX_SUGGESTIONS])
        self.requirement, self.catalogue, self.words = requirement, catalogue, words(requirement)
        self.starts = {word.start: n for n, word in enumerate(self.words)}
        self.ends = {word.end: n for n, word in enumerate(self.words)}
        self.numbers: dict[tuple[str, str], int] = {}
        for number, item in enumerate(self.suggestions):
            self.numbers.setdefault((item.kind, item.name), number)
            if item.kind == "column":
                self.numbers.setdefault(("column", item.name.rpartition(".")[2]), number)

    def span(self, value: str, near: tuple[int, int] | None = None) -> tuple[int, int] | None:
        """The words whose text is `value`: inside the words `near` when it can be, else the first occurrence."""
        if near is not None:
            inside = self._find(value, self.words[near[0]].start, self.words[near[1]].end)
            if inside:
                return inside
        return self._find(value, 0, len(self.requirement)) if len(value) > 2 else None

    def _find(self, value: str, start: int, end: int) -> tuple[int, int] | None:
        at = self.requirement.find(value, start, end) if value else -1
        while at >= 0:
            first, last = self.starts.get(at), self.ends.get(at + len(value))
            if first is not None and last is not None:
                return first, last
            at = self.requirement.find(value, at + 1, end)
        return None
