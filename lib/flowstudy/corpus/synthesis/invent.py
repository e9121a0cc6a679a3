"""Invented environments, on which the seed model learns to read catalogues. They share the platform core only."""

from __future__ import annotations

import functools
import random
from typing import Final

from flowstudy.corpus.environments import CORE, shipped_catalogue, shipped_domains
from flowstudy.corpus.synthesis import words as w
from flowstudy.flows.catalogue import Catalogue, ColumnDef, InputDef, StepDef, TableDef, merge_catalogues

_CHOICES: Final = [
    (name, [options.split() for options in lists.split("|")])
    for name, _, lists in (part.strip().partition(": ") for part in w.CHOICES.split(";"))
]
_TAILS: Final = (
    "for a {person}", "by its number", "with its usual defaults", "at a {thing}", "from the {thing}",
    "of the {thing}",
    "to the {thing}", "after a {thing}", "and store the result", "and return it", "before the {thing}",
    "in the {thing} list",
    "with a {quality} {thing}", "for the next {thing}", "and tell the {person}", "against the {thing}",
    "without a {thing}",
)  # fmt: skip
_PROCESSES: Final = ("handling", "process", "rollout", "clearance", "check", "handover", "round", "intake")
_VERBS: Final = tuple(verb for verb in w.SYNONYMS if " " not in verb)


def invent_catalogue(seed: int) -> Catalogue:
    """An environment that does not exist: 6-12 tables, 16-34 actions, 3-6 subflows, groups, roles, the platform core.

    Deterministic in `seed`. No scoped name, table or action of a shipped domain is used.
    """
    rng = random.Random(f"environment {seed}")
    company = w.invented_word(rng)
    world = _World(rng, f"x_{company}")
    tables = {name: world.table(name, thing) for name, thing in world.tables.items()}
    actions: dict[str, StepDef] = {}
    while len(actions) < rng.randint(16, 34):
        name, step = world.step(list(actions))
        actions.setdefault(name, step)
    subflows = dict(world.step([], subflow=True) for _ in range(rng.randint(3, 6)))
    taken = _shipped_names()
    own = Catalogue(
        name=f"invented_{seed}",
        title=f"{company} {seed}",
        actions={n: s for n, s in actions.items() if n not in taken},
        subflows={n: s for n, s in subflows.items() if n not in taken and n not in actions},
        tables={n: t for n, t in tables.items() if n not in taken},
        groups=world.groups,
        roles=[f"{world.thing().split()[-1]}_{rng.choice(w.PEOPLE)}" for _ in range(3)],
    )
    return merge_catalogues(_core(), own)


@functools.cache
def _core() -> Catalogue:
    return shipped_catalogue(CORE)


@functools.cache
def _shipped_names() -> frozenset[str]:
    """Tables and steps of the shipped domains, with the scopes cut off."""
    names: set[str] = set()
    for domain in shipped_domains():
        catalogue = shipped_catalogue(domain)
        names |= {*catalogue.steps(), *catalogue.tables} - {*_core().steps(), *_core().tables}
    return frozenset(names)


class _World:
    """What one environment is about."""

    def __init__(self, rng: random.Random, scope: str) -> None:
        self.rng, self.scope = rng, scope
        self.things = [self._new_thing() for _ in range(rng.randint(8, 14))]
        self.tables = {self._table_name(t): t for t in self.things[: rng.randint(6, 12)]}
        self.groups = [self._group() for _ in range(rng.randint(4, 8))]

    def _new_thing(self) -> str:
        rng = self.rng
        noun = w.invented_word(rng) if rng.random() < 0.12 else rng.choice(w.THINGS)
        kind = rng.random()
        if kind < 0.3:
            return f"{rng.choice(w.QUALITIES)} {noun}"
        return f"{rng.choice(w.THINGS)} {noun}" if kind < 0.5 else noun

    def thing(self) -> str:
        return self.rng.choice(self.things)

    def _table_name(self, thing: str) -> str:
        name = thing.replace(" ", "_")
        return f"{self.scope}_{name}" if self.rng.random() < 0.3 else name

    def _group(self) -> str:
        rng, thing = self.rng, self.thing().split()[-1]
        return (
            f"{thing.title()} {rng.choice(w.TEAM_WORDS)}"
            if rng.random() < 0.8
            else f"{rng.choice(w.PLACES)} {rng.choice(w.TEAM_WORDS)}"
        )

    def table(self, name: str, thing: str) -> TableDef:
        rng = self.rng
        columns = {"number": ColumnDef(label="Number"), "short_description": ColumnDef(label="Short description")}
        for column, lists in rng.sample(_CHOICES, rng.randint(2, 4)):
            columns[column] = ColumnDef(type="choice", label=column.title(), choices=_labels(rng, rng.choice(lists)))
        for column in rng.sample(w.COLUMNS, rng.randint(1, 3)):
            columns.setdefault(
                column, ColumnDef(type=rng.choice(("integer", "integer", "string")), label=column.title())
            )
        for person in rng.sample(w.PEOPLE, rng.randint(1, 2)):
            columns[person] = ColumnDef(type="reference", label=person.title(), reference="sys_user")
        columns["assignment_group"] = ColumnDef(type="reference", label="Assignment group", reference="sys_user_group")
        columns[f"{rng.choice(('start', 'end', 'due', 'valid', 'delivery'))}_date"] = ColumnDef(
            type="date", label="Date"
        )
        columns[rng.choice(w.ADJECTIVE_NOTES)] = ColumnDef(type="boolean", label="Yes or no")
        if len(self.tables) > 1:
            other = rng.choice([t for t in self.tables if t != name])
            columns.setdefault(
                self.tables[other].split()[-1],
                ColumnDef(type="reference", label=self.tables[other].title(), reference=other),
            )
        items = list(columns.items())
        rng.shuffle(items)
        return TableDef(
            label=thing.capitalize(), columns={k: c.model_copy(update={"label": _label(k, c)}) for k, c in items}
        )

    def step(self, others: list[str], *, subflow: bool = False) -> tuple[str, StepDef]:
        """A step; often a near miss of one of `others`: the same verb or the same object."""
        rng = self.rng
        near = rng.choice(others).rpartition(".")[2].partition("_") if others and rng.random() < 0.4 else None
        verb = near[0] if near and rng.random() < 0.5 and near[0] in w.SYNONYMS else rng.choice(_VERBS)
        thing = near[2].replace("_", " ") if near and near[0] != verb else self.thing()
        if rng.random() < 0.25:
            thing = f"{thing.split()[-1]} {rng.choice(w.THINGS)}"
        if subflow:
            name = f"{thing} {rng.choice(_PROCESSES)}"
        else:
            name = f"{verb} {thing}"
        scope = f"{self.scope}." if rng.random() < 0.4 else ""
        step = StepDef(
            description=self._description(verb, thing), inputs=self._inputs(thing), outputs=self._outputs(verb, thing)
        )
        return f"{scope}{name.replace(' ', '_')}", step

    def _description(self, verb: str, thing: str) -> str:
        rng = self.rng
        said = rng.choice(w.SYNONYMS[verb]) if rng.random() < 0.5 else verb
        person, quality = rng.choice(w.PEOPLE), rng.choice(w.QUALITIES)
        tail = (
            rng.choice(_TAILS).format(person=person, thing=rng.choice(w.THINGS), quality=quality)
            if rng.random() < 0.6
            else ""
        )
        return f"{said.capitalize()} {w.article(thing) if rng.random() < 0.7 else w.plural(thing)} {tail}".strip()

    def _inputs(self, thing: str) -> dict[str, InputDef]:
        rng = self.rng
        inputs: dict[str, InputDef] = {}
        if rng.random() < 0.6:
            inputs[thing.split()[-1] if rng.random() < 0.7 else "record"] = InputDef(
                type="record", required=True, description=thing.capitalize()
            )
        makers = (
            ("user", ("user", *w.PEOPLE)),
            ("string", ("text", "message", "note", "reason", "title", "subject", "name", "comment")),
            ("choice", ()), ("integer", w.COLUMNS), ("duration", ("due", "duration", "timeout", "period")),
            ("date", ("start", "date", "until")), ("string", w.COLUMNS), ("choice", ()), ("group", ("group", "team")),
        )  # fmt: skip
        for kind, names in rng.sample(makers, rng.choice((0, 1, 1, 2, 2, 3))):
            choices: list[str] = []
            if kind == "choice":
                name, lists = rng.choice(_CHOICES)
                choices = rng.choice(lists)
            else:
                name = rng.choice(names)
            inputs.setdefault(
                name, InputDef(type=kind, required=rng.random() < 0.5, choices=choices, description=name.capitalize())
            )
        return inputs

    def _outputs(self, verb: str, thing: str) -> list[str]:
        draw = self.rng.random()
        if draw < 0.4:
            return []
        return (
            [thing.split()[-1]]
            if draw < 0.7
            else [self.rng.choice(("status", "result", "record", "score", "code", *w.COLUMNS))]
        )


def _label(name: str, column: ColumnDef) -> str:
    return column.label if column.type == "reference" else name.replace("_", " ").capitalize()


def _labels(rng: random.Random, options: list[str]) -> dict[str, str]:
    if rng.random() < 0.25:
        return {str(n): option.capitalize() for n, option in enumerate(options, start=1)}
    return {option: option.replace("_", " ").capitalize() for option in options}
