"""What a generated flow talks about: the catalogue made quick to draw from, and the data at hand.

Everything drawn is a pair of what the flow holds and how a person would say it.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar

from flowstudy.corpus.synthesis import words as w
from flowstudy.flows.catalogue import Catalogue, StepDef

T = TypeVar("T")
_PLATFORM: Final = ("sys_", "sc_", "cmn_", "core_", "kb_", "sysapproval")


class Said(NamedTuple):
    """A value of the flow and its words in the requirement."""

    value: str
    words: str


class Record(NamedTuple):
    """A record that a step can use: its reference, its table ("" when not known) and what people call it."""

    reference: str
    table: str
    noun: str


class Test(NamedTuple):
    """Something that the last steps made it possible to ask: query, its words, and the words when it is not so."""

    query: str
    words: str
    otherwise: str = ""


class Card(NamedTuple):
    """An action or subflow: verb and object of its name and of its description."""

    category: str
    key: str
    scope: str
    definition: str
    step: StepDef
    phrases: tuple[tuple[str, str], ...]


class World:
    """A catalogue, sorted for drawing. Works for any catalogue, also for one without tables or descriptions."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.labels = {name: (t.label or name.replace("_", " ")).lower() for name, t in catalogue.tables.items()}
        usable = [name for name, t in catalogue.tables.items() if t.columns]
        own = [name for name in usable if not name.startswith(_PLATFORM) and name != "task"]
        self.tables = own * 6 + usable
        self.nouns = [self.labels[name] for name in own]
        self.columns = {n: list(t.columns.items()) for n, t in catalogue.tables.items()}
        self.askable = {n: [(c, d) for c, d in items if c != "number"] for n, items in self.columns.items()}
        self.people = {n: [(c, person_noun(self.column(n, c))) for c, d in items if d.reference == "sys_user"]
                       for n, items in self.columns.items()}  # fmt: skip
        self.children = _children(self, own)
        self.groups = catalogue.groups or ["Operations"]
        steps = [("action", n, s) for n, s in catalogue.actions.items()] + [
            ("subflow", n, s) for n, s in catalogue.subflows.items()
        ]
        self.cards = [_card(category, name, step) for category, name, step in steps]
        self.by_key = {card.key: card for card in self.cards}
        self.triggers = list(catalogue.triggers)

    def label(self, table: str) -> str:
        return self.labels.get(table, table.replace("_", " ") or "record")

    def column(self, table: str, column: str) -> str:
        """What people call a column."""
        definition = self.catalogue.tables[table].columns[column]
        return (definition.label or column.replace("_", " ")).lower()


def _children(world: World, tables: list[str]) -> dict[str, list[tuple[str, str, str, str]]]:
    """For each table, the records that can be found through it: (table, its column, path from here, words).

    `path` is "" where the other record points at this one, else a column here that points at the same third record.
    """
    found: dict[str, list[tuple[str, str, str, str]]] = {name: [] for name in world.columns}
    for here in tables:
        for other in tables:
            for column, definition in world.columns[other] if other != here else ():
                if definition.reference == here:
                    found[here].append((other, column, "", ""))
                for mine, own in world.columns[here]:
                    if definition.reference and own.reference == definition.reference != "sys_user_group":
                        whose = world.column(here, mine)
                        whose = person_noun(whose) if own.reference == "sys_user" else whose
                        found[here].append((other, column, f".{mine}", whose))
    return found


def person_noun(label: str) -> str:
    """What people call the person in a column: `assigned to` -> `assignee`, `opened by` -> `one who opened it`."""
    known = {"assigned to": "assignee", "requested for": "requester", "occupant": "occupant"}
    if label in known:
        return known[label]
    return f"one who {label.removesuffix(' by')} it" if label.endswith(" by") else label


def _card(category: str, name: str, step: StepDef) -> Card:
    scope, dot, definition = name.rpartition(".")
    title = definition.replace("_", " ").replace("-", " ").lower()
    named = _verb_object(title)
    phrases = [named] if named else []
    if step.description:
        first, _, rest = step.description.partition(" ")
        about = f"{first.lower() if first[1:].islower() or len(first) == 1 else first} {rest}".strip(" .")
        phrases += _described(about, outputs=bool(step.outputs), subflow=category == "subflow") * 2
    return Card(category, name, scope if dot else "global", definition, step, tuple(phrases) or (("run", title),))


def _described(about: str, *, outputs: bool, subflow: bool) -> list[tuple[str, str]]:
    """Ways to ask for a step, out of its description: an imperative as it is, a noun phrase as a thing to get."""
    head = about
    for cut in (" with ", " and ", " by ", " from ", " that ", ", ", " so ", " until ", " when "):
        before = head.partition(cut)[0]
        head = before if len(before.split()) >= 2 else head
    found = _verb_object(about)
    if found and not found[1].startswith("of ") and "," not in " ".join(about.split()[:3]):
        short = _verb_object(head)
        return [found, short] if short and short != found else [found]
    if outputs and "," not in about and not subflow:
        noun = head if w.is_plural(head) or head.split()[0] in ("money", "free", "whoever") else f"the {head}"
        return [("get", noun), ("check", noun), ("look up", noun)]
    return []


def _verb_object(text: str) -> tuple[str, str] | None:
    """`looks up a user` -> (`look up`, `a user`); None for a text that does not begin with a known verb."""
    tokens = text.split()
    for size in (2, 1):
        verb = " ".join(tokens[:size])
        for form in (verb, verb.removesuffix("s"), verb.removesuffix("es")):
            if form in w.VERBS:
                return form, " ".join(tokens[size:])
    return None


@functools.cache
def _options(grammar: str) -> tuple[str, ...]:
    return tuple(grammar.split("|"))


class Scene:
    """The data at hand while one flow is written, and draws from it."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world, self.rng = world, rng
        self.records: list[Record] = []
        self.people: list[Said] = []
        self.texts: list[Said] = []
        self.numbers: list[Said] = []
        self.tests: list[Test] = []
        self.files: dict[str, str] = {}
        self.now = ""

    # ---- drawing -------------------------------------------------------------------------------------------------

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.rng.random() * len(options))]

    def say(self, grammar: str, **slots: str) -> str:
        """One of the alternatives of a constant grammar (`tell {who}|let {who} know`), its slots filled."""
        options = _options(grammar)
        chosen = options[int(self.rng.random() * len(options))]
        return chosen.format_map(slots) if slots else chosen

    def keep(self) -> tuple[list[Record], list[Said], list[Said], list[Said], list[Test]]:
        """The data at hand, to come back to with `restore`."""
        return list(self.records), list(self.people), list(self.texts), list(self.numbers), list(self.tests)

    def restore(self, kept: tuple[list[Record], list[Said], list[Said], list[Said], list[Test]]) -> None:
        self.records, self.people, self.texts, self.numbers, self.tests = kept

    def table(self) -> str:
        return self.pick(self.world.tables) if self.world.tables else ""

    # ---- records -------------------------------------------------------------------------------------------------

    def record(self, name: str = "") -> Record | None:
        """The record most likely meant: one of a table of that name, else mostly the first (of the trigger or loop)."""
        if not self.records:
            return None
        for record in reversed(self.records):
            if name and (name == record.table or name == record.noun.rpartition(" ")[2]):
                return record
        return self.records[0] if self.chance(0.8) else self.pick(self.records)

    def call(self, record: Record) -> str:
        """What to call it in a sentence: the first record also "it", any other only by its noun."""
        return self.pick((record.noun, record.noun, "it", "it")) if record is self.records[0] else record.noun

    def of(self, record: Record, preposition: str = "of|for|for") -> str:
        """ " of the order": left out half of the time where it can only be the first record."""
        if record is self.records[0] and self.chance(0.75):
            return ""
        return f" {self.say(preposition)} {self.call(record)}"

    def add_record(self, reference: str, table: str, noun: str = "") -> None:
        """Make a record available, with its people, texts and numbers."""
        noun = noun or f"the {self.world.label(table)}"
        if any(noun == record.noun for record in self.records):
            noun = noun.replace("the ", "the new ", 1)
        self.records.append(Record(reference, table, noun))
        people = self.world.people
        for column, label in people.get(table, ())[:3]:
            self.people.append(Said(f"{{{{{reference}.{column}}}}}", self.belonging(label, noun)))
        for column, definition in self.world.columns.get(table, ())[:12]:
            value, label = f"{{{{{reference}.{column}}}}}", self.world.column(table, column)
            if definition.type == "string":
                self.texts.append(Said(value, self.belonging(label, noun)))
            elif definition.type in ("integer", "float"):
                self.numbers.append(Said(value, self.belonging(label, noun)))
            elif (
                definition.reference
                and people.get(definition.reference)
                and definition.reference != "sys_user"
                and self.chance(0.35)
            ):
                further, who = people[definition.reference][0]
                self.people.append(Said(value.replace("}}", f".{further}}}}}"), f"the {who} of the {label}"))

    def belonging(self, label: str, noun: str) -> str:
        """`the owner`, `its owner`, `the asset's owner`: what belongs to the record called `noun`."""
        if len(self.records) > 1 or label.startswith("one who"):
            return f"the {label} of {noun}" if self.chance(0.4) else f"the {label}"
        return self.say("the {l}|the {l}|the {l}|its {l}|{n}'s {l}|the {l} of {n}", l=label, n=noun)

    # ---- people --------------------------------------------------------------------------------------------------

    def person(self, *, groups: bool = True) -> Said:
        """Somebody to tell or ask: from the data, a group, a name or an address."""
        draw = self.rng.random()
        if self.people and draw < 0.52:
            person = self.pick(self.people[-6:])
            if person.value.count(".") >= 2 and self.chance(0.15):
                words = self.say("the manager of {who}|the boss of {who}", who=person.words)
                return Said(person.value.replace("}}", ".manager}}"), words)
            return person
        if groups and draw < 0.93:
            return self.group()
        name = f"{self.pick(w.FIRST_NAMES)} {self.pick(w.LAST_NAMES)}"
        if self.chance(0.7):
            return Said(name, name)
        address = f"{name.lower().replace(' ', '.')}@{self.pick(w.PLACES).lower()}.example"
        return Said(address, address)

    def group(self) -> Said:
        name = self.pick(self.world.groups)
        return Said(name, self.say("{name}|{name}|{name}|the {name}", name=name))
