"""Triggers with their inputs and the words that name them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from flowstudy.corpus.synthesis import conditions, values
from flowstudy.corpus.synthesis import words as w
from flowstudy.corpus.synthesis.conditions import Condition
from flowstudy.corpus.synthesis.scene import Said, Scene

Inputs = list[tuple[str, str]]
Telling = tuple[Inputs, str] | None
_DAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Start(NamedTuple):
    """A trigger: inputs and its words. `headline`: the words are no clause ("new order", "order shipped")."""

    type: str
    inputs: Inputs
    words: str
    headline: bool = False


def tell_trigger(scene: Scene, kind: str) -> Start:
    """The trigger with its inputs and words; makes its data available in the scene."""
    definition = scene.world.catalogue.triggers[kind]
    teller = _STARTS.get(kind)
    told = teller(scene, kind) if teller is not None else None
    if told is None or not all(name in definition.inputs for name, _ in told[0]):
        about = (definition.description or kind.replace("_", " ")).rstrip(".")
        return Start(
            kind, [], scene.say("when {about}|whenever {about}|on: {about}", about=f"{about[:1].lower()}{about[1:]}")
        )
    words = told[1]
    return Start(kind, told[0], words, not scene.now and not words.startswith(_CLAUSES))


_CLAUSES: Final = ("when", "as soon", "if ", "once ", "each ", "every", "on ", "for ", "after ", "at ", "daily",
    "weekly",
                   "monthly", "in case", "hourly")  # fmt: skip


def _on_record(scene: Scene, kind: str) -> Telling:
    table = scene.table()
    if not table:
        return None
    update = kind == "record_update"
    most = 2 if scene.chance(0.9) else 3
    found = conditions.conditions(scene, table, most, change=update) if scene.chance(0.97 if update else 0.62) else []
    inputs = [("table", table), *([("condition", conditions.join(found))] if found else [])]
    scene.add_record("trigger.record", table)
    if update and found and found[0].state:
        return _state_change(scene, table, inputs, found)
    if update:
        return inputs, _changed(scene, table, found)
    noun = conditions.noun_phrase(scene, table, found)
    if kind == "record_create_or_update":
        return inputs, scene.say("when {a} is created or changed|whenever {a} comes in or changes|{n} new or changed|"
                                 "if {a} is created or updated", a=noun, n=noun.partition(" ")[2])  # fmt: skip
    return inputs, scene.say(
        "when {a} is created|when {a} comes in|if {a} is opened|whenever {a} is submitted|as soon as {a} is logged|"
        "once {a} is created|each time {a} is added|when we get {a}|when somebody opens {a}|when there is a new {n}|"
        "for every new {n}|on a new {n}|for each new {n}|new {n}|new {n}|new {n}|new {n}|a new {n}|{n} created|"
        "{n} comes in|for {a} which is new|if there is a new {n}|every new {n}|after {a} was created",
        a=noun, n=noun.partition(" ")[2])  # fmt: skip


def _state_change(scene: Scene, table: str, inputs: Inputs, found: list[Condition]) -> Telling:
    """`when a lease is signed`, `lease signed`, `signed leases`, `a lease (draft -> signed)`."""
    said, noun = found[0].state, conditions.noun_phrase(scene, table, found[1:])
    bare = noun.partition(" ")[2]
    definition = scene.world.catalogue.tables[table].columns[found[0].field]
    if len(definition.choices) > 2 and scene.chance(0.07):
        to = found[0].rest.removeprefix("CHANGESTO")
        old = scene.pick([value for value in definition.choices if value != to])
        query = "^".join((f"{found[0].field}CHANGESFROM{old}^{found[0].field}={to}", conditions.join(found[1:]))).strip(
            "^"
        )
        inputs[1] = ("condition", query)
        return inputs, scene.say("when {a} goes from {old} to {said}|{n} back from {old} to {said}|"
                                 "{n} ({old} -> {said})|"
                                 "if {a} changes from {old} to {said}", a=noun, n=bare, said=said,
                                 old=definition.choices[old].lower())  # fmt: skip
    return inputs, scene.say(
        "when {a} is {said}|when {a} is {said}|once {a} is {said}|once {a} is {said}|as soon as {a} is {said}|"
        "if {a} is {said}|"
        "when {a} becomes {said}|when {a} goes to {said}|when {a} gets {said}|whenever {a} changes to {said}|"
        "if {a} goes into {said}|{n} {said}|{n} {said}|{n} is {said}|{n} -> {said}|{n} goes to {said}|"
        "a {n} which becomes {said}|"
        "{n} becomes {said}|when the {label} of {a} changes to {said}|when {a} is set to {said}|after {a} is {said}|"
        "{n}: {label} changes to {said}|when {a} has been {said}|each time {a} is {said}",
        a=noun, n=bare, said=said, label=scene.world.column(table, found[0].field))  # fmt: skip


def _changed(scene: Scene, table: str, found: list[Condition]) -> str:
    label = scene.world.label(table)
    if not found:
        return scene.say(
            "when {a} is updated|when {a} changes|whenever somebody changes {a}|{n} changed",
            a=w.article(label),
            n=label,
        )
    rest = "".join(f" and {c.clause.format(it='it')}" for c in found[1:])
    first = found[0].clause.format(it="it")
    column = scene.world.column(table, found[0].field)
    if found[0].rest == "VALCHANGES":
        return scene.say("when the {c} of {a} changes{rest}|if the {c} on {a} changes{rest}|{c} of {a} changes{rest}|"
                         "whenever somebody changes the {c} of {a}{rest}|{n}: {c} changes{rest}|"
                         "when {a} gets a new {c}{rest}",
                         c=column, a=w.article(label), n=label, rest=rest)  # fmt: skip
    if found[0].rest.startswith("CHANGESTO"):
        return scene.say("when {a} comes where {first}{rest}|when on {a} {first}{rest}|{n}: {first}{rest}|"
                         "if {first} on {a}{rest}|"
                         "once {first} on {a}{rest}", a=w.article(label), n=label, first=first,
                         rest=rest)  # fmt: skip
    return scene.say("when {a} is changed and {first}{rest}|if {a} changes and {first}{rest}|"
                     "{n} updated and {first}{rest}",
                     a=w.article(label), n=label, first=first, rest=rest)  # fmt: skip


def _daily(scene: Scene, kind: str) -> Telling:
    scene.now = "trigger.run_time"
    if scene.chance(0.3):
        return [], scene.say("every day|daily|each day|once a day|every night|every morning")
    time = values.time(scene)
    return [("time", time)], scene.say(
        "every day at {t}|daily at {t}|each day, {t}|each morning at {t}|every night at {t}|every day ({t})|"
        "at {t} each day|"
        "daily {t}|every evening, {t}|always at {t} (daily)", t=time)  # fmt: skip


def _weekly(scene: Scene, kind: str) -> Telling:
    scene.now = "trigger.run_time"
    day, time = scene.pick(_DAYS), values.time(scene)
    said = day.title() if scene.chance(0.6) else day
    words = scene.say("every {d}|every {d}|each {d}|weekly on {d}|on {d}s|{d}s", d=said)
    if scene.chance(0.45):
        return [("day", day)], words
    return [("day", day), ("time", time)], words + scene.say(" at {t}|, {t}| ({t})| {t}", t=time)


def _monthly(scene: Scene, kind: str) -> Telling:
    scene.now = "trigger.run_time"
    number = int(scene.rng.random() * 28) + 1
    suffix = "th" if 10 < number < 20 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    day = str(number)
    words = scene.say("on the {n}{s} of every month|every month on day {n}|monthly on the {n}{s}|"
                      "on day {n} of each month|"
                      "every month, day {n}|monthly (day {n})", n=day, s=suffix)  # fmt: skip
    if scene.chance(0.2):
        day, words = (
            "last",
            scene.say("on the last day of the month|at the end of the month, last day|every month on the last day"),
        )
    if scene.chance(0.65):
        return [("day", day)], words
    time = values.time(scene)
    return [("day", day), ("time", time)], f"{words} at {time}"


def _repeat(scene: Scene, kind: str) -> Telling:
    scene.now = "trigger.run_time"
    every = values.duration(scene)
    return [("every", every.value)], scene.say("every {d}|every {d}|again every {d}|each {d}", d=every.words)


def _once(scene: Scene, kind: str) -> Telling:
    at = values.date(scene).value
    scene.now = "trigger.run_time"
    at += f" at {values.time(scene)}" if scene.chance(0.4) else ""
    return [("at", at)], scene.say("once, on {at}|on {at}|one time only on {at}|{at}|on {at}, only once", at=at)


def _email(scene: Scene, kind: str) -> Telling:
    name, draw = scene.pick(w.THINGS), scene.rng.random()
    box = f"{name}@{scene.pick(w.PLACES).lower()}.example"
    if draw < 0.35:
        query = f"subjectLIKE{name}"
        said = scene.say(
            'with "{s}" in the subject|whose subject contains {s}|with the word "{s}" in the subject|about "{s}"',
            s=name,
        )
    elif draw < 0.7:
        query, said = f"mailbox={box}", scene.say("at {b}|in the mailbox {b}|to {b}|for {b}", b=box)
    elif draw < 0.85:
        query, said = f"from={box}", f"from {box}"
    else:
        subject = values.name(scene)
        query, said = f"mailbox={box}^subjectLIKE{subject}", f'at {box} with "{subject}" in the subject'
    scene.files["email"] = "trigger.email"
    scene.people.append(Said("{{trigger.from}}", scene.say("the sender|whoever wrote|the one who wrote")))
    scene.texts += [
        Said("{{trigger.subject}}", "the subject"),
        Said("{{trigger.body}}", scene.say("the body|the mail text")),
    ]
    return [("email_conditions", query)], scene.say(
        "when an e-mail arrives {s}|when a mail comes in {s}|if we get a mail {s}|mails {s}|new mail {s}|"
        "for each e-mail {s}|"
        "e-mails {s}|when somebody writes a mail {s}|on mail {s}|whenever an email arrives {s}", s=said)  # fmt: skip


def _sla(scene: Scene, kind: str) -> Telling:
    table, percent = scene.table(), str(int(scene.rng.random() * 20) * 5 + 5)
    name = f"{scene.pick(w.THINGS).title()} {scene.pick(('resolution', 'response', 'fulfilment', 'SLA'))}"
    title = name if name.endswith("SLA") else f"{name} SLA"
    inputs = [("sla", name), ("percentage", percent)]
    words = scene.say("the {t} reaches {p}%|{p} % of the {t} are used|the {t} is at {p} percent|"
                      "the {t} has used {p}% of its time|"
                      "the {t} hits {p} %", t=title, p=percent)  # fmt: skip
    if table and scene.chance(0.6):
        inputs.append(("table", table))
        words += f" on {w.article(scene.world.label(table))}"
        scene.add_record("trigger.record", table)
    return inputs, scene.say("when {w}|as soon as {w}|if {w}|once {w}|{w}", w=words)


def _ordered(scene: Scene, kind: str) -> Telling:
    item = values.name(scene)
    table = "sc_req_item" if "sc_req_item" in scene.world.catalogue.tables else ""
    scene.add_record("trigger.request_item", table, scene.say("the request|the order|the requested item"))
    who = scene.say("the requester|the person who ordered|whoever it is for|the one who ordered")
    scene.people.append(Said("{{trigger.requested_for}}", who))
    shown = scene.pick((f'"{item}"', f'"{item}"', item))
    return [("item", item)], scene.say(
        "when someone orders {i}|when {i} is ordered|when {i} is requested from the catalogue|"
        "for the catalogue item {i}|"
        "whenever somebody requests {i}|on ordering {i}|on an order of {i}|order of {i}|{i} ordered|item {i} ordered|"
        "if somebody orders {i}|catalogue item {i}|for orders of {i}", i=shown)  # fmt: skip


def _metric(scene: Scene, kind: str) -> Telling:
    name = f"{scene.pick(w.THINGS)} {scene.pick(w.COLUMNS)}"
    sign, said = scene.pick(
        ((">", "goes above"), (">", "exceeds"), (">", "is over"), ("<", "drops below"), ("<", "falls under"))
    )
    number = values.number(scene)
    scene.numbers.append(Said("{{trigger.value}}", "the value"))
    words = f"{name} {said} {number}"
    return [("metric", name), ("condition", f"value{sign}{number}")], scene.say(
        "when {w}|if {w}|as soon as {w}|{w}", w=words
    )


def _rest(scene: Scene, kind: str) -> Telling:
    path = f"/{scene.pick(w.THINGS)}/{scene.pick(w.THINGS)}" if scene.chance(0.6) else f"/{scene.pick(w.THINGS)}"
    scene.texts.append(Said("{{trigger.body}}", scene.say("the body of the call|what was sent")))
    return [("path", path)], scene.say(
        "when another system calls {p}|on a REST call to {p}|when {p} is called from outside|on POST to {p}|"
        "when the {s} system calls {p}|calls to {p}", p=path, s=scene.pick(w.THINGS))  # fmt: skip


_STARTS: Final[dict[str, Callable[[Scene, str], Telling]]] = {
    "record_create": _on_record, "record_update": _on_record, "record_create_or_update": _on_record, "daily": _daily,
    "weekly": _weekly, "monthly": _monthly, "repeat": _repeat, "run_once": _once, "email": _email, "sla_task": _sla,
    "service_catalog": _ordered, "metric": _metric, "rest_async": _rest,
}  # fmt: skip
WEIGHTS: Final = {
    "record_create": 26, "record_update": 52, "record_create_or_update": 2, "daily": 8, "weekly": 6, "monthly": 5,
    "repeat": 4, "run_once": 2, "email": 5, "sla_task": 4, "service_catalog": 7, "metric": 3, "rest_async": 3,
}  # fmt: skip
