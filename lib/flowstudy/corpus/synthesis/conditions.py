"""Conditions on the columns of a table, the noun phrases that they make, and new values for columns."""

from __future__ import annotations

from typing import Final, NamedTuple

from flowstudy.corpus.synthesis import values
from flowstudy.corpus.synthesis import words as w
from flowstudy.corpus.synthesis.scene import Said, Scene
from flowstudy.flows.catalogue import ColumnDef

#: Columns that say how far a record has come: people name the value and not the column.
_STATES: Final = w.bag("state status stage result outcome phase workflow_state approval")
_KINDS: Final = w.bag("kind type category class trade channel tier level grade")
_COMPARE: Final = (
    (">", "above"), (">", "more than"), (">", "over"), (">", "greater than"), (">", ">"), ("<", "below"),
    ("<", "less than"), ("<", "under"), ("<", "<"), (">=", "at least"), ("<=", "at most"), ("=", "exactly"),
)  # fmt: skip


class Condition(NamedTuple):
    """One clause of a query (`field`, then `rest`) and its words: as a clause, before a noun, after a noun.

    `{it}` in a clause is the record. `state` is the bare value of a state that a record comes to have.
    """

    field: str
    rest: str
    clause: str
    before: str
    after: str
    state: str = ""


def condition(scene: Scene, table: str, *, change: bool = False) -> Condition | None:
    """A clause on a column of the table; with `change`, one that the column comes to fulfil, mostly a state."""
    columns = scene.world.askable.get(table)
    if not columns:
        return None
    for attempt in range(5):
        column, definition = columns[int(scene.rng.random() * len(columns))]
        if change and attempt < 3 and (column not in _STATES or not definition.choices):
            continue
        found = _on(scene, table, column, definition, change)
        if found is not None:
            return found
    return None


def conditions(scene: Scene, table: str, most: int = 2, *, change: bool = False) -> list[Condition]:
    """One to `most` clauses on different columns; none where the table has nothing to ask."""
    found: list[Condition] = []
    for number in range(1 if scene.chance(0.65) else most):
        one = condition(scene, table, change=change and number == 0)
        if one is not None and all(one.field != other.field for other in found):
            found.append(one)
    return found


def compare(scene: Scene) -> tuple[str, str]:
    """An operator and its words."""
    return scene.pick(_COMPARE)


def join(found: list[Condition], prefix: str = "") -> str:
    """The encoded query of some clauses; with `prefix` (`trigger.record`), on the data of that record."""
    return "^".join((f"{{{{{prefix}.{c.field}}}}}" if prefix else c.field) + c.rest for c in found)


def noun_phrase(scene: Scene, table: str, found: list[Condition], *, many: bool = False, start: str = "a") -> str:
    """`all critical incidents with no caller`, `a draft contract`."""
    noun = scene.world.label(table)
    noun = w.plural(noun) if many else noun
    if scene.chance(0.06):
        noun = f"#{table}" if scene.chance(0.6) or many else f"#{table} record"
    before: list[str] = []
    after: list[str] = []
    for one in found:
        if one.before and not before and scene.chance(0.65):
            before.append(one.before)
        else:
            after.append(
                one.after.replace("that has", "that have")
                .replace("that is", "that are")
                .replace("which is", "which are")
                if many
                else one.after
            )
    behind = " and ".join(after)
    behind = behind.replace("that ", "which ") if scene.chance(0.25) else behind
    text = " ".join([*before, noun, behind]).strip()
    return f"{start} {text}".strip() if many or start != "a" else w.article(text)


def _on(scene: Scene, table: str, column: str, definition: ColumnDef, change: bool) -> Condition | None:
    label = scene.world.column(table, column)
    if definition.choices:
        return _choice(scene, column, label, definition, change)
    if definition.type == "boolean":
        return _boolean(scene, column, label, change)
    if change:
        return Condition(column, "VALCHANGES", f"the {label} changes", "", f"whose {label} changes")
    if definition.type in ("integer", "float"):
        sign, said = compare(scene)
        limit = values.number(scene)
        return Condition(column, f"{sign}{limit}",
                         scene.say("the {label} is {said} {n}|{label} {said} {n}|{label} is {said} {n}",
                                   label=label, said=said, n=limit), "",
                         scene.say("with {label} {said} {n}|with {label} {said} {n}|with {said} {n} {label}|"
                                   "({label} {said} {n})",
                                   label=label, said=said, n=limit))  # fmt: skip
    if definition.reference:
        return _reference(scene, column, label, definition)
    if definition.type == "date":
        if not scene.now or label.endswith(("ed", "begin", "arrival", "start")):
            return None
        return Condition(column, f"<{{{{{scene.now}}}}}", f"the {label} is over", "",
                         scene.say("whose {label} is in the past|with {label} in the past|whose {label} has passed|"
                                   "past their {label}", label=label))  # fmt: skip
    return _string(scene, column, label) if definition.type == "string" else None


def _choice(scene: Scene, column: str, label: str, definition: ColumnDef, change: bool) -> Condition:
    value = scene.pick(list(definition.choices))
    said = definition.choices[value]
    said = said.lower() if scene.chance(0.85) else said
    if change:
        return _becomes(scene, column, label, value, said)
    if scene.chance(0.08):
        return Condition(column, f"!={value}", scene.say("{{it}} is not {said}|{{it}} isn't {said}|"
                                                         "not {said}", said=said),
                         f"not {said}" if " " not in said else "", f"that is not {said}")  # fmt: skip
    if len(definition.choices) > 3 and scene.chance(0.07):
        other = scene.pick([v for v in definition.choices if v != value])
        both = f"{said} or {definition.choices[other].lower()}"
        return Condition(column, f"IN{value},{other}", f"{{it}} is {both}", both, f"that is {both}")
    if column in _STATES:
        return Condition(column, f"={value}", scene.say("{{it}} is {said}|{said}|{{it}} is {said}", said=said), said,
                         scene.say("that is {said}|which is {said}|in {label} {said}|"
                                   "({said})", said=said, label=label))  # fmt: skip
    if column in _KINDS or (value.isalpha() and scene.chance(0.3)):
        return Condition(column, f"={value}",
                         scene.say("{{it}} is {said}|{label} is {said}|it's {said}|{label} {said}|it is a {said} one",
                                   said=said, label=label), said,
                         scene.say("of {label} {said}|({said})|with {label} {said}|"
                                   "({label} {said})", said=said, label=label))  # fmt: skip
    shown = value if value.isdigit() and scene.chance(0.25) else said
    before = f"{label} {shown}" if shown.isdigit() else f"{said} {label}" if scene.chance(0.5) else said
    clause = scene.say(
        "the {c} is {v}|{c} is {v}|{c} {v}|{{it}} has {c} {v}|{c} = {v}", v=shown, c=label
    )  # fmt: skip
    after = scene.say("with {c} {v}|with {v} {c}|({c} {v})|{c} {v}", v=shown, c=label)
    return Condition(column, f"={value}", clause, before, after)


def _becomes(scene: Scene, column: str, label: str, value: str, said: str) -> Condition:
    clause = scene.say("the {label} changes to {said}|its {label} becomes {said}|{{it}} goes to {said}|"
                       "{label} is set to {said}|"
                       "{{it}} becomes {said}", label=label, said=said)  # fmt: skip
    after = scene.say("that goes to {said}|that becomes {said}|whose {label} changes to {said}|moved to {said}|"
                      "set to {said}",
                      label=label, said=said)  # fmt: skip
    return Condition(column, f"CHANGESTO{value}", clause, "", after, state=said if column in _STATES else "")


def _reference(scene: Scene, column: str, label: str, definition: ColumnDef) -> Condition:
    if definition.reference == "sys_user_group" and scene.chance(0.6):
        group = scene.pick(scene.world.groups)
        return Condition(column, f"={group}", f"the {label} is {group}", "",
                         scene.say("of {group}|with {label} {group}|"
                                   "assigned to {group}", group=group, label=label))  # fmt: skip
    if scene.chance(0.7):
        return Condition(column, "ISEMPTY", scene.say("there is no {label}|the {label} is empty|"
                                                      "{{it}} has no {label}|no {label}",
                                                      label=label), "",
                         scene.say("without {label}|with no {label}|without {a}|"
                                   "with empty {label}", label=label, a=w.article(label)))  # fmt: skip
    return Condition(column, "ISNOTEMPTY", f"{{it}} has {w.article(label)}", "", f"that has {w.article(label)}")


def _boolean(scene: Scene, column: str, label: str, change: bool) -> Condition:
    yes = scene.chance(0.75)
    value, no = ("true", "") if yes else ("false", "not ")
    if change:
        return Condition(column, f"CHANGESTO{value}", f"{label} goes to {value}", "",
                         f"that becomes {label}" if yes else f"that is no longer {label}")  # fmt: skip
    return Condition(column, f"={value}", f"{{it}} is {no}{label}", f"{no}{label}" if yes or " " not in label else "",
                     scene.say("that is {no}{label}|marked as {no}{label}|"
                               "with {label} {value}", no=no, label=label, value=value)
                     if yes else scene.say("that is not {label}|with {label} false", label=label))  # fmt: skip


def _string(scene: Scene, column: str, label: str) -> Condition:
    sign, said = scene.pick((("LIKE", "contains"), ("LIKE", "mentions"), ("LIKE", "has"), ("=", "is"),
                             ("STARTSWITH", "starts with")))  # fmt: skip
    value = values.thing(scene) if sign == "LIKE" else values.name(scene)
    shown = f'"{value}"' if scene.chance(0.75) else value
    after = scene.say("whose {label} {said} {shown}|with {shown} in the {label}|"
                      "about {shown}", label=label, said=said,
                      shown=shown) if sign == "LIKE" else f"with {label} {shown}"  # fmt: skip
    if sign == "STARTSWITH":
        after = f"whose {label} starts with {shown}"
    return Condition(column, f"{sign}{value}", f"the {label} {said} {shown}", "", after)


def assignment(scene: Scene, table: str, taken: set[str]) -> tuple[str, Said, str] | None:
    """A column with the value that it gets: (column, value and words, label)."""
    columns = [(c, d) for c, d in scene.world.askable.get(table, ()) if c not in taken and d.type != "date"]
    if not columns:
        return None
    column, definition = columns[int(scene.rng.random() * len(columns))]
    if scene.chance(0.5):  # states, texts and assignments are what people change
        column, definition = next(((c, d) for c, d in columns if c in _STATES or c in _TOLD), (column, definition))
    label = scene.world.column(table, column)
    said = _new_value(scene, column, definition)
    return (column, said, label) if said else None


_TOLD: Final = ("short_description", "assignment_group")


def _new_value(scene: Scene, column: str, definition: ColumnDef) -> Said | None:
    if definition.choices:
        value = scene.pick(list(definition.choices))
        said = definition.choices[value]
        return Said(value, said.lower() if scene.chance(0.85) else said)
    if definition.type == "boolean":
        value = scene.pick(("true", "true", "false"))
        return Said(value, value if scene.chance(0.5) else {"true": "yes", "false": "no"}[value])
    if definition.type in ("integer", "float"):
        return values.figure(scene)
    if definition.reference == "sys_user_group":
        return scene.group()
    if definition.reference == "sys_user":
        return scene.person()
    if definition.reference:
        record = next((r for r in scene.records if r.table == definition.reference), None)
        return Said(f"{{{{{record.reference}}}}}", record.noun) if record else None
    told = ("description", "note", "comment", "reason", "cause", "subject")
    return values.text(scene, column, is_message=any(part in column for part in told))


def is_state(column: str) -> bool:
    """Whether a column says how far a record has come."""
    return column in _STATES
