"""Steps and triggers with their inputs and the words that ask for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from flowstudy.corpus.synthesis import words as w
from flowstudy.corpus.synthesis.scene import Card, Record, Said, Scene, join_conditions
from flowstudy.flows.catalogue import InputDef

Inputs = list[tuple[str, str]]
_CREATED: Final = (
    "is created", "is opened", "comes in", "is submitted", "is logged", "gets created", "is added", "arrives",
    "is raised",
)  # fmt: skip
_MAILED: Final = ("an e-mail arrives", "an email comes in", "a mail arrives", "we get a mail", "a message comes in")
_MESSAGES: Final = ("message", "text", "body", "note", "comment", "reason", "description", "notes", "subject", "title")


class Clause(NamedTuple):
    """`verb obj tail`: "send", "an e-mail", " to Ann". Without a verb, `obj` is a clause as it stands."""

    verb: str
    obj: str
    tail: str = ""


class Told(NamedTuple):
    """A step: inputs and words."""

    inputs: Inputs
    clause: Clause


def tell_step(scene: Scene, card: Card) -> Told | None:
    """The step with inputs from the data at hand; None when it needs a record and there is none."""
    teller = _TELLERS.get(card.key)
    told = teller(scene, card) if teller is not None else _tell_any(scene, card)
    if told is None or not all(name in card.step.inputs for name, _ in told.inputs):
        return None
    return told


def _ref(record: Record) -> str:
    return f"{{{{{record.reference}}}}}"


def _verb(scene: Scene, verb: str) -> str:
    return scene.pick(w.SYNONYMS.get(verb, (verb,))) if scene.chance(0.4) else verb


# ---- any step --------------------------------------------------------------------------------------------------------


def _tell_any(scene: Scene, card: Card) -> Told | None:
    verb, obj = card.phrases[int(scene.rng.random() * len(card.phrases))]
    inputs: Inputs = []
    tails: list[str] = []
    for name, definition in card.step.inputs.items():
        if not scene.chance(1.0 if definition.required else 0.4):
            continue
        said = _value(scene, name, definition)
        if said is None:
            if definition.required:
                return None
            continue
        inputs.append((name, said.value))
        tails.append(_mention(scene, name, definition, said, obj))
    verb = _verb(scene, verb)
    obj = _with_article(scene, obj)
    record = next((r for r in scene.records if any(v == _ref(r) for _, v in inputs)), None)
    if record is not None and obj in ("a record", "the record", "record"):
        obj, tails[0] = scene.call(record), ""
    return Told(inputs, Clause(verb, obj, "".join(tails)))


def _with_article(scene: Scene, obj: str) -> str:
    first = obj.partition(" ")[0]
    if (
        not obj
        or first in ("a", "an", "the", "all", "every", "another", "how", "what")
        or first.endswith("s")
        or scene.chance(0.15)
    ):
        return obj
    return w.article(obj) if scene.chance(0.5) else f"the {obj}"


def _value(scene: Scene, name: str, definition: InputDef) -> Said | None:
    kind = definition.type
    if definition.choices:
        value = scene.pick(definition.choices)
        return Said(value, value.replace("_", " ") if scene.chance(0.8) else value)
    if kind == "record":
        record = scene.record(name)
        return Said(_ref(record), record.noun) if record else None
    if kind == "user":
        return scene.person(groups=name in ("to", "approver", "approvers", "cc") or scene.chance(0.1))
    if kind == "group":
        return scene.group()
    if kind in ("integer", "float"):
        number = scene.number()
        return Said(number, number)
    if kind == "duration":
        return scene.duration()
    if kind == "date":
        return scene.date()
    if kind == "boolean":
        return Said("true", "yes")
    if kind == "table":
        table = scene.table()
        return Said(table, scene.world.label(table)) if table else None
    if kind == "list":
        return scene.texts[-1] if scene.texts else None
    if kind == "string":
        return scene.text(message=name in _MESSAGES)
    return None


def _mention(scene: Scene, name: str, definition: InputDef, said: Said, obj: str) -> str:
    """How the value is mentioned after verb and object; sometimes a record is left to be understood."""
    label, kind, words = name.replace("_", " ").lower(), definition.type, said.words
    if kind == "record":
        first = bool(scene.records) and said.value == _ref(scene.records[0])
        if first and (label in obj or scene.chance(0.5)):
            return ""
        return f" {scene.pick(('for', 'for', 'of', 'on'))} {'it' if first and scene.chance(0.3) else words}"
    if kind == "user":
        return scene.pick(
            (f" for {words}", f" for {words}", f" to {words}", f" ({label}: {words})", f" with {words} as {label}")
        )
    if kind == "group":
        return scene.pick((f" to {words}", f" for {words}", f", {label} {words}", f" with {words}"))
    if definition.choices:
        return scene.pick(
            (
                f" with {label} {words}",
                f" ({words})",
                f" ({label}: {words})",
                f", {label} {words}",
                f", {label} = {words}",
                f" as {words}",
                f" with {words} {label}",
                f" in {words}",
            )
        )
    if kind == "duration":
        return scene.pick((f" for {words}", f" within {words}", f" ({label} {words})", f", {label} {words}"))
    if kind == "date":
        return scene.pick((f" on {words}", f" ({label} {words})", f", {label} {words}", f" by {words}"))
    if kind in ("integer", "float"):
        return scene.pick(
            (
                f" with {label} {words}",
                f" ({label} {words})",
                f" with {words} {label}",
                f", {label} = {words}",
                f" ({words} {w.plural(label)})",
            )
        )
    if kind == "table":
        return f" in {words}"
    if kind == "boolean":
        return f" ({label})"
    if name in _MESSAGES and words[:1] in "\"'“":
        return scene.pick(
            (
                f" saying {words}",
                f" with the {label} {words}",
                f": {words}",
                f", {label} {words}",
                f" {words}",
                f" - {label}: {words}",
            )
        )
    return scene.pick(
        (
            f" with {label} {words}",
            f" {words}",
            f" ({label}: {words})",
            f", {label} {words}",
            f" called {words}",
            f" with the {label} {words}",
        )
    )


# ---- platform steps, by the names of the shipped core ----------------------------------------------------------------


def _assignments(scene: Scene, table: str, most: int) -> tuple[str, list[str]] | None:
    """The encoded values of a new or changed record and one phrase for each."""
    taken: set[str] = set()
    values, phrases = [], []
    for _ in range(1 if scene.chance(0.55) else int(scene.rng.random() * most) + 1):
        found = scene.assignment(table, taken)
        if found is None:
            continue
        column, said, label = found
        taken.add(column)
        values.append(f"{column}={said.value}")
        phrases.append(
            scene.pick(
                (
                    f"{label} {said.words}",
                    f"{label} {said.words}",
                    f"{label} = {said.words}",
                    f"{label}: {said.words}",
                    f"{said.words} as {label}",
                    f"the {label} {said.words}",
                )
            )
        )
    return ("^".join(values), phrases) if values else None


def _listing(scene: Scene, phrases: list[str]) -> str:
    if len(phrases) == 1:
        return phrases[0]
    return ", ".join(phrases[:-1]) + scene.pick((" and ", ", ", " and ")) + phrases[-1]


def _create_record(scene: Scene, card: Card) -> Told | None:
    table = scene.table()
    given = _assignments(scene, table, 4) if table else None
    if given is None:
        return None
    noun = scene.world.label(table) if scene.chance(0.9) else f"#{table}"
    parent = scene.record() if card.key == "create_task" else None
    inputs = [
        ("table", table),
        *([("parent", _ref(parent))] if parent and scene.chance(0.6) else []),
        ("values", given[0]),
    ]
    start = scene.pick((w.article(noun), w.article(noun), f"a new {noun}", f"{w.article(noun)} record"))
    mention = f" under {parent.noun}" if parent and len(inputs) == 3 else ""
    glue = scene.pick((" with ", " with ", ": ", " (", ", "))
    tail = f"{glue}{_listing(scene, given[1])}{')' if glue == ' (' else ''}"
    return Told(
        inputs, Clause(scene.pick(("create", "create", "open", "add", "raise", "make", "log")), start, mention + tail)
    )


def _update_record(scene: Scene, card: Card) -> Told | None:
    record = scene.record()
    if record is None or not record.table:
        return None
    noun = scene.call(record)
    found = scene.assignment(record.table, set())
    if found is None:
        return None
    column, said, label = found
    if scene.chance(0.3):
        more = _assignments(scene, record.table, 3)
        if more is not None and "^" in more[0]:
            clause = Clause(
                scene.pick(("update", "change", "edit")),
                noun,
                f"{scene.pick((': ', ' with ', ' to '))}{_listing(scene, more[1])}",
            )
            return Told([("table", record.table), ("record", _ref(record)), ("values", more[0])], clause)
    if column in ("assignment_group", "assigned_to"):
        clause = Clause(scene.pick(("assign", "route", "give", "hand over", "pass")), noun, f" to {said.words}")
    elif record is not scene.records[0]:
        clause = scene.pick(
            (
                Clause("set", f"the {label} of {record.noun}", f" to {said.words}"),
                Clause("mark", noun, f" as {said.words}"),
                Clause("change", f"the {label} of {record.noun}", f" to {said.words}"),
            )
        )
    else:
        clause = scene.pick((
            Clause("set", f"the {label}", f" to {said.words}"), Clause("set", f"{label}", f" to {said.words}"),
            Clause("change", f"the {label} of {record.noun}", f" to {said.words}"),
            Clause("put", f"the {label}", f" to {said.words}"), Clause("mark", noun, f" as {said.words}"),
            Clause("set", noun, f" to {said.words}"), Clause("update", f"its {label}", f" to {said.words}"),
            Clause("", f"{label} = {said.words}"), Clause("move", noun, f" to {said.words}"),
        ))  # fmt: skip
    return Told([("table", record.table), ("record", _ref(record)), ("values", f"{column}={said.value}")], clause)


def _look_up(scene: Scene, card: Card) -> Told | None:
    table = scene.table()
    found = scene.conditions(table, 3) if table else []
    if not found:
        return None
    many = card.key == "look_up_records"
    start = scene.pick(("all", "all", "the", "every one of the", "")) if many else scene.pick(("the", "a", "the"))
    noun = scene.noun_phrase(table, found, many=many, start=start)
    if scene.chance(0.06):
        noun += f" in #{table}"
    return Told(
        [("table", table), ("conditions", join_conditions(found))], Clause(scene.pick(w.SYNONYMS["find"]), noun)
    )


def _ask_for_approval(scene: Scene, card: Card) -> Told | None:
    record = scene.record()
    if record is None:
        return None
    person = scene.person()
    inputs = [("record", _ref(record)), ("approver", person.value)]
    tail = ""
    if scene.chance(0.2):
        rule, said = scene.pick(
            (
                ("anyone", "anyone of them is enough"),
                ("everyone", "all of them"),
                ("majority", "by majority"),
                ("everyone", "everyone has to agree"),
            )
        )
        inputs.append(("rule", rule))
        tail = f" ({said})"
    if scene.chance(0.2):
        due = scene.duration()
        inputs.append(("due", due.value))
        tail += f" within {due.words}"
    called = scene.call(record, silent=True)
    who, of = person.words, called and f" {scene.pick(('of', 'for'))} {called}"
    return Told(inputs, scene.pick((
        Clause("ask", who, f" for approval{of}{tail}"),
        Clause("ask", who, f" to approve{called and f' {called}'}{tail}"),
        Clause("get", "approval", f" from {who}{of}{tail}"), Clause("request", "approval", f" from {who}{tail}"),
        Clause("", f"{who} has to approve{tail}"), Clause("", f"{who} must sign off{tail}"),
        Clause("get", f"the ok of {who}", tail),
        Clause("send", "it", f" to {who} for approval{tail}"),
    )))  # fmt: skip


def _send(scene: Scene, card: Card) -> Told | None:
    person = scene.person()
    field = {"send_email": "body", "post_chat_message": "message"}.get(card.key, "message")
    if card.key == "post_chat_message":
        channel = (
            f"#{scene.thing()}-{scene.pick(('ops', 'team', 'alerts', 'news'))}"
            if scene.chance(0.6)
            else f"{scene.thing()} {scene.pick(('ops', 'team', 'alerts'))}"
        )
        text = scene.text(message=True)
        clause = scene.pick(
            (
                Clause("post", text.words, f" in {channel}"),
                Clause("write", text.words, f" to the channel {channel}"),
                Clause("post", f"in {channel}", f": {text.words}"),
            )
        )
        return Told([("channel", channel), ("message", text.value)], clause)
    inputs: Inputs = [("to", person.value)]
    who = person.words
    if card.key == "send_email" and scene.chance(0.5):
        subject = scene.text(message=True)
        inputs.append(("subject", subject.value))
        if scene.chance(0.35):
            body = scene.text(message=True)
            inputs.append(("body", body.value))
            tail = f", subject {subject.words}, {scene.pick(('body', 'text', 'content'))} {body.words}"
        else:
            tail = scene.pick(
                (
                    f" with subject {subject.words}",
                    f", subject {subject.words}",
                    f" (subject: {subject.words})",
                    f" with the subject {subject.words}",
                )
            )
        return Told(
            inputs,
            scene.pick(
                (
                    Clause("email", who, tail),
                    Clause("send", "an email", f" to {who}{tail}"),
                    Clause("send", who, f" a mail{tail}"),
                    Clause("mail", who, tail),
                )
            ),
        )
    text = scene.text(message=True)
    inputs.append((field, text.value))
    if card.key == "send_notification" and scene.records and scene.chance(0.2):
        inputs.append(("record", _ref(scene.records[-1])))
    means = {
        "send_email": (("email", ""), ("mail", ""), ("send", " an e-mail"), ("write", " an email")),
        "send_sms": (("text", ""), ("send", " a text message"), ("send", " an SMS"), ("sms", "")),
        "send_notification": (
            ("notify", ""),
            ("tell", ""),
            ("inform", ""),
            ("alert", ""),
            ("send", " a notification"),
            ("let", " know"),
        ),
    }.get(card.key, (("notify", ""),))
    verb, thing = scene.pick(means)
    glue = scene.pick((" ", ": ", " that ", " saying ", " with the message ", " with ", " - "))
    if verb == "let":
        return Told(inputs, Clause("", f"let {who} know{glue}{text.words}"))
    return Told(inputs, Clause(verb, who, f"{thing}{glue}{text.words}"))


def _comment(scene: Scene, card: Card) -> Told | None:
    record = scene.record()
    if record is None:
        return None
    text = scene.text(message=True)
    kind = (
        ("comment", "customer comment", "public comment")
        if card.key == "add_comment"
        else ("work note", "internal note", "note")
    )
    called = scene.call(record, silent=True)
    where = called and f" {scene.pick(('to', 'on'))} {called}"
    clause = Clause(
        scene.pick(("add", "leave", "write", "put")),
        w.article(scene.pick(kind)),
        f"{where}{scene.pick((' ', ': ', ' saying ', ' with '))}{text.words}",
    )
    if scene.chance(0.15):
        clause = Clause("add", text.words, f" as {scene.pick(kind)}{where}")
    return Told([("record", _ref(record)), ("text", text.value)], clause)


def _wait_for(scene: Scene, card: Card) -> Told | None:
    record = scene.record()
    found = scene.conditions(record.table, 1) if record else []
    if record is None or not found:
        return None
    inputs = [("record", _ref(record)), ("conditions", join_conditions(found))]
    tail = ""
    if scene.chance(0.35):
        limit = scene.duration()
        inputs.append(("timeout", limit.value))
        tail = scene.pick(
            (
                f", at most {limit.words}",
                f" (max {limit.words})",
                f" for up to {limit.words}",
                f", no longer than {limit.words}",
            )
        )
    return Told(
        inputs, Clause("wait", scene.pick(("until", "till", "for the moment that")) + f" {found[0].clause}", tail)
    )


_TELLERS: Final[dict[str, Callable[[Scene, Card], Told | None]]] = {
    "create_record": _create_record, "create_task": _create_record, "update_record": _update_record,
    "look_up_record": _look_up, "look_up_records": _look_up, "ask_for_approval": _ask_for_approval,
    "send_email": _send, "send_sms": _send, "send_notification": _send, "post_chat_message": _send,
    "add_comment": _comment, "add_work_note": _comment, "wait_for_condition": _wait_for,
}  # fmt: skip
#: How often platform steps are drawn against steps of the environment.
WEIGHTS: Final = {
    "create_record": 8, "create_task": 5, "update_record": 14, "look_up_record": 4, "look_up_records": 5,
    "ask_for_approval": 9,
    "send_email": 8, "send_sms": 3, "send_notification": 10, "post_chat_message": 3, "add_comment": 4,
    "add_work_note": 5,
    "wait_for_condition": 3,
}  # fmt: skip


# ---- triggers --------------------------------------------------------------------------------------------------------


class Start(NamedTuple):
    """A trigger: inputs and its words, "when ..." or "every ..."."""

    type: str
    inputs: Inputs
    words: str


def tell_trigger(scene: Scene, kind: str) -> Start:
    """The trigger with its inputs and words; makes its data available in the scene."""
    definition = scene.world.catalogue.triggers[kind]
    teller = _STARTS.get(kind)
    told = teller(scene, kind) if teller is not None else None
    if told is None or not all(name in definition.inputs for name, _ in told[0]):
        about = (definition.description or kind.replace("_", " ")).rstrip(".")
        return Start(kind, [], f"{scene.pick(('when', 'whenever', 'on:'))} {about[:1].lower()}{about[1:]}")
    return Start(kind, *told)


Telling = tuple[Inputs, str] | None


def _on_record(scene: Scene, kind: str) -> Telling:
    table = scene.table()
    if not table:
        return None
    update = kind == "record_update"
    found = scene.conditions(table, 2, change=update) if scene.chance(0.75) else []
    inputs = [("table", table), *([("condition", join_conditions(found))] if found else [])]
    scene.add_record("trigger.record", table)
    when = scene.pick(("when", "whenever", "as soon as", "if", "once", "each time", "every time"))
    noun = scene.noun_phrase(table, found)
    if update:
        if found and scene.chance(0.4):
            return inputs, f"{when} {found[0].clause} on {w.article(scene.world.label(table))}" + "".join(
                f" and {c.clause}" for c in found[1:]
            )
        verb = scene.pick(("is updated", "changes", "is changed", "gets updated", "is modified"))
        if found:
            after = found[0].after.removeprefix("that ").removeprefix("whose ")
            noun = w.article(scene.world.label(table))
            rest = "".join(f" and {c.clause}" for c in found[1:])
            return inputs, f"{when} {noun} {after}{rest}" if found[0].after.startswith(
                "that "
            ) else f"{when} {noun}'s {after}{rest}"
        return inputs, f"{when} {noun} {verb}"
    if kind == "record_create_or_update":
        return (
            inputs,
            f"{when} {noun} {scene.pick(('is created or updated', 'is added or changed', 'comes in or changes'))}",
        )
    if scene.chance(0.12):
        return inputs, f"{scene.pick(('for', 'for every', 'on a', 'for each'))} new {noun.partition(' ')[2]}"
    return (
        inputs,
        f"{when} {noun} {scene.pick(_CREATED)}",
    )


def _daily(scene: Scene, kind: str) -> Telling:
    scene.now = "trigger.run_time"
    time = scene.time()
    return [("time", time)], scene.pick(
        (
            f"every day at {time}",
            f"daily at {time}",
            f"each day, {time}",
            f"each morning at {time}",
            f"every night at {time}",
        )
    )


def _weekly(scene: Scene, kind: str) -> Telling:
    scene.now = "trigger.run_time"
    day, time = scene.pick(["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]), scene.time()
    said = day.title() if scene.chance(0.8) else day
    inputs = [("day", day)]
    words = scene.pick((f"every {said}", f"each {said}", f"weekly on {said}", f"on {said}s"))
    if scene.chance(0.7):
        inputs.append(("time", time))
        words += scene.pick((f" at {time}", f", {time}", f" ({time})"))
    return inputs, words


def _monthly(scene: Scene, kind: str) -> Telling:
    scene.now = "trigger.run_time"
    number = int(scene.rng.random() * 28) + 1
    suffix = "th" if 10 < number < 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    day, words = (
        str(number),
        scene.pick(
            (
                f"on the {number}{suffix} of every month",
                f"every month on day {number}",
                f"monthly on the {number}{suffix}",
            )
        ),
    )
    if scene.chance(0.12):
        day, words = "last", "on the last day of the month"
    time = scene.time()
    return ([("day", day), ("time", time)], f"{words} at {time}") if scene.chance(0.5) else ([("day", day)], words)


def _repeat(scene: Scene, kind: str) -> Telling:
    scene.now = "trigger.run_time"
    every = scene.duration()
    return [("every", every.value)], scene.pick(
        (
            f"every {every.words}",
            f"again and again every {every.words}",
            f"each {every.words}",
            f"at intervals of {every.words}",
        )
    )


def _once(scene: Scene, kind: str) -> Telling:
    scene.now = "trigger.run_time"
    month = scene.pick(["January", "March", "April", "May", "June", "July", "August", "October", "November"])
    at = f"{int(scene.rng.random() * 28) + 1} {month} {int(scene.rng.random() * 6) + 2026}" + (
        f" at {scene.time()}" if scene.chance(0.6) else ""
    )
    return [("at", at)], scene.pick((f"once, on {at}", f"on {at}", f"one time only on {at}"))


def _email(scene: Scene, kind: str) -> Telling:
    name, said, draw = scene.thing(), "", scene.rng.random()
    box = f"{name}@{scene.pick(w.PLACES).lower()}.example"
    if draw < 0.35:
        query, said = (
            f"subjectLIKE{name}",
            scene.pick(
                (f'with "{name}" in the subject', f"whose subject contains {name}", f"with subject containing '{name}'")
            ),
        )
    elif draw < 0.6:
        query, said = f"mailbox={box}", scene.pick((f"at {box}", f"in the mailbox {box}", f"to {box}"))
    elif draw < 0.75:
        query, said = f"from={box}", f"from {box}"
    else:
        subject = scene.name()
        query, said = f"mailbox={box}^subjectLIKE{subject}", f"at {box} with {subject} in the subject"
    scene.people.append(Said("{{trigger.from}}", scene.pick(("the sender", "whoever wrote"))))
    scene.texts += [
        Said("{{trigger.subject}}", "the subject"),
        Said("{{trigger.body}}", scene.pick(("the body", "the mail text"))),
    ]
    return (
        [("email_conditions", query)],
        f"{scene.pick(('when', 'whenever', 'if'))} {scene.pick(_MAILED)} {said}",
    )


def _sla(scene: Scene, kind: str) -> Telling:
    table, name = (
        scene.table(),
        f"{scene.thing().title()} {scene.pick(('resolution', 'response', 'fulfilment', 'SLA'))}",
    )
    inputs, percent = [("sla", name)], str(int(scene.rng.random() * 20) * 5 + 5)
    words = f"the {name} {'' if name.endswith('SLA') else 'SLA '}"
    inputs.append(("percentage", percent))
    words += scene.pick(
        (f"reaches {percent}%", f"is at {percent} percent", f"has used {percent}% of its time", f"hits {percent} %")
    )
    if table and scene.chance(0.5):
        inputs.append(("table", table))
        words += f" on {w.article(scene.world.label(table))}"
        scene.add_record("trigger.record", table)
    return inputs, f"{scene.pick(('when', 'as soon as', 'if'))} {words}"


def _ordered(scene: Scene, kind: str) -> Telling:
    item = scene.name()
    scene.add_record(
        "trigger.request_item", "sc_req_item" if "sc_req_item" in scene.world.catalogue.tables else "", "the request"
    )
    scene.people.append(
        Said("{{trigger.requested_for}}", scene.pick(("the requester", "the person who ordered", "whoever it is for")))
    )
    shown = scene.pick((f'"{item}"', item, item))
    return [("item", item)], scene.pick(
        (
            f"when someone orders {shown}",
            f"when {shown} is requested from the catalogue",
            f"for the catalogue item {shown}",
            f"whenever somebody requests {shown}",
            f"on an order of {shown}",
        )
    )


def _metric(scene: Scene, kind: str) -> Telling:
    name = f"{scene.thing()} {scene.pick(w.COLUMNS)}"
    sign, said = scene.pick(
        ((">", "goes above"), (">", "exceeds"), (">", "is over"), ("<", "drops below"), ("<", "falls under"))
    )
    number = scene.number()
    scene.texts.append(Said("{{trigger.value}}", "the value"))
    return [
        ("metric", name),
        ("condition", f"value{sign}{number}"),
    ], f"{scene.pick(('when', 'if', 'as soon as'))} {name} {said} {number}"


def _rest(scene: Scene, kind: str) -> Telling:
    path = f"/{scene.thing()}/{scene.thing()}"
    scene.texts.append(Said("{{trigger.body}}", "the body of the call"))
    return [("path", path)], scene.pick(
        (f"when another system calls {path}", f"on a REST call to {path}", f"when {path} is called from outside")
    )


_STARTS: Final[dict[str, Callable[[Scene, str], Telling]]] = {
    "record_create": _on_record, "record_update": _on_record, "record_create_or_update": _on_record, "daily": _daily,
    "weekly": _weekly, "monthly": _monthly, "repeat": _repeat, "run_once": _once, "email": _email, "sla_task": _sla,
    "service_catalog": _ordered, "metric": _metric, "rest_async": _rest,
}  # fmt: skip
TRIGGER_WEIGHTS: Final = {
    "record_create": 30, "record_update": 22, "record_create_or_update": 4, "daily": 8, "weekly": 7, "monthly": 4,
    "repeat": 3,
    "run_once": 2, "email": 8, "sla_task": 4, "service_catalog": 9, "metric": 3, "rest_async": 3,
}  # fmt: skip
