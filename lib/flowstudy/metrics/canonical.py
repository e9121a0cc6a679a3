"""The canonical form of a flow in strict FlowSim: what two flows may differ in without meaning is gone from it.

**References by what they point at.** `{{step.3.record}}` becomes "the record of the nearest `look_up_record` above". A
name is the target's category, definition and scope and how many steps of that name, this one included, stand between
it and the step that refers (-1 is the nearest one above). It does not hold the target's number or its inputs, so a step
put in or left out elsewhere changes no name, and a wrong input of the target is charged once, at the target. Hence
leaving references as they were after a step was put in or taken out at the top level never scores above setting them
right: where both keep pointing at the same step their names are equal, elsewhere the one left points at another step
and has another name. What has not run there (a later step, the step itself, a step of another arm of the same PARALLEL
or SWITCH) is counted forward from 0 and never equal to what has; a step that does not exist keeps its number.

**Order that means nothing.** The arms of a PARALLEL, and the CASEs of a SWITCH that exclude each other by constant
values, are sorted: CASEs by their inputs, then all by their outline and their inputs. As no arm sees another, names do
not depend on that order. (Arms that are equal in everything keep the order written, although a later step may refer to
one of them.) Inputs, clauses, groups of `^OR` or `^NQ` and lists of IN are sets; see `input_tree`.

All of it is a function of one flow alone, so that a distance between canonical flows stays a metric.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import chain, pairwise
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import quote

from flowstudy.flows.query import Clause, alternatives, parse_query
from flowstudy.flows.schema import FOLLOWS, QUERY_INPUTS, REFERENCE
from flowstudy.metrics.reader import Inputs, Outline, PlainInput, StepName
from flowstudy.metrics.trees import FlowTooLarge, InputTree, Names, remembered

_STEP: Final = re.compile(r"step\.([0-9]{1,9})(?=\.|$)")
_NAMED: Final = re.compile(r"\{\{(?:\[([^\[\]]*)\]|')")
_DOT: Final = re.compile(r"\s*\.\s*")

_NOTHING: Final = InputTree((), (), ())
_CHOICES: Final = frozenset({"flowlogic PARALLEL global", "flowlogic SWITCH global"})


class _Choice(NamedTuple):
    """A PARALLEL or SWITCH that is being read: its number, how many steps of each title stand above, its arms."""

    number: int
    counts: dict[str, int]
    starts: list[int]


@lru_cache(maxsize=20_000)
def step_label(name: StepName) -> tuple[str, ...]:
    """The label of a component; flow logic in capitals."""
    category, definition, scope = name
    return "component", category, definition.upper() if category == "flowlogic" else definition, scope


@lru_cache(maxsize=20_000)
def _title(name: StepName) -> str:
    """By what a step is named: category, definition and scope, without braces, brackets and blanks."""
    return " ".join(quote(part, errors="surrogatepass") for part in step_label(name)[1:])


def canonical(flow: Outline) -> tuple[Outline, list[int], list[Names]]:
    """A flow in canonical form, the numbers that its steps have in the flow as it is written, and by these numbers (0
    for the trigger) the steps that each refers to by name."""
    titles = [_title(name) for name, _, _ in flow.steps]
    scope = None if _CHOICES.isdisjoint(titles) else _Scope(titles)
    order, trigger, names = list(range(1, len(titles) + 1)), flow.trigger, list[Names]([()])
    if trigger is not None:
        given, names[0] = _named(trigger[1], 0, titles, scope)
        trigger = trigger[0], given
    steps = []
    for number, (name, block, inputs) in enumerate(flow.steps, start=1):
        if scope:
            scope.enter(number, block)
        given, known = _named(inputs, number, titles, scope)
        names.append(known)
        steps.append((name, block, given))
        if scope:
            scope.add(number, block, given)
    if scope:
        scope.enter(len(titles) + 1, -1)
        order = scope.order
        place = {number: here for here, number in enumerate([0, *order])}
        steps = [(name, place[block], given) for name, block, given in (steps[number - 1] for number in order)]
    return Outline(trigger, steps, flow.signatures), order, names


def _named(inputs: Inputs, here: int, titles: list[str], scope: _Scope | None) -> tuple[Inputs, Names]:
    """The inputs of the step `here` with references by name, and the names; a step that does not exist has none."""
    numbers: dict[int, None] = {}
    touched = False
    for each in inputs:
        value: Any = each.value
        if value.__class__ is str:
            if "{{" in value:
                touched = True
                numbers |= _template(value)[1]
        elif isinstance(value, list | dict | float):
            touched = True
            for text in _texts(value):
                numbers |= _template(text)[1]
    if not touched:
        return inputs, ()
    names = []
    for number in numbers:
        if 1 <= number <= len(titles):
            title = titles[number - 1]
            if scope:
                place = scope.place(number)
            elif number < here:
                place = -titles[number - 1 : here - 1].count(title)
            else:
                place = titles[max(here - 1, 0) : number - 1].count(title)
            names.append((number, title, place))
    known = tuple(names)
    try:
        return [PlainInput(each.name, _value(each.value, known)) for each in inputs], known
    except RecursionError:
        raise FlowTooLarge(
            f"value too deep for an input of step {here}: expected JSON nested at most a few hundred levels deep, got "
            "more; flatten the value"
        ) from None


class _Scope:
    """What stands above a step in a flow with PARALLEL or SWITCH: no arm sees another until all are over."""

    def __init__(self, titles: list[str]) -> None:
        self.order: list[int] = []
        self._titles = titles
        self._inputs: list[Inputs] = []
        self._blocks: list[int] = []
        self._path: list[int] = []
        self._choices: list[_Choice] = []
        #: How many steps of each title stand above, and of those steps, which of its title each is.
        self._counts: dict[str, int] = {}
        self._above: dict[int, int] = {}

    def place(self, number: int) -> int:
        """How far a step is from here among those of its title: below 0 if it stands above."""
        title = self._titles[number - 1]
        place = self._above[number] if number in self._above else self._titles[: number - 1].count(title)
        return place - self._counts.get(title, 0)

    def enter(self, number: int, block: int) -> None:
        """A step in a block comes next: close what it is not in, begin its arm."""
        while self._path and self._path[-1] != block:
            left = self._path.pop()
            if self._choices and self._choices[-1].number == left:
                self._close(self._choices.pop())
        if self._choices and self._choices[-1].number == block:
            choice = self._choices[-1]
            for other in range(choice.starts[-1] if choice.starts else number, number):
                del self._above[other]
            choice.starts.append(number)
            self._counts = dict(choice.counts)

    def add(self, number: int, block: int, given: Inputs) -> None:
        """The step that comes next."""
        self.order.append(number)
        self._blocks.append(block)
        self._inputs.append(given)
        self._count(number)
        if self._titles[number - 1].startswith("flowlogic "):
            self._path.append(number)
        if self._titles[number - 1] in _CHOICES:
            self._choices.append(_Choice(number, dict(self._counts), []))

    def _count(self, number: int) -> None:
        title = self._titles[number - 1]
        self._above[number] = count = self._counts.get(title, 0)
        self._counts[title] = count + 1

    def _close(self, choice: _Choice) -> None:
        """Sort the arms of what ends here where their order means nothing."""
        starts = [*choice.starts, len(self.order) + 1]
        arms = [self.order[start - 1 : stop - 1] for start, stop in pairwise(starts)]
        free = self._free(choice, arms)
        self.order[choice.number :] = chain.from_iterable(sorted(arms[:free], key=self._key) + arms[free:])
        self._counts = choice.counts
        for number in self.order[choice.number :]:
            self._count(number)

    def _free(self, choice: _Choice, arms: list[list[int]]) -> int:
        """How many arms, from the first, may stand in any order."""
        heads = [self._logic(arm[0]) for arm in arms]
        if self._logic(choice.number) == "PARALLEL":
            return 0 if any(head in FOLLOWS for head in heads) else len(arms)
        free = len(arms) - (heads[-1:] == ["DEFAULT"])
        values = [_constants(self._inputs[arm[0] - 1]) for arm in arms[:free]]
        apart = all(values) and len(frozenset[str]().union(*values)) == sum(map(len, values))
        return free if apart and all(head == "CASE" for head in heads[:free]) else 0

    def _logic(self, number: int) -> str:
        return self._titles[number - 1].removeprefix("flowlogic ").removesuffix(" global")

    def _key(self, arm: list[int]) -> Any:
        """By the inputs of a CASE, the outline, and all inputs."""
        inputs = [sorted([input_tree(each.name, each.value) for each in self._inputs[number - 1]]) for number in arm]
        here = {number: place for place, number in enumerate(arm)}
        outline = [(self._titles[number - 1], here.get(self._blocks[number - 1], -1)) for number in arm]
        return (inputs[0] if self._logic(arm[0]) == "CASE" else []), outline, inputs


def _constants(inputs: Inputs) -> frozenset[str]:
    """The values for which a CASE is taken; empty when they are not known before the flow runs."""
    given = [each.value for each in inputs if each.name == "value"]
    text = str(given[0]) if len(given) == 1 else ""
    return frozenset() if "{{" in text else frozenset(_items(text))


def _texts(value: Any) -> Iterator[str]:
    """All texts in a JSON value."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, str):
            yield each
        elif isinstance(each, list | dict):
            waiting += each.values() if isinstance(each, dict) else each


#: A text taken apart: references to steps as the step's number and the rest of the path; and the numbers.
_Template: TypeAlias = tuple[list[str | tuple[int, str]], dict[int, None]]


@remembered
def _template(text: str) -> _Template:
    pieces: list[str | tuple[int, str]] = []
    for place, piece in enumerate(REFERENCE.split(text)):
        if not place % 2:
            pieces.append(piece)
            continue
        path = _DOT.sub(".", piece.strip())
        match = _STEP.match(path)
        quoted = "'" if path[:1] in ("[", "'") else ""  # what looks like a name is none
        pieces.append((int(match[1]), path[match.end() :]) if match else f"{{{{{quoted}{path}}}}}")
    return pieces, dict.fromkeys(piece[0] for piece in pieces if isinstance(piece, tuple))


def _value(value: Any, names: Names) -> Any:
    """A value with references by name, and integral floats as integers, so that 1.0 equals 1."""
    if isinstance(value, str):
        return _text(value, names) if "{{" in value else value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_value(each, names) for each in value]
    if isinstance(value, dict):
        return {key: _value(each, names) for key, each in value.items()}
    return value


@remembered
def _text(text: str, names: Names) -> str:
    known = {number: f"[{title} {place}]" for number, title, place in names}
    pieces = _template(text)[0]
    named = [p if isinstance(p, str) else f"{{{{{known.get(p[0], f'step.{p[0]}')}{p[1]}}}}}" for p in pieces]
    return "".join(named)


def written(text: str, names: Names) -> str:
    """A text of a canonical flow as people know it: `{{[action look_up global -1].record}}` is `{{step.3.record}}`."""

    numbers = {f"{title} {place}": number for number, title, place in names}

    def known(match: re.Match[str]) -> str:
        name = match[1]
        return "{{" if name is None else f"{{{{step.{numbers[name]}" if name in numbers else match[0]

    return _NAMED.sub(known, text)


def input_tree(name: str, value: Any) -> InputTree:
    """An input as a small tree: one node, or a node with the clauses of a query below; none for an empty value.

    A condition is a set (`^NQ`) of sets (`^`) of sets (`^OR`) of clauses, each written in order. Equalities of one
    field joined by `^OR` are an IN; the items of IN and NOT IN are a set. Assignments are a set in which the last one
    to a field counts. Blanks around a value mean nothing.
    """
    if isinstance(value, str):
        return _text_tree(value, name)
    return _NOTHING if value in (None, [], {}) else _leaf(name, "json", json.dumps(value, sort_keys=True))


@remembered
def _text_tree(given: str, name: str) -> InputTree:
    text = given.strip()
    query = _query_tree(name, text) if name in QUERY_INPUTS else None
    return query or (_leaf(name, "text", text) if text else _NOTHING)


def _leaf(name: str, kind: str, text: str) -> InputTree:
    labels = (("input", name, kind, text),)
    return InputTree((name, labels), labels, (-1,))


def _query_tree(name: str, query: str) -> InputTree | None:
    clauses = parse_query(query)
    if not clauses:
        return None
    whole = alternatives(clauses)
    if "condition" not in name:
        if any(clause.join not in ("", "^") for clause in clauses):
            return None
        last = {(clause.field, clause.operator): _or([clause]) for clause in clauses}
        parts = [tuple(sorted(last.values()))]
    elif all(len(groups) == 1 for groups in whole):
        parts = [(_or(clauses),)]
    else:
        parts = sorted({tuple(sorted({_or(group) for group in groups})) for groups in whole})
    labels: list[tuple[str, ...]] = [("query", name)]
    for groups in parts:
        joins = iter(("^NQ" if len(labels) > 1 else "^", *"^" * (len(groups) - 1)))
        for first, *others in groups:
            labels.append(("clause", name, next(joins), *first[1:]))
            labels += [("clause", name, "^OR", *clause[1:]) for clause in others]
    found = tuple(labels)
    return InputTree((name, found), found, (-1, *(0 for _ in found[1:])))


def _items(text: str) -> list[str]:
    return sorted({item.strip() for item in text.split(",")} - {""})


def _or(group: Iterable[Clause]) -> tuple[Clause, ...]:
    """The set of clauses of an `or`, without joins; equalities of one field as an IN."""
    lists: dict[str, set[str]] = {}
    found = set()
    for _, field, operator, given in group:
        value = given.strip()
        if operator == "IN" or (operator == "=" and value and "," not in value):
            lists.setdefault(field, set()).update(_items(value))
        else:
            found.add(Clause("", field, operator, ",".join(_items(value)) if operator == "NOT IN" else value))
    for field, items in lists.items():
        found.add(Clause("", field, "=" if len(items) == 1 else "IN", ",".join(sorted(items))))
    return tuple(sorted(found))
