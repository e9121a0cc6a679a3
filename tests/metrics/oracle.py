"""A slow, literal reading of the published measure on top of `zss`, written apart from the library, to check it."""

import json
import re

import zss

FREE = {
    "flow", "trigger", "components", "inputs", "outputs", "condition", "conditions", "email_conditions", "values",
    "fields", "field_values",
}  # fmt: skip
QUERIES = {"condition", "conditions", "email_conditions", "values", "fields", "field_values"}
TRIGGERS = {
    "record_create", "record_update", "record_create_or_update", "daily", "weekly", "monthly", "repeat", "run_once",
    "email", "sla_task", "service_catalog", "metric", "rest_async",
}  # fmt: skip
OPERATOR = (
    "(?<![A-Z=,])(?:VALCHANGES|RELATIVEGT|RELATIVEGE|RELATIVELE|RELATIVELT|BETWEEN|CHANGESTO|CHANGESFROM|EMPTYSTRING|"
    "ISEMPTY|ISNOTEMPTY|STARTSWITH|ENDSWITH|SAMEAS|NOTON|NOT LIKE|NOT IN|LIKE|NOT|IN|ON|!=|>=|<=|=|>|<)"
)


def read(text):
    if "```json" in text:
        text = text[text.index("```json") + 7 : text.rindex("```")]
    text = text.strip()
    text = text[7:] if text.startswith("```json") else text
    text = text[:-3] if text.endswith("```") else text
    try:
        return json.loads(text.strip())
    except json.JSONDecodeError:
        return {"trigger": None, "components": []}


def tree(flow, inputs):
    root = zss.Node("flow")
    if "trigger" in flow:
        node = zss.Node("trigger")
        root.addkid(node)
        trigger = flow["trigger"]
        if trigger is not None:
            kind = zss.Node(trigger.get("type", ""))
            node.addkid(kind)
            if inputs and "inputs" in trigger:
                kind.addkid(inputs_node(trigger["inputs"]))
    for side in ("inputs", "outputs"):
        if side in flow:
            node = zss.Node(side)
            root.addkid(node)
            for item in [] if flow[side] is None else flow[side].get("items", []):
                label = f"{item.get('name', '')}: {item.get('type', 'string')}"
                if item.get("type", "string") in ["reference", "records"] and "reference" in item:
                    label += f" [{item['reference']}]"
                node.addkid(zss.Node(label))
    if "components" in flow:
        node = zss.Node("components")
        root.addkid(node)
        steps = flow["components"]
        for step in [s for s in steps if s.get("block") is None]:
            node.addkid(step_node(step, steps, inputs))
    return root


def step_node(step, steps, inputs):
    category, definition = step.get("category", "action"), step.get("definition", "")
    definition = definition.upper() if category == "flowlogic" else definition
    node = zss.Node(f"{category}___{definition}___{step.get('scope', 'global')}")
    if inputs and "inputs" in step:
        node.addkid(inputs_node(step["inputs"]))
    own = step.get("order", -100)
    for other in steps:
        if not other.get("order", -999) <= own and other.get("block", -999) == own:
            node.addkid(step_node(other, steps, inputs))
    return node


def inputs_node(inputs):
    node = zss.Node("inputs")
    for each in inputs:
        if not isinstance(each.get("name", ""), str):
            raise TypeError("name")
    for each in sorted(inputs, key=lambda each: each.get("name", "")):
        name, value = each.get("name", ""), each.get("value", "")
        if name in QUERIES:
            child = zss.Node(name)
            child.addkid(query_node(str(value)))
        else:
            child = zss.Node(f"{name}: {value}")
        node.addkid(child)
    return node


def query_node(query):
    if query in ("^EQ", "a to z"):
        return zss.Node("")
    join = r"\^EQ|\^OR|\^NQ|\^|OR"
    clauses = []
    for part in re.split(join, query):
        found = list(re.finditer(OPERATOR, part))
        if len(found) != 1:
            return zss.Node("")
        operator = found[0].group()
        field, value = part[: found[0].start()], part[found[0].end() :]
        if field.strip() == operator or value.strip() == operator:
            return zss.Node("")
        clauses.append((field, operator, value))
    clauses.sort(key=lambda clause: clause[0])
    return chain(clauses, sorted(re.findall(join, query)))


def chain(clauses, joins):
    field, operator, value = clauses[0]
    node = zss.Node(field, [zss.Node(operator), zss.Node(value)])
    return node if len(clauses) == 1 else zss.Node(joins[0], [node, chain(clauses[1:], joins[1:])])


def single(node):
    return 0 if node.label in FREE or node.label == "" else 1


def relabel(a, b):
    if a.label == b.label:
        return 0
    strong = any(n.label in TRIGGERS or n.label.startswith(("action", "flowlogic", "subflow")) for n in (a, b))
    return 2 if strong else 1


def distance(a, b):
    return zss.distance(a, b, zss.Node.get_children, insert_cost=single, remove_cost=single, update_cost=relabel)


def printed(node):
    return "\n".join([f"{len(node.children)}:{node.label}", *map(printed, node.children)])


def length(node):
    rows = [row for row in printed(node).split("\n") if re.match(r"^\d+:", row)]
    return sum(row.split(":")[1] not in FREE for row in rows)


def similarity(candidate, reference, inputs):
    try:
        a, b = tree(candidate, inputs), tree(reference, inputs)
        total, cost = length(a) + length(b), distance(a, b)
    except (TypeError, AttributeError, KeyError, ValueError, RecursionError):
        return 0.0
    return 1 - cost / total if total else 1.0


def edges(node):
    own = {(node.label, child.label) for child in node.children}
    return own.union(*map(edges, node.children)) - {("flow", "trigger"), ("flow", "components")}


def bleu(candidate, reference, inputs):
    try:
        a, b = edges(tree(candidate, inputs)), edges(tree(reference, inputs))
    except (TypeError, AttributeError, KeyError, ValueError, RecursionError):
        return 0.0
    return len(a & b) / len(b) if b else 0.0
