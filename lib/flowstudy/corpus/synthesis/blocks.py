"""Flow logic, and small situations that need some: approvals, look-ups with loops, reminders, answers of an order."""

from __future__ import annotations

import re
from typing import Final

from flowstudy.corpus.synthesis import conditions, values
from flowstudy.corpus.synthesis import words as w
from flowstudy.corpus.synthesis.plan import Blocks, Node, Planner
from flowstudy.corpus.synthesis.scene import Said, Scene
from flowstudy.corpus.synthesis.steps import Clause
from flowstudy.flows.catalogue import ColumnDef

_YES: Final = (
    "if approved|if it is approved|once approved|after approval|when they say yes|if they agree|if yes|if they do|"
    "approved"
)
_NO: Final = "if rejected|if it is rejected|if they decline|if they say no|if no|rejected"
_PAST: Final = re.compile(r"last|open|clos|creat|begin|begun|start|arriv")


def _if(plan: Planner, depth: int) -> list[Node]:
    scene = plan.scene
    if not scene.tests and plan.left > 2 and "ask_for_approval" in plan.world.by_key and scene.chance(0.2):
        return _decision(plan, depth)
    found = _test(scene)
    if found is None:
        return []
    query, said, otherwise = found
    node = Node(plan.next(), "IF", inputs=[("condition", query)],
                words=f"{scene.pick(('if', 'if', 'if', 'if', 'when', 'in case', 'only if'))} {said}")  # fmt: skip
    node.children = plan.block(depth)
    nodes = [node]
    while plan.left > 1 and scene.chance(0.12):
        other = _test(scene)
        if other is None:
            break
        branch = Node(plan.next(), "ELSEIF", inputs=[("condition", other[0])],
                      words=scene.say("else if {t}|or if {t}|otherwise if {t}|"
                                      "if instead {t}", t=other[1]))  # fmt: skip
        branch.children = plan.block(depth, 2)
        nodes.append(branch)
    return nodes + _else(plan, depth, 0.38, otherwise)


def _else(plan: Planner, depth: int, share: float, otherwise: str = "") -> list[Node]:
    scene = plan.scene
    if plan.left < 1 or not scene.chance(share):
        return []
    words = scene.say("otherwise|otherwise|else|if not|if not|in all other cases|in any other case|or else")
    if otherwise and scene.chance(0.6):
        words = f"if {otherwise}"
    node = Node(plan.next(), "ELSE", words=words)
    node.children = plan.block(depth, 2)
    return [node]


def _test(scene: Scene) -> tuple[str, str, str] | None:
    """A condition on the data at hand: its query, its words, and the words when it is not so."""
    if scene.tests and scene.chance(0.85):
        query, words, otherwise = scene.tests.pop()
        if otherwise and scene.chance(0.3):
            return query.replace("=true", "=false"), otherwise, words
        return query, words, otherwise
    record = scene.record()
    if record is None or not record.table:
        return None
    numbers = [c for c, d in scene.world.columns[record.table] if d.type in ("integer", "float")]
    if len(numbers) > 1 and scene.chance(0.2):
        one, other = scene.rng.sample(numbers, 2)
        sign, said = scene.pick(
            ((">", "more than"), (">", "above"), (">=", "at least"), ("<", "less than"), ("=", "the same as"))
        )
        names = [scene.world.column(record.table, column) for column in (one, other)]
        query = f"{{{{{record.reference}.{one}}}}}{sign}{{{{{record.reference}.{other}}}}}"
        return query, f"the {names[0]} is {said} the {names[1]}", ""
    found = conditions.conditions(scene, record.table, 2)
    if not found:
        return None
    it = scene.call(record)
    words = " and ".join(c.clause.format(it=it if n == 0 else "it") for n, c in enumerate(found))
    return conditions.join(found, record.reference), words, ""


def _decision(plan: Planner, depth: int) -> list[Node]:
    """An approval and what follows from it; the approval itself is often left to be understood."""
    asked = plan.tell(plan.world.by_key["ask_for_approval"])
    if asked is None or asked.clause is None:
        return []
    scene, approved = plan.scene, plan.scene.chance(0.72)
    query = f"{{{{step.{asked.order}.decision}}}}={'approved' if approved else 'rejected'}"
    words = scene.say(_YES if approved else _NO)
    who = next(value for name, value in asked.inputs if name == "approver")
    if scene.chance(plan.mix.implicit * 0.6) and len(asked.inputs) == 2 and "{{" not in who:
        verb = (
            scene.say("approves|agrees|signs it off|gives the ok|says yes")
            if approved
            else scene.say("rejects it|declines|says no")
        )
        words = f"{scene.say('if|once|when|only if') if approved else 'if'} {who} {verb}"
        asked.clause = None
        plan.implicit.append(asked.order)
    node = Node(plan.next(), "IF", inputs=[("condition", query)], words=words)
    node.children = plan.block(depth)
    if approved and scene.chance(0.06):
        return [asked, node]
    return [asked, node, *_else(plan, depth, 0.4, "not" if approved else "")]


# ---- loops -----------------------------------------------------------------------------------------------------------


def _foreach(plan: Planner, depth: int) -> list[Node]:
    """A look-up and a loop over what it finds; the look-up is often left to be understood."""
    card = plan.world.by_key.get("look_up_records")
    if card is None:
        return []
    scene = plan.scene
    before: list[Node] = []
    found = None
    if scene.records and scene.chance(0.55):
        found = _related(plan)
    elif scene.now and scene.chance(0.4):
        before, found = _dated(plan)
    found = found or plan.tell(card)
    if found is None or found.clause is None:
        return before
    table = found.inputs[0][1]
    words = _loop_words(plan, found, table)
    node = Node(plan.next(), "FOREACH", inputs=[("items", f"{{{{step.{found.order}.records}}}}")], words=words)
    kept = scene.keep()
    scene.records, scene.texts, scene.numbers, scene.tests = [], [], [], []
    scene.people = [p for p in scene.people if "{{trigger" in p.value]
    scene.add_record(f"step.{node.order}.item", table)
    node.children = plan.block(depth)
    scene.restore(kept)
    return [*before, found, node]


def _loop_words(plan: Planner, found: Node, table: str) -> str:
    scene, noun = plan.scene, plan.world.label(table)
    obj = found.clause.obj if found.clause else noun
    for start in ("all the ", "all ", "every one of the ", "the "):
        obj = obj.removeprefix(start)
    if scene.chance(plan.mix.implicit):
        found.clause = None
        plan.implicit.append(found.order)
        return scene.say("for each of the {o}|for all {o}|for all {o}|for {o}|take {o} and for each|"
                         "go through the {o}|"
                         "all {o}|all {o}|{o}|{o}|for the {o}, one by one", o=obj)  # fmt: skip
    return scene.say(
        "for each of them|for each one|for each {n}|for every {n} found|for all of them|one by one|for each",
        n=noun,
    )


def _related(plan: Planner) -> Node | None:
    """A look-up of the records that belong to the record at hand."""
    scene, record = plan.scene, plan.scene.records[0]
    links = plan.world.children.get(record.table)
    if not links:
        return None
    table, column, path, whose = scene.pick(links)
    query = f"{column}={{{{{record.reference}{path}}}}}"
    more = conditions.condition(scene, table) if scene.chance(0.5) else None
    noun = w.plural(plan.world.label(table))
    if more is not None and more.field != column:
        query += f"^{more.field}{more.rest}"
        noun = f"{more.before} {noun}" if more.before else noun
        after = "" if more.before else f" {more.after}"
    else:
        after = ""
    of = f"the {whose}" if whose else record.noun
    obj = scene.say("{n} of {of}{a}|{n} of {of}{a}|{n} for {of}{a}|{n} under {of}{a}", n=noun, of=of, a=after)
    verb = scene.say("find|look up|get|take")
    return Node(plan.next(), "look_up_records", category="action", inputs=[("table", table), ("conditions", query)],
                clause=Clause(verb, f"all {obj}"))  # fmt: skip


def _dated(plan: Planner) -> tuple[list[Node], Node | None]:
    """A date computed from today, and the records on the right side of it: `contracts that end in 30 days`."""
    scene, world = plan.scene, plan.world
    table = scene.table()
    dates = [c for c, d in world.columns.get(table, ()) if d.type == "date"]
    if not dates or plan.left < 4 or "compute_date" not in world.by_key:
        return [], None
    column, span = scene.pick(dates), f"{int(scene.rng.random() * 18 + 1) * 5} days"
    label, noun, past = world.column(table, column), w.plural(world.label(table)), bool(_PAST.search(column))
    if past:
        offset, sign = f"-{span}", "<"
        obj = scene.say(
            "{n} with {c} more than {d} ago|{n} whose {c} is older than {d}|{n} with {c} over {d} ago",
            n=noun,
            c=label,
            d=span,
        )
    else:
        offset, sign = span, scene.pick(("=", "=", "<"))
        within = "within" if sign == "<" else "in"
        obj = scene.say(
            "{n} with {c} {i} {d}|{n} whose {c} is {i} {d}|{n} with a {c} {i} {d}", n=noun, c=label, d=span, i=within
        )
    first = Node(plan.next(), "compute_date", category="action",
                 inputs=[("date", f"{{{{{scene.now}}}}}"), ("offset", offset)])  # fmt: skip
    plan.implicit.append(first.order)
    query = f"{column}{sign}{{{{step.{first.order}.date}}}}"
    found = Node(plan.next(), "look_up_records", category="action", inputs=[("table", table), ("conditions", query)],
                 clause=Clause("find", f"all {obj}"))  # fmt: skip
    return [first], found


def _dountil(plan: Planner, depth: int) -> list[Node]:
    found = _test(plan.scene)
    if found is None:
        return []
    words = plan.scene.say(
        "repeat until {t}|do this until {t}|keep doing this till {t}|until {t}|again and again until {t}", t=found[1]
    )
    node = Node(plan.next(), "DOUNTIL", inputs=[("condition", found[0])], words=words)
    node.children = plan.block(depth, 2)
    return [node]


# ---- other flow logic ------------------------------------------------------------------------------------------------


def _parallel(plan: Planner, depth: int) -> list[Node]:
    words = "at the same time|in parallel|simultaneously|side by side|all at once|do these together|parallel"
    node = Node(plan.next(), "PARALLEL", words=plan.scene.say(words))
    for _ in range(2 if plan.scene.chance(0.7) else 3):
        branch = Node(plan.next(), "BRANCH")
        branch.children = [plan.step(depth + 2)]
        if plan.left > 0 and plan.scene.chance(0.2):
            branch.children.append(plan.step(depth + 2))
        node.children.append(branch)
    return [node]


def _switch(plan: Planner, depth: int) -> list[Node]:
    scene = plan.scene
    record = scene.record()
    columns: list[tuple[str, ColumnDef]] = []
    if record is not None:
        columns = [(c, d) for c, d in scene.world.askable.get(record.table, ()) if len(d.choices) > 1]
    if record is None or not columns:
        return []
    column, definition = scene.pick(columns)
    words = scene.say("depending on the {c}|depends on the {c}|by {c}|according to the {c}|look at the {c}|"
                      "what to do depends on {c}",
                      c=scene.world.column(record.table, column))  # fmt: skip
    node = Node(plan.next(), "SWITCH", inputs=[("value", f"{{{{{record.reference}.{column}}}}}")], words=words)
    for value in scene.rng.sample(
        list(definition.choices), min(len(definition.choices), 2 if scene.chance(0.6) else 3)
    ):
        said = definition.choices[value].lower()
        case = Node(plan.next(), "CASE", inputs=[("value", value)],
                    words=scene.say("for {v}|if {v}|{v}:|{v} -|when it is {v}|in case of {v}|"
                                    "{v} ->", v=said))  # fmt: skip
        case.children = [plan.step(depth + 2)]
        node.children.append(case)
    if plan.left > 0 and scene.chance(0.4):
        rest = Node(
            plan.next(),
            "DEFAULT",
            words=scene.say("for everything else|for anything else|all others|otherwise|the rest:"),
        )
        rest.children = [plan.step(depth + 2)]
        node.children.append(rest)
    return [node]


def _try(plan: Planner, depth: int) -> list[Node]:
    scene = plan.scene
    node = Node(plan.next(), "TRY", words=scene.say("try to|try to|try:|attempt to|try this:"))
    node.children = [plan.step(depth + 1)]
    rescue = Node(plan.next(), "CATCH", words=scene.say(
        "if that fails|if this goes wrong|on any error|if there is an error|should it fail|"
        "when this does not work|if it fails|"
        "when it crashes|on failure|when the call fails|if it can't be done"))  # fmt: skip
    rescue.children = plan.block(depth, 2)
    return [node, rescue]


def _wait(plan: Planner, depth: int) -> list[Node]:
    scene, pause = plan.scene, values.duration(plan.scene)
    clause = Clause(
        "wait",
        "",
        scene.say(" {d}| {d}| for {d}| another {d}", d=pause.words),
        note=scene.say("{d} pause|wait {d}", d=pause.words),
    )
    return [Node(plan.next(), "WAIT", inputs=[("duration", pause.value)], clause=clause)]


def _later(plan: Planner, depth: int) -> list[Node]:
    """After some time, look whether the record that came to a state still has it."""
    start, scene = plan.start, plan.scene
    condition = next((v for name, v in start.inputs if name == "condition"), "") if start else ""
    column, changes, value = condition.partition("^")[0].partition("CHANGESTO")
    if not changes or not scene.records or not conditions.is_state(column):
        return []
    record = scene.records[0]
    definition = scene.world.catalogue.tables[record.table].columns[column]
    if value not in definition.choices:
        return []
    said = definition.choices[value].lower()
    pause = _wait(plan, depth)
    node = Node(plan.next(), "IF", inputs=[("condition", f"{{{{{record.reference}.{column}}}}}={value}")],
                words=scene.say("if it is still {s}|if still {s}|if {r} is still {s} then|when it's still {s}|"
                                "still {s}?", s=said,
                                r=record.noun))  # fmt: skip
    node.children = plan.block(depth)
    return [*pause, node]


def _end(plan: Planner, depth: int) -> list[Node]:
    if depth == 0:
        return []
    clause = plan.scene.pick((Clause("stop", "the flow"), Clause("end", "here"), Clause("stop", ""), Clause("",
        "that's it, stop"),
                              Clause("", "there is nothing more to do"), Clause("", "we are done")))  # fmt: skip
    return [Node(plan.next(), "END", clause=clause)]


def _answers(plan: Planner, depth: int) -> list[Node]:
    """The answers given with an order, used by a later step; reading them is often left to be understood."""
    card, scene = plan.world.by_key.get("get_catalogue_variables"), plan.scene
    if card is None or "request_item" not in card.step.inputs:
        return []
    node = Node(
        plan.next(), "get_catalogue_variables", category="action", inputs=[("request_item", "{{trigger.request_item}}")]
    )
    name = scene.pick(_ANSWERS)
    said = scene.say("the {n} they entered|the {n} they gave|the {n} from the order|the {n} from the form|"
                     "the {n} that was asked for|"
                     "the {n} from the answers", n=name)  # fmt: skip
    answer = Said(f"{{{{step.{node.order}.variables.{name}}}}}", said)
    for _ in range(14):
        kept, at = scene.keep(), (plan.order, plan.left)
        scene.texts, scene.numbers = [answer], [answer]
        scene.people += [answer] if name in w.PEOPLE else []
        step = plan.step(depth)
        if any(answer.value in value for _, value in step.inputs):
            if scene.chance(plan.mix.implicit):
                plan.implicit.append(node.order)
            else:
                node.clause = Clause(
                    scene.say("read|get|take"), scene.say("the answers|the answers of the order|what they filled in")
                )
            return [node, step]
        scene.restore(kept)
        plan.order, plan.left = at
    node.clause = Clause("read", "the answers of the order")
    return [node]


_ANSWERS: Final = ("reason", "amount", "days", "site", "size", "name", "quantity", "date", "address", "number",
    "manager", "text",
                   "subject", "level", "owner", "title", "note", "comment", "zone", "start")  # fmt: skip
BLOCKS: Final[Blocks] = {
    "IF": _if, "FOREACH": _foreach, "PARALLEL": _parallel, "SWITCH": _switch, "TRY": _try, "DOUNTIL": _dountil,
    "WAIT": _wait,
    "END": _end, "LATER": _later, "ANSWERS": _answers,
}  # fmt: skip
