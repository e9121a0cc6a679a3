"""What a generated flow talks about: the catalogue made quick to draw from, the data at hand, conditions and values.

Everything drawn is a pair of what the flow holds and how a person would say it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar

from flowstudy.corpus.synthesis import words as w
from flowstudy.flows.catalogue import Catalogue, ColumnDef, StepDef

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


class Condition(NamedTuple):
    """One clause of a query (`field`, then `rest`) and its words: as a clause, before a noun, after a noun."""

    field: str
    rest: str
    clause: str
    before: str
    after: str


class Card(NamedTuple):
    """An action or subflow: verb and object of its name and of its description."""

    category: str
    key: str
    scope: str
    definition: str
    step: StepDef
    phrases: tuple[tuple[str, str], ...]
    needs_record: bool


class World:
    """A catalogue, sorted for drawing. Works for any catalogue, also for one without tables or descriptions."""

    def __init__(self, catalogue: Catalogue) -> None:
        self.catalogue = catalogue
        self.labels = {name: (t.label or name.replace("_", " ")).lower() for name, t in catalogue.tables.items()}
        usable = [name for name, t in catalogue.tables.items() if t.columns]
        own = [name for name in usable if not name.startswith(_PLATFORM) and name != "task"]
        self.tables = own * 4 + usable
        self.columns = {n: list(t.columns.items()) for n, t in catalogue.tables.items()}
        self.askable = {n: [(c, d) for c, d in items if c != "number"] for n, items in self.columns.items()}
        self.people = {n: [c for c, d in items if d.reference == "sys_user"] for n, items in self.columns.items()}
        self.groups = catalogue.groups or ["Operations"]
        steps = [("action", n, s) for n, s in catalogue.actions.items()] + [
            ("subflow", n, s) for n, s in catalogue.subflows.items()
        ]
        self.cards = [_card(category, name, step) for category, name, step in steps]
        self.by_key = {card.key: card for card in self.cards}
        self.triggers = list(catalogue.triggers)

    def label(self, table: str) -> str:
        return self.labels.get(table, table.replace("_", " ") or "record")


def _card(category: str, name: str, step: StepDef) -> Card:
    scope, dot, definition = name.rpartition(".")
    phrases = [_verb_object(definition.replace("_", " ").replace("-", " ").lower())]
    if step.description:
        first, _, rest = step.description.partition(" ")
        about = f"{first.lower() if first[1:].islower() or len(first) == 1 else first} {rest}".strip(" .")
        phrases += [_verb_object(about)] * 2
        for cut in (" with ", " and ", " by ", " from ", " that ", ", ", " for "):
            if cut in about and len(about.partition(cut)[0].split()) >= 2:
                phrases.append(_verb_object(about.partition(cut)[0]))
                break
    needs = any(d.required and d.type == "record" for d in step.inputs.values())
    return Card(category, name, scope if dot else "global", definition, step, tuple(phrases), needs)


def _verb_object(text: str) -> tuple[str, str]:
    """`looks up a user` -> (`look up`, `a user`); a text without a known verb is something to run."""
    tokens = text.split()
    for size in (2, 1):
        verb = " ".join(tokens[:size])
        for form in (verb, verb.removesuffix("s"), verb.removesuffix("es")):
            if form in w.SYNONYMS or (size == 1 and form in w.IRREGULAR):
                return form, " ".join(tokens[size:])
    if len(tokens) > 1 and len(tokens[0]) > 2 and tokens[0].isalpha():
        return tokens[0].removesuffix("s") if tokens[0].endswith("s") and not tokens[0].endswith("ss") else tokens[
            0
        ], " ".join(tokens[1:])
    return "run", f"the {text}"


class Scene:
    """The data at hand while one flow is written, and draws from it."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world, self.rng = world, rng
        self.records: list[Record] = []
        self.people: list[Said] = []
        self.texts: list[Said] = []
        self.now = ""

    # ---- drawing -------------------------------------------------------------------------------------------------

    def chance(self, share: float) -> bool:
        return self.rng.random() < share

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.rng.random() * len(options))]

    def table(self) -> str:
        return self.pick(self.world.tables) if self.world.tables else ""

    def record(self, name: str = "") -> Record | None:
        """The record most likely meant: one of a table of that name, else mostly the first (of the trigger or loop)."""
        if not self.records:
            return None
        for record in reversed(self.records):
            if name and (name == record.table or name == record.noun.rpartition(" ")[2]):
                return record
        return self.records[0] if self.chance(0.8) else self.pick(self.records)

    def call(self, record: Record, *, silent: bool = False) -> str:
        """What to call it: the first record also "it" (or, with `silent`, nothing), any other only by its noun."""
        if record is not self.records[0]:
            return record.noun
        return (
            self.pick(("", record.noun, "it")) if silent else self.pick((record.noun, record.noun, "it", "the record"))
        )

    def add_record(self, reference: str, table: str, noun: str = "") -> None:
        """Make a record available, with its people and texts."""
        noun = noun or f"the {self.world.label(table)}"
        if any(noun == record.noun for record in self.records):
            noun = noun.replace("the ", "the new ", 1)
        self.records.append(Record(reference, table, noun))
        for column in self.world.people.get(table, ())[:3]:
            label = _label(self.world, table, column)
            self.people.append(Said(f"{{{{{reference}.{column}}}}}", f"the {label}"))
        for column, definition in self.world.columns.get(table, ())[:8]:
            if definition.type in ("string", "integer"):
                self.texts.append(Said(f"{{{{{reference}.{column}}}}}", f"the {_label(self.world, table, column)}"))

    # ---- values --------------------------------------------------------------------------------------------------

    def person(self, *, groups: bool = True) -> Said:
        """Somebody to tell or ask: from the data, a group, a name or an address."""
        draw = self.rng.random()
        if self.people and draw < 0.5:
            person = self.pick(self.people[-6:])
            if self.chance(0.2) and "." in person.value:
                noun = person.words.removeprefix("the ")
                words = self.pick((f"the {noun}'s manager", f"the manager of the {noun}", f"{noun}'s boss"))
                return Said(person.value.replace("}}", ".manager}}"), words)
            return person
        if groups and draw < 0.8:
            return self.group()
        name = f"{self.pick(w.FIRST_NAMES)} {self.pick(w.LAST_NAMES)}"
        if draw < 0.93:
            return Said(name, name)
        address = f"{name.lower().replace(' ', '.')}@{self.pick(w.PLACES).lower()}.example"
        return Said(address, address)

    def group(self) -> Said:
        name = self.pick(self.world.groups)
        return Said(name, self.pick((name, name, f"the {name}", f"the {name} team", f"group {name}")))

    def duration(self) -> Said:
        count = int(self.rng.random() ** 2 * 44) + 1
        unit = self.pick(("minute", "hour", "hour", "day", "day", "week", "business day"))
        text = f"{count} {unit}{'s' if count > 1 else ''}"
        return Said(text, text)

    def date(self) -> Said:
        if self.now and self.chance(0.3):
            return Said(f"{{{{{self.now}}}}}", self.pick(("now", "today", "right away")))
        month = self.pick(w.MONTHS)
        day, year = int(self.rng.random() * 28) + 1, int(self.rng.random() * 6) + 2026
        text = self.pick(
            (f"{day} {month}", f"{day} {month} {year}", f"{year}-{int(self.rng.random() * 12) + 1:02d}-{day:02d}")
        )
        return Said(text, text)

    def time(self) -> str:
        hour, minute = int(self.rng.random() * 24), self.pick(("00", "00", "30", "15", "45"))
        return self.pick(
            (
                f"{hour:02d}:{minute}",
                f"{hour}:{minute}",
                f"{hour % 12 + 1}{self.pick(('am', 'pm'))}",
                f"{hour % 12 + 1} {self.pick(('am', 'pm'))}",
            )
        )

    def number(self) -> str:
        return str(int(10 ** (self.rng.random() * 3.2)))

    def thing(self) -> str:
        return self.pick(w.THINGS) if self.chance(0.8) else w.invented_word(self.rng)

    def message(self) -> str:
        """A short text as people put it in messages; millions of them."""
        thing = f"{self.pick(w.QUALITIES)} {self.thing()}" if self.chance(0.4) else self.thing()
        note, draw = self.pick(w.ADJECTIVE_NOTES), self.rng.random()
        if draw < 0.45:
            text = f"{self.pick(w.OPENERS)} {thing} is {note}"
        elif draw < 0.7:
            text = f"{thing.capitalize()} {self.pick(('is', 'was', 'still', 'not', 'now', 'may be', 'got'))} {note}"
        else:
            verb, which = self.pick(tuple(w.SYNONYMS)), self.pick(("the", "your", "this", "every"))
            text = f"{self.pick(w.OPENERS)} {verb} {which} {thing}"
        return f"{text}, {self.pick(w.CLOSERS)}" if self.chance(0.35) else text

    def name(self) -> str:
        """A proper name: product, template, service, document."""
        draw = self.rng.random()
        first = self.thing().title()
        if draw < 0.3:
            return first
        if draw < 0.65:
            return f"{self.pick(w.QUALITIES).title()} {first.lower() if self.chance(0.5) else first}"
        if draw < 0.8:
            return f"{first} {self.thing().title()}"
        return f"{''.join(self.pick('ABCDEFGHKLMNPRSTVWXZ') for _ in range(2))}-{int(self.rng.random() * 9000) + 100}"

    def text(self, *, message: bool) -> Said:
        """A string input: mostly quoted words, sometimes data of a record or an earlier step."""
        if self.texts and self.chance(0.22):
            return self.pick(self.texts[-8:])
        value = self.message() if message else self.name()
        quotes = ('"{}"', '"{}"', '"{}"', "'{}'", "“{}”") if message else ('"{}"', "{}", "{}", "{}", "'{}'")
        return Said(value, self.pick(quotes).format(value))

    # ---- conditions ----------------------------------------------------------------------------------------------

    def condition(self, table: str, *, change: bool = False) -> Condition | None:
        """A clause on a column of the table; with `change`, one that the column comes to fulfil."""
        columns = self.world.askable.get(table)
        if not columns:
            return None
        for _ in range(4):
            column, definition = columns[int(self.rng.random() * len(columns))]
            found = self._on(column, definition, change)
            if found is not None:
                return found
        return None

    def _on(self, column: str, definition: ColumnDef, change: bool) -> Condition | None:
        label = (definition.label or column.replace("_", " ")).lower()
        if definition.choices:
            return self._choice(column, label, definition, change)
        if definition.type == "boolean":
            return self._boolean(column, label, change)
        if change:
            return Condition(column, "VALCHANGES", f"the {label} changes", "", f"whose {label} changes")
        if definition.type in ("integer", "float"):
            return self._number(column, label)
        if definition.reference == "sys_user_group" and self.chance(0.6):
            group = self.pick(self.world.groups)
            return Condition(
                column,
                f"={group}",
                f"the {label} is {group}",
                "",
                self.pick((f"of {group}", f"with {label} {group}", f"assigned to {group}")),
            )
        if definition.reference:
            empty = self.chance(0.65)
            clause = (
                self.pick((f"there is no {label}", f"the {label} is empty", f"it has no {label}"))
                if empty
                else f"it has a {label}"
            )
            after = (
                self.pick((f"without {label}", f"with no {label}", f"that has no {label}"))
                if empty
                else f"that has a {label}"
            )
            return Condition(column, "ISEMPTY" if empty else "ISNOTEMPTY", clause, "", after)
        if definition.type == "date":
            if not self.now:
                return None
            return Condition(
                column,
                f"<{{{{{self.now}}}}}",
                f"the {label} is over",
                "",
                self.pick((f"whose {label} is in the past", f"with {label} in the past", f"whose {label} has passed")),
            )
        if definition.type == "string":
            return self._string(column, label)
        return None

    def _choice(self, column: str, label: str, definition: ColumnDef, change: bool) -> Condition:
        value = self.pick(list(definition.choices))
        said = definition.choices[value]
        said = said.lower() if self.chance(0.7) else said
        if change:
            clause = self.pick(
                (
                    f"the {label} changes to {said}",
                    f"its {label} becomes {said}",
                    f"the {label} goes to {said}",
                    f"{label} turns {said}",
                    f"{label} is set to {said}",
                )
            )
            after = self.pick(
                (
                    f"that goes to {said}",
                    f"that becomes {said}",
                    f"whose {label} changes to {said}",
                    f"that is {said}",
                    f"moved to {said}",
                )
            )
            return Condition(column, f"CHANGESTO{value}", clause, "", after)
        if self.chance(0.1):
            return Condition(
                column,
                f"!={value}",
                self.pick((f"the {label} is not {said}", f"{label} isn't {said}")),
                f"not {said}",
                f"whose {label} is not {said}",
            )
        if len(definition.choices) > 3 and self.chance(0.06):
            other = self.pick([v for v in definition.choices if v != value])
            both = f"{said} or {definition.choices[other].lower()}"
            return Condition(column, f"IN{value},{other}", f"the {label} is {both}", both, f"with {label} {both}")
        clause = self.pick(
            (
                f"the {label} is {said}",
                f"{label} is {said}",
                f"its {label} is {said}",
                f"{label} = {said}",
                f"it is {said}",
                f"it's a {said} one",
            )
        )
        before = self.pick((said, said, f"{said} {label}", f"{said}-{label}"))
        after = self.pick(
            (
                f"with {label} {said}",
                f"with {said} {label}",
                f"whose {label} is {said}",
                f"that is {said}",
                f"({label}: {said})",
                f"with {label} = {said}",
                f"in {label} {said}",
            )
        )
        return Condition(column, f"={value}", clause, before, after)

    def _boolean(self, column: str, label: str, change: bool) -> Condition:
        yes = self.chance(0.7)
        value, no = ("true", "") if yes else ("false", "not ")
        if change:
            return Condition(
                column,
                f"CHANGESTO{value}",
                f"{label} goes to {value}",
                "",
                f"that becomes {no}{label}" if yes else f"that is no longer {label}",
            )
        return Condition(
            column,
            f"={value}",
            f"it is {no}{label}",
            f"{no}{label}" if yes else "",
            self.pick((f"that is {no}{label}", f"marked as {no}{label}", f"with {label} = {value}")),
        )

    def _number(self, column: str, label: str) -> Condition:
        sign, said = self.pick(
            (
                (">", "above"),
                (">", "more than"),
                (">", "over"),
                ("<", "below"),
                ("<", "less than"),
                ("<", "under"),
                (">=", "at least"),
                ("<=", "at most"),
                ("=", "exactly"),
            )
        )
        number = self.number()
        return Condition(
            column,
            f"{sign}{number}",
            self.pick((f"the {label} is {said} {number}", f"{label} is {said} {number}", f"{label} {sign} {number}")),
            "",
            self.pick(
                (f"with {label} {said} {number}", f"whose {label} is {said} {number}", f"with {said} {number} {label}")
            ),
        )

    def _string(self, column: str, label: str) -> Condition:
        sign, said = self.pick((("LIKE", "contains"), ("LIKE", "mentions"), ("=", "is"), ("STARTSWITH", "starts with")))
        value = self.thing() if sign == "LIKE" else self.name()
        shown = f'"{value}"' if self.chance(0.5) else value
        return Condition(column, f"{sign}{value}", f"the {label} {said} {shown}", "", f"whose {label} {said} {shown}")

    def conditions(self, table: str, most: int = 2, *, change: bool = False) -> list[Condition]:
        """One to `most` clauses on different columns; none where the table has nothing to ask."""
        found: list[Condition] = []
        for number in range(1 if self.chance(0.7) else most):
            one = self.condition(table, change=change and number == 0)
            if one is not None and all(one.field != other.field for other in found):
                found.append(one)
        return found

    def noun_phrase(self, table: str, found: list[Condition], *, many: bool = False, start: str = "a") -> str:
        """`all critical incidents with no caller`, `a draft contract`."""
        noun = self.world.label(table)
        noun = w.plural(noun) if many else noun
        if self.chance(0.06):
            noun = f"#{table}"
        before: list[str] = []
        after: list[str] = []
        for one in found:
            if one.before and not before and self.chance(0.55):
                before.append(one.before)
            else:
                after.append(one.after)
        text = " ".join([*before, noun, " and ".join(after)]).strip()
        return f"{start} {text}".strip() if many or start != "a" else w.article(text)

    def assignment(self, table: str, taken: set[str]) -> tuple[str, Said, str] | None:
        """A column with the value that it gets: (column, value and words, label)."""
        columns = [(c, d) for c, d in self.world.askable.get(table, ()) if c not in taken and d.type != "date"]
        if not columns:
            return None
        column, definition = columns[int(self.rng.random() * len(columns))]
        label = (definition.label or column.replace("_", " ")).lower()
        if definition.choices:
            value = self.pick(list(definition.choices))
            said = definition.choices[value]
            return column, Said(value, said.lower() if self.chance(0.7) else said), label
        if definition.type == "boolean":
            value = self.pick(("true", "true", "false"))
            return column, Said(value, value if self.chance(0.6) else {"true": "yes", "false": "no"}[value]), label
        if definition.type in ("integer", "float"):
            value = self.number()
            return column, Said(value, value), label
        if definition.reference == "sys_user_group":
            return column, self.group(), label
        if definition.reference == "sys_user":
            return column, self.person(), label
        if definition.reference:
            record = self.record(definition.reference)
            return (column, Said(f"{{{{{record.reference}}}}}", record.noun), label) if record else None
        return column, self.text(message="description" in column or "note" in column or "comment" in column), label


def _label(world: World, table: str, column: str) -> str:
    definition = world.catalogue.tables[table].columns[column]
    return (definition.label or column.replace("_", " ")).lower()


def join_conditions(found: list[Condition], prefix: str = "") -> str:
    """The encoded query of some clauses; with `prefix` (`trigger.record`), on the data of that record."""
    return "^".join((f"{{{{{prefix}.{c.field}}}}}" if prefix else c.field) + c.rest for c in found)
