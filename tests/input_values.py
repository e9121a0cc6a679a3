"""Whether every input value of a shipped example follows from its requirement."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from flowstudy.corpus.features import REFERENCE
from flowstudy.corpus.references import parts
from flowstudy.flows.catalogue import Catalogue
from flowstudy.flows.query import parse_query
from flowstudy.flows.schema import QUERY_INPUTS, Flow, Input

_NUMBERS: Final = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip
_FREE: Final = frozenset({"", "true", "false", "null"})


def underived_values(flow: Flow, requirement: str, catalogue: Catalogue, derived: Iterable[str] = ()) -> list[str]:
    """Input values that follow from nothing: not in the requirement, the catalogue, a reference or `derived`.

    Case, spacing and the spelling of numbers up to twelve do not count. A query is taken apart into its values.
    """
    text = _plain(requirement)
    given = {_plain(value) for value in derived}
    words = _words(catalogue)
    faults: list[str] = []
    for order, inputs, definition in parts(flow, catalogue):
        queries = QUERY_INPUTS | {n for n, d in definition.inputs.items() if d.type in ("query", "values")}
        for item in inputs:
            for value in _atoms(item, item.name in queries):
                plain = _plain(value)
                if not (plain in _FREE or plain in words or plain in given or plain in text or _pieces(plain, text)):
                    faults.append(f"component {order}: {item.name}: {value!r}")
    return faults


def _pieces(value: str, text: str) -> bool:
    """A value that mixes references and words: every run of words stands in the text."""
    if "{{" not in value:
        return False
    pieces = [piece.strip(" ,.;:!?-()+*/") for piece in REFERENCE.sub("\x00", value).split("\x00")]
    return all(piece in text for piece in pieces)


def _atoms(item: Input, is_query: bool) -> Iterator[str]:
    if isinstance(item.value, list):
        yield from map(str, item.value)
        return
    value = str(item.value)
    clauses = parse_query(value) if is_query and value else None
    if clauses is None:
        yield value
        return
    for clause in clauses:
        yield from clause.value.split(",") if clause.operator in ("IN", "NOT IN") else [clause.value]


def _plain(text: str) -> str:
    text = re.sub(r"\s+", " ", text.lower()).replace("’", "'").strip(" .")
    return re.sub(r"\b(" + "|".join(_NUMBERS) + r")\b", lambda m: str(_NUMBERS.index(m[0])), text)


def _words(catalogue: Catalogue) -> frozenset[str]:
    """Everything that the catalogue names: steps, tables, columns, choices, groups and roles."""
    found: set[str] = {*catalogue.tables, *catalogue.groups, *catalogue.roles, *catalogue.steps()}
    for step in (*catalogue.steps().values(), *catalogue.triggers.values()):
        for definition in step.inputs.values():
            found |= set(definition.choices)
    for table in catalogue.tables.values():
        for name, column in table.columns.items():
            found |= {name, *column.choices, *column.choices.values()}
    return frozenset(_plain(word) for word in found)
