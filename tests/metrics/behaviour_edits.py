"""Edits of a flow with a known verdict: kinds that change how it is written, and kinds that change what it does.

A flow is edited as a tree whose references name steps by identity, so that orders follow by themselves. An edit gives
None where it does not apply.
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field

from flowstudy.flows import Component, Flow, Input, Trigger, flow_tree, kind_of

STEP = re.compile(r"(\{\{\s*step\.)(\w+)(?=[.\s}])")
INVERSE = {"=": "!=", ">": "<=", "<": ">=", "ISEMPTY": "ISNOTEMPTY", "IN": "NOT IN"}
INVERSE |= {new: old for old, new in INVERSE.items()}


@dataclass
class Step:
    """A component, its inputs as an ordered mapping, what it encloses, and a name that references can use."""

    category: str
    definition: str
    scope: str = "global"
    inputs: dict = field(default_factory=dict)
    children: list = field(default_factory=list)
    mark: str = ""

    @property
    def kind(self):
        key = self.definition if self.scope == "global" else f"{self.scope}.{self.definition}"
        return "logic" if self.category == "flowlogic" else kind_of(key)


MARKS = itertools.count(1)


def logic(name, children=(), **inputs):
    return Step("flowlogic", name, inputs=inputs, children=list(children), mark=f"n{next(MARKS)}")


def action(name, **inputs):
    return Step("action", name, inputs=inputs, mark=f"n{next(MARKS)}")


def read(flow):
    """Trigger and steps of a flow, to be edited."""
    marks = {c.order: f"m{c.order}" for c in flow.components}

    def named(value):
        return STEP.sub(lambda m: m[1] + marks.get(int(m[2]), m[2]), value) if isinstance(value, str) else value

    def step(node):
        c = node.component
        inputs = {i.name: named(i.value) for i in c.inputs}
        return Step(c.category, c.definition, c.scope, inputs, [step(n) for n in node.children], marks[c.order])

    return flow.trigger.model_copy(deep=True), [step(node) for node in flow_tree(flow)]


def write(trigger, steps, renumber=True):
    """The edited flow; without `renumber` references keep the orders that the steps had before."""
    orders, rows = {}, []

    def place(step, block):
        orders[step.mark] = len(rows) + 1
        rows.append((step, block))
        for child in step.children:
            place(child, orders[step.mark])

    for each in steps:
        place(each, None)

    def numbered(value):
        def number(match):
            mark = match[2]
            return match[1] + str(orders.get(mark, 99) if renumber else mark[1:])

        return STEP.sub(lambda m: number(m) if m[2][0] in "mn" else m[0], value) if isinstance(value, str) else value

    components = [
        Component(
            category=s.category, definition=s.definition, scope=s.scope, order=order, block=block,
            inputs=[Input(name=n, value=numbered(v)) for n, v in s.inputs.items()],
        )
        for order, (s, block) in enumerate(rows, start=1)
    ]  # fmt: skip
    return Flow(trigger=trigger, components=components)


def lists(steps):
    """Every list of siblings, outer ones first."""
    yield steps
    for step in steps:
        yield from lists(step.children)


def first(steps, wanted):
    """List and place of the first step for which `wanted(siblings, place)` holds."""
    found = ((each, n) for each in lists(steps) for n in range(len(each)) if wanted(each, n))
    return next(found, None)


def is_logic(siblings, n, name):
    return 0 <= n < len(siblings) and siblings[n].category == "flowlogic" and siblings[n].definition == name


def inverted(condition):
    """The contrary of a condition of one clause, else None."""
    match = re.fullmatch(
        r"(\{\{[^{}]+\}\}|[a-z_.]+)(NOT IN|ISNOTEMPTY|ISEMPTY|IN|!=|>=|<=|=|>|<)([^^]*)", str(condition)
    )
    return match and f"{match[1]}{INVERSE[match[2]]}{match[3]}"


def lone_if(siblings, n):
    """An IF that only an ELSE may follow."""
    return is_logic(siblings, n, "IF") and not is_logic(siblings, n + 1, "ELSEIF")


def if_else(siblings, n):
    return lone_if(siblings, n) and is_logic(siblings, n + 1, "ELSE") and inverted(siblings[n].inputs.get("condition"))


# -- kinds that change nothing


def look_up_first(trigger, steps):
    return write(trigger, [action("look_up_record", table="sys_user", conditions="name=Nobody"), *steps])


def if_else_exchanged(trigger, steps):
    found = first(steps, if_else)
    if not found:
        return None
    here, n = found
    here[n].inputs["condition"] = inverted(here[n].inputs["condition"])
    here[n].children, here[n + 1].children = here[n + 1].children, here[n].children
    return write(trigger, steps)


def branches_reordered(trigger, steps):
    found = first(steps, lambda s, n: is_logic(s, n, "PARALLEL"))
    if not found:
        return None
    found[0][found[1]].children.reverse()
    return write(trigger, steps)


def elseif_nested(trigger, steps):
    found = first(steps, lambda s, n: is_logic(s, n, "ELSEIF"))
    if not found:
        return None
    here, n = found
    end = n
    while is_logic(here, end, "ELSEIF") or is_logic(here, end, "ELSE"):
        end += 1
    here[n].definition = "IF"
    here[n:end] = [logic("ELSE", here[n:end])]
    return write(trigger, steps)


def switch_as_ifs(trigger, steps):
    found = first(steps, lambda s, n: is_logic(s, n, "SWITCH"))
    if not found:
        return None
    here, n = found
    value, chain = here[n].inputs["value"], []
    for case in here[n].children:
        given = str(case.inputs.get("value", ""))
        if not given:
            chain.append(logic("ELSE", case.children))
        else:
            test = f"{value}IN{given}" if "," in given else f"{value}={given}"
            chain.append(logic("ELSEIF" if chain else "IF", case.children, condition=test))
    here[n : n + 1] = chain
    return write(trigger, steps)


def end_for_else(trigger, steps):
    n = len(steps) - 2
    if n < 0 or not lone_if(steps, n) or not is_logic(steps, n + 1, "ELSE"):
        return None
    steps[n].children.append(logic("END"))
    steps[n + 1 : n + 2] = steps[n + 1].children
    return write(trigger, steps)


def filter_in_the_loop(trigger, steps):
    for here in lists(steps):
        for n in range(len(here) - 1):
            look, loop = here[n], here[n + 1]
            conditions = str(look.inputs.get("conditions", ""))
            ours = is_logic(here, n + 1, "FOREACH") and loop.inputs.get("items") == f"{{{{step.{look.mark}.records}}}}"
            simple = conditions and not re.search(r"[A-Z]{2}", conditions) and "limit" not in look.inputs
            if (
                look.definition == "look_up_records"
                and ours
                and simple
                and repr(steps).count(f"step.{look.mark}.") == 1
            ):
                item = f"{{{{step.{loop.mark}.item."
                test = "^".join(re.sub(r"^([a-z_.]+)", rf"{item}\1}}}}", c) for c in conditions.split("^"))
                del look.inputs["conditions"]
                loop.children = [logic("IF", loop.children, condition=test)]
                return write(trigger, steps)
    return None


def clauses_reordered(trigger, steps):
    done = False
    for given in [trigger.inputs, *(s for each in lists(steps) for s in each)]:
        pairs = [(i.name, i.value) for i in given] if isinstance(given, list) else list(given.inputs.items())
        for name, value in pairs:
            if (
                name in ("condition", "conditions", "values")
                and "^" in str(value)
                and not re.search(r"\^(OR|NQ)", value)
            ):
                turned = "^".join(reversed(value.split("^")))
                done = True
                if isinstance(given, list):
                    next(i for i in given if i.name == name).value = turned
                else:
                    given.inputs[name] = turned
    return write(trigger, steps) if done else None


def blanks_and_empty_inputs(trigger, steps):
    found = [s for each in lists(steps) for s in each if any("{{" in str(v) for v in s.inputs.values())]
    for step in found:
        step.inputs = {n: v.replace("{{", "{{ ").replace("}}", " }}") if isinstance(v, str) else v for n, v in
                       step.inputs.items()} | {"remark": ""}  # fmt: skip
    return write(trigger, steps) if found else None


def update_in_two(trigger, steps):
    found = first(steps, lambda s, n: s[n].definition == "update_record" and "^" in str(s[n].inputs.get("values", "")))
    if not found:
        return None
    here, n = found
    one, rest = here[n].inputs["values"].split("^", 1)
    here.insert(n, action("update_record", **{**here[n].inputs, "values": one}))
    here[n + 1].inputs["values"] = rest
    return write(trigger, steps)


# -- kinds that change what is done


def effect_first(trigger, steps):
    return write(trigger, [action("send_sms", to="Nobody", message="Hello"), *steps])


def references_left_behind(trigger, steps):
    used = any("{{step." in str(v) for each in lists(steps) for s in each for v in s.inputs.values())
    return write(trigger, [action("send_sms", to="Nobody", message="Hello"), *steps], renumber=False) if used else None


def condition_inverted(trigger, steps):
    found = first(steps, lambda s, n: lone_if(s, n) and inverted(s[n].inputs.get("condition")))
    if not found:
        return None
    step = found[0][found[1]]
    step.inputs["condition"] = inverted(step.inputs["condition"])
    return write(trigger, steps)


def guard_dropped(trigger, steps):
    def lone(siblings, n):
        return lone_if(siblings, n) and not is_logic(siblings, n + 1, "ELSE")

    found = first(steps, lone)
    if not found:
        return None
    here, n = found
    here[n : n + 1] = here[n].children
    return write(trigger, steps)


def value_changed(trigger, steps):
    found = first(steps, lambda s, n: "values" in s[n].inputs and "=" in str(s[n].inputs["values"]))
    if not found:
        return None
    inputs = found[0][found[1]].inputs
    inputs["values"] = inputs["values"].partition("=")[0] + "=quite another"
    return write(trigger, steps)


def effect_missing(trigger, steps):
    found = first(steps, lambda s, n: s[n].kind == "acts" and f"step.{s[n].mark}." not in repr(steps))
    if not found:
        return None
    del found[0][found[1]]
    return write(trigger, steps)


def message_twice(trigger, steps):
    found = first(steps, lambda s, n: s[n].definition.startswith(("send_", "add_", "post_")))
    if not found:
        return None
    here, n = found
    here.insert(n, action(here[n].definition, **here[n].inputs))
    here[n].scope = here[n + 1].scope
    return write(trigger, steps)


def delete_for_update(trigger, steps):
    found = first(steps, lambda s, n: s[n].definition == "update_record")
    if not found:
        return None
    found[0][found[1]].definition = "delete_record"
    del found[0][found[1]].inputs["values"]
    return write(trigger, steps)


def other_reference(trigger, steps):
    for here in lists(steps):
        for step in here:
            for name, value in step.inputs.items():
                if step.kind == "acts" and name in ("to", "user", "message", "body") and "{{trigger." in str(value):
                    step.inputs[name] = re.sub(r"\{\{trigger\.[^{}]+", "{{trigger.record.quite_another", value, count=1)
                    return write(trigger, steps)
    return None


def trigger_condition_dropped(trigger, steps):
    kept = [i for i in trigger.inputs if i.name != "condition"]
    return write(Trigger(type=trigger.type, inputs=kept), steps) if len(kept) < len(trigger.inputs) else None


def bound_moved(trigger, steps):
    def bound(siblings, n):
        return re.search(r"[}a-z](>=|<=|>|<)-?\d+$", str(siblings[n].inputs.get("condition", "")))

    found = first(steps, bound)
    if not found:
        return None
    inputs = found[0][found[1]].inputs
    turn = {">=": ">", "<=": "<", ">": ">=", "<": "<="}
    inputs["condition"] = re.sub(r"(>=|<=|>|<)(-?\d+)$", lambda m: turn[m[1]] + m[2], inputs["condition"])
    return write(trigger, steps)


PRESERVING = [
    look_up_first, if_else_exchanged, branches_reordered, elseif_nested, switch_as_ifs, end_for_else,
    filter_in_the_loop, clauses_reordered, blanks_and_empty_inputs, update_in_two,
]  # fmt: skip
CHANGING = [
    effect_first, references_left_behind, condition_inverted, guard_dropped, value_changed, effect_missing,
    message_twice, delete_for_update, other_reference, trigger_condition_dropped, bound_moved,
]  # fmt: skip


def edited(edit, flow):
    """The flow after one edit, or None where the edit does not apply."""
    return edit(*read(flow)) if flow.trigger else None
