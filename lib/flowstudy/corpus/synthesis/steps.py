"""Steps with their inputs and the words that ask for them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from flowstudy.corpus.synthesis import conditions, values
from flowstudy.corpus.synthesis import words as w
from flowstudy.corpus.synthesis.phrases import PHRASES, Variant
from flowstudy.corpus.synthesis.scene import Card, Record, Said, Scene
from flowstudy.flows.catalogue import InputDef

Inputs = list[tuple[str, str]]
_MESSAGES: Final = w.bag(
    "message text body note comment reason notes subject description short_description question answer instruction"
)
_GIVING: Final = w.bag("give issue award assign grant create add credit send order book reserve offer pay "
                        "enrol prepare provision make schedule ship deliver")  # fmt: skip
_MADE: Final = w.bag("create open raise add order book reserve issue request schedule generate draft "
                      "plan start submit log make send prepare publish print")  # fmt: skip
#: First words of an object that take no article.
_BARE: Final = w.bag(
    "a an the all every another how what whether up out in down off over back from to of on by data money payroll "
    "software catering access mail days and employment people costs parts whoever best likelihood risk latest"
)


class Clause(NamedTuple):
    """`verb obj tail`: "send", "an e-mail", " to Ann". Without a verb, `obj` is a clause as it stands.

    `told`: a sentence with a subject of its own that says the same; `note`: words without a verb. Both may be "".
    """

    verb: str
    obj: str
    tail: str = ""
    told: str = ""
    note: str = ""


class Told(NamedTuple):
    """A step: inputs and words."""

    inputs: Inputs
    clause: Clause


def tell_step(scene: Scene, card: Card) -> Told | None:
    """The step with inputs from the data at hand; None when it needs a record and there is none."""
    teller = _TELLERS.get(card.key)
    variants = PHRASES.get(card.key)
    if teller is not None:
        told = teller(scene, card)
    else:
        told = (
            _tell_phrase(scene, card, variants[int(scene.rng.random() ** 2 * len(variants))])
            if variants
            else _tell_any(scene, card)
        )
    if told is None or not all(name in card.step.inputs for name, _ in told.inputs):
        return None
    return told


def clause(grammar: str, scene: Scene, told: str = "", note: str = "", **slots: str) -> Clause:
    """A clause out of grammars, see `phrases`."""
    verb, obj, tail = scene.say(grammar, **slots).split("~")
    return Clause(verb, obj, tail, told and scene.say(told, **slots), note and scene.say(note, **slots))


def _ref(record: Record) -> str:
    return f"{{{{{record.reference}}}}}"


# ---- any step --------------------------------------------------------------------------------------------------------


def _tell_phrase(scene: Scene, card: Card, variant: Variant) -> Told | None:
    """A step that `phrases` knows."""
    inputs: Inputs = []
    slots: dict[str, str] = {"of": ""}
    for name, definition in card.step.inputs.items():
        if not (definition.required or name in variant.inputs):
            continue
        said = value(scene, name, definition)
        if said is None:
            return None
        inputs.append((name, said.value))
        slots[name] = said.words
        if definition.type == "record":
            record = next((r for r in scene.records if _ref(r) == said.value), None)
            slots["of"] = scene.of(record) if record else ""
            slots[name] = scene.call(record) if record else said.words
    if not variant.inputs <= {*slots}:
        return None
    return Told(inputs, clause(variant.do, scene, variant.told, variant.note, **slots))


def _tell_any(scene: Scene, card: Card) -> Told | None:
    verb, obj = card.phrases[int(scene.rng.random() * len(card.phrases))]
    inputs: Inputs = []
    given: list[tuple[str, InputDef, Said]] = []
    for name, definition in card.step.inputs.items():
        if not (definition.required or scene.chance(0.25)):
            continue
        said = value(scene, name, definition)
        if said is not None:
            inputs.append((name, said.value))
            given.append((name, definition, said))
        elif definition.required:
            return None
    return Told(inputs, _ask_for(scene, card, verb, obj, given))


def _ask_for(scene: Scene, card: Card, verb: str, obj: str, given: list[tuple[str, InputDef, Said]]) -> Clause:
    """`verb obj` with the values behind it; a person who gets something may come first."""
    if verb == "run" or (card.category == "subflow" and scene.chance(0.5)):
        title = card.definition.replace("_", " ").lower()
        verb, obj = scene.say("run|start|do|launch|kick off"), f"the {title}"
    plain = verb
    verb = scene.pick(w.SYNONYMS.get(verb, (verb,))) if scene.chance(0.4) else verb
    tails = [mention(scene, name, definition, said, obj) for name, definition, said in given]
    first = next((n for n, (_, d, _) in enumerate(given) if d.type == "record"), None)
    last = obj.rpartition(" ")[2]
    if first is not None and given[first][2].words.rpartition(" ")[2] == last and scene.chance(0.7):
        obj, tails[first] = scene.pick((given[first][2].words, given[first][2].words, "it")), ""
    elif scene.chance(0.9):
        obj = _with_article(scene, obj)
    tail = "".join(tails)
    told = note = ""
    person = next((n for n, (_, d, _) in enumerate(given) if d.type == "user"), None)
    if person is not None and plain in _GIVING:
        rest = "".join(t for n, t in enumerate(tails) if n != person)
        who = given[person][2].words
        told = scene.say("{who} gets {obj}{rest}|{who} needs {obj}{rest}|{who} should get {obj}{rest}|"
                         "{obj} for {who}{rest}",
                         who=who, obj=obj, rest=rest)  # fmt: skip
    if plain in _MADE and obj != "it":
        bare = obj.removeprefix("a ").removeprefix("an ").removeprefix("the ")
        note = f"{bare}{tail}"
        told = told or (
            scene.say("{obj} is needed{rest}|we need {obj}{rest}", obj=obj, rest=tail) if scene.chance(0.4) else ""
        )
    return Clause(verb, obj, tail, told, note)


def _with_article(scene: Scene, obj: str) -> str:
    tokens = obj.split()
    if not tokens or tokens[0] in _BARE or w.is_plural(obj):
        return obj
    return w.article(obj) if scene.chance(0.5) else f"the {obj}"


def value(scene: Scene, name: str, definition: InputDef) -> Said | None:
    """A value for an input, by its type and name; None where nothing at hand fits."""
    kind = definition.type
    if definition.choices:
        choice = scene.pick(definition.choices)
        if choice.isdigit():
            return Said(choice, _rank(scene, choice, name, definition))
        return Said(choice, choice.replace("_", " ") if scene.chance(0.85) else choice)
    if kind == "record" and name in _FILES:
        file = scene.files.get(name)
        return Said(f"{{{{{file}}}}}", _FILES[name]) if file else None
    if kind == "record":
        record = scene.record(name)
        return Said(_ref(record), record.noun) if record else None
    if kind == "user":
        return scene.person(groups=name in ("to", "approver", "approvers", "cc") or scene.chance(0.1))
    if kind == "group":
        return scene.group()
    if kind in ("integer", "float"):
        return values.figure(scene)
    if kind == "duration":
        return values.duration(scene)
    if kind == "date":
        return values.date(scene)
    if kind == "boolean":
        return Said("true", "yes")
    if kind == "table":
        table = scene.table()
        return Said(table, scene.world.label(table)) if table else None
    if kind == "list":
        return scene.texts[-1] if scene.texts else None
    return values.text(scene, name, is_message=name in _MESSAGES) if kind == "string" else None


#: Records of the platform that no table holds, and what people call them.
_FILES: Final = {"email": "the e-mail", "attachment": "the file", "attachments": "the file"}
_RANKS: Final = re.compile(r"1 (\w+) to (\d) (\w+)")


def _rank(scene: Scene, choice: str, name: str, definition: InputDef) -> str:
    """A choice that is a number: `priority 2`, or by the ends of its scale (`1 critical to 4 low`) `critical`."""
    label = name.replace("_", " ")
    ends = _RANKS.match(definition.description)
    known = {"1": ends[1], ends[2]: ends[3]}.get(choice) if ends else None
    if known and scene.chance(0.75):
        return scene.say("{k} {l}|{l} {k}", k=known, l=label)
    return f"{label} {choice}"


def mention(scene: Scene, name: str, definition: InputDef, said: Said, obj: str) -> str:
    """How the value is mentioned after verb and object; a record is often left to be understood."""
    label, kind, words = name.replace("_", " ").lower(), definition.type, said.words
    say = scene.say
    if kind == "record":
        first = bool(scene.records) and said.value == _ref(scene.records[0])
        if first and (label in obj or scene.chance(0.5)):
            return ""
        return say(" for {r}| for {r}| of {r}| on {r}", r="it" if first and scene.chance(0.3) else words)
    if kind == "user":
        return say(" for {w}| for {w}| for {w}| to {w}| ({label}: {w})| with {w} as {label}", w=words, label=label)
    if kind == "group":
        return say(" to {w}| for {w}|, {label} {w}| with {w}", w=words, label=label)
    if definition.choices and said.value.isdigit():
        return say(", {w}| ({w})| with {w}", w=words)
    if definition.choices:
        return say(" ({w})| ({w})|, {w}|, {label} {w}| with {label} {w}| ({label} {w})| in {w}| {w}| as {w}|"
                   " with {w} {label}",
                   w=words, label=label)  # fmt: skip
    if kind == "duration":
        return say(" for {w}| within {w}| ({w})|, {label} {w}", w=words, label=label)
    if kind == "date":
        return say(" on {w}| from {w}|, {label} {w}| by {w}| ({w})", w=words, label=label)
    if kind in ("integer", "float") or words.isdigit():
        return say(
            " of {w}| with {label} {w}|, {label} {w}| ({w} {label})| for {w} {label}| ({label} {w})",
            w=words,
            label=label,
        )
    if kind == "table":
        return f" in {words}"
    if kind == "boolean":
        return f" ({label})"
    if name in _MESSAGES:
        return say(" {w}|, {w}|: {w}|, {label} {w}| with the {label} {w}| ({w})|, {label} {w}", w=words, label=label)
    return say(" {w}| {w}| {w}|, {label} {w}| ({w})| with {label} {w}| for {w}| ({label} {w})", w=words, label=label)


# ---- steps on records, by the names of the shipped core --------------------------------------------------------------


def _assignments(scene: Scene, table: str, most: int) -> tuple[str, list[str]] | None:
    """The encoded values of a new or changed record and one phrase for each."""
    taken: set[str] = set()
    query, phrases = [], []
    for _ in range(1 if scene.chance(0.5) else int(scene.rng.random() * most) + 1):
        found = conditions.assignment(scene, table, taken)
        if found is None:
            continue
        column, said, label = found
        taken.add(column)
        query.append(f"{column}={said.value}")
        if said.words.startswith('"') and scene.chance(0.7):
            phrases.append(said.words)
        else:
            phrases.append(scene.say("{label} {w}|{label} {w}|{label} = {w}|{label}: {w}|{w} {label}|{label} is {w}",
                                     label=label, w=said.words))  # fmt: skip
    return ("^".join(query), phrases) if query else None


def _listing(scene: Scene, phrases: list[str]) -> str:
    if len(phrases) == 1:
        return phrases[0]
    return ", ".join(phrases[:-1]) + scene.pick((" and ", ", ", " and ")) + phrases[-1]


def _create_record(scene: Scene, card: Card) -> Told | None:
    table = scene.table()
    given = _assignments(scene, table, 4) if table else None
    if given is None:
        return None
    noun = scene.world.label(table) if scene.chance(0.93) else f"#{table}"
    glue = scene.pick((" with ", " with ", ": ", " (", ", ", ", "))
    tail = f"{glue}{_listing(scene, given[1])}{')' if glue == ' (' else ''}"
    return Told([("table", table), ("values", given[0])],
                clause("create~{a}~{t}|open~{a}~{t}|add~{a}~{t}|raise~{a}~{t}|make~{a}~{t}|log~a new {noun}~{t}|"
                       "create~a new {noun}~{t}",
                       scene, "we need {a}{t}|there should be {a}{t}|{a} is opened{t}", "new {noun}{t}|{noun}{t}",
                       a=w.article(noun), noun=noun, t=tail))  # fmt: skip


def _create_task(scene: Scene, card: Card) -> Told | None:
    """A task with words on it, mostly for a group."""
    text = values.message(scene)
    shown = f'"{text}"'
    table = "task" if "task" in scene.world.catalogue.tables and scene.chance(0.9) else ""
    table = table or next((t for t in ("task", "sc_task") if t in scene.world.catalogue.tables), "")
    parent = scene.record()
    if not table:
        return _create_record(scene, card)
    inputs: Inputs = [("table", table)]
    if parent is not None:
        inputs.append(("parent", _ref(parent)))
    query, who = [f"short_description={text}"], ""
    if scene.chance(0.8):
        group = scene.chance(0.75)
        said = scene.group() if group else scene.person(groups=False)
        query.append(f"{'assignment_group' if group else 'assigned_to'}={said.value}")
        who = said.words
    inputs.append(("values", "^".join(query)))
    if not who:
        return Told(inputs, clause("create~a task~ {t}|add~the task~ {t}|open~a task~: {t}|make~a task~ {t}", scene,
                                   "there should be a task {t}|"
                                   "a task {t} is needed", "task {t}", t=shown))  # fmt: skip
    return Told(inputs, clause(
        "create~a task~ {t} for {who}|give~{who}~ a task {t}|open~a task~ for {who}, {t}|give~{who}~ the task {t}|"
        "make~a task~ {t} ({who})",
        scene, "{who} gets a task {t}|{who} gets the task {t}|{who} should get a task, {t}|"
               "it goes to {who} as a task {t}|"
        "a task for {who}, {t}", "task {t} for {who}|task for {who}: {t}|"
                                 "task {who} {t}", t=shown, who=who))  # fmt: skip


def _update_record(scene: Scene, card: Card) -> Told | None:
    record = scene.record()
    found = conditions.assignment(scene, record.table, set()) if record and record.table else None
    if record is None or found is None:
        return None
    noun = scene.call(record)
    column, said, label = found
    base: Inputs = [("table", record.table), ("record", _ref(record))]
    more = _assignments(scene, record.table, 3) if scene.chance(0.2) else None
    if more is not None and "^" in more[0]:
        return Told([*base, ("values", more[0])], clause("update~{r}~: {t}|change~{r}~: {t}|"
                                                         "set~{t}~ on {r}", scene, "",
                                                         "{t}", r=record.noun, t=_listing(scene,
                                                         more[1])))  # fmt: skip
    slots = {"r": noun, "n": record.noun, "w": said.words, "label": label}
    if column in ("assignment_group", "assigned_to"):
        found_words = clause("assign~{r}~ to {w}|route~{r}~ to {w}|give~{r}~ to {w}|hand over~{r}~ to {w}|"
                             "pass~{r}~ to {w}|"
                             "send~{r}~ to {w}", scene,
                             "{n} goes to {w}|{w} takes {r}|{w} should take {r}|{w} has to work on it|"
                             "{n} belongs to {w}",
                             "to {w}|goes to {w}", **slots)  # fmt: skip
    elif conditions.is_state(column):
        found_words = clause("set~{r}~ to {w}|put~{r}~ to {w}|mark~{r}~ as {w}|move~{r}~ to {w}|"
                             "set~the {label}~ to {w}|"
                             "set~{n}~ {w}|change~{n}~ to {w}|put~{n}~ back to {w}", scene,
                             "{n} is {w} then|{n} becomes {w}|{n} goes to {w}|{n} should be {w}|"
                             "{n} is set to {w}|{n} is {w} now",
                             "{w}|{label} {w}|-> {w}", **slots)  # fmt: skip
    elif said.words.startswith('"'):
        found_words = clause("write~{w}~ in the {label} of {n}|put~{w}~ in the {label}|set~the {label}~ to {w}|"
                             "fill~the {label}~ with {w}", scene, "the {label} is {w}", "{label} {w}",
                             **slots)  # fmt: skip
    else:
        found_words = clause("set~the {label} of {n}~ to {w}|set~{label}~ to {w}|change~the {label}~ to {w}|"
                             "update~the {label} of {n}~ to {w}|write~{w}~ as {label} on {n}", scene,
                             "the {label} is {w} then|{label} becomes {w}|{n} gets {label} {w}|"
                             "its {label} should be {w}",
                             "{label} {w}|{label} = {w}|{label} -> {w}", **slots)  # fmt: skip
    if record is not scene.records[0] and record.noun not in "".join(found_words[:3]):
        found_words = Clause("set", f"the {label} of {record.noun}", f" to {said.words}")
    return Told([*base, ("values", f"{column}={said.value}")], found_words)


def _look_up(scene: Scene, card: Card) -> Told | None:
    table = scene.table()
    found = conditions.conditions(scene, table, 3) if table else []
    if not found:
        return None
    many = card.key == "look_up_records"
    start = scene.pick(("all", "all", "the", "every one of the", "")) if many else scene.pick(("the", "a", "the"))
    noun = conditions.noun_phrase(scene, table, found, many=many, start=start)
    return Told([("table", table), ("conditions", conditions.join(found))],
                Clause(scene.say("find|find|look up|look for|get|fetch|search for|take"), noun))  # fmt: skip


def _wait_for(scene: Scene, card: Card) -> Told | None:
    record = scene.record()
    found = conditions.conditions(scene, record.table, 1) if record else []
    if record is None or not found:
        return None
    inputs: Inputs = [("record", _ref(record)), ("conditions", conditions.join(found))]
    tail = ""
    if scene.chance(0.35):
        limit = values.duration(scene)
        inputs.append(("timeout", limit.value))
        tail = scene.say(", at most {d}| (max {d})| for up to {d}|, no longer than {d}", d=limit.words)
    what = found[0].clause.format(it=record.noun)
    return Told(inputs, Clause("wait", "", f"{scene.say(' until | till | until ')}{what}{tail}"))


_TELLERS: Final[dict[str, Callable[[Scene, Card], Told | None]]] = {
    "create_record": _create_record, "create_task": _create_task, "update_record": _update_record,
    "look_up_record": _look_up, "look_up_records": _look_up, "wait_for_condition": _wait_for,
}  # fmt: skip
#: How often platform steps are drawn against steps of the environment.
WEIGHTS: Final = {
    "create_record": 2, "create_task": 8, "update_record": 20, "look_up_record": 4, "look_up_records": 2,
    "ask_for_approval": 4, "send_email": 6, "send_sms": 3, "send_notification": 18, "post_chat_message": 3,
    "add_comment": 4, "add_work_note": 4, "wait_for_condition": 3,
}  # fmt: skip
