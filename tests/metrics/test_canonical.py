"""What means nothing costs nothing, and references count by what they point at."""

import itertools
import json
import random
import re
from collections import Counter

import pytest
import zss
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstudy.flows.parse import parse_flow
from flowstudy.metrics import behaviour, diff_text, explain, flow_similarity, signature
from flowstudy.metrics.kernel import tree_distance
from flowstudy.metrics.strict import strict_book, strict_group
from tests.metrics.behaviour_edits import blanks_and_empty_inputs, branches_reordered, clauses_reordered, edited
from tests.metrics.examples import strict_tree
from tests.metrics.test_strict import flow, step

NAMES = st.sampled_from(["look_up_record", "notify"])


def reference(number, path="record.caller"):
    return f"{{{{step.{number}.{path}}}}}"


@st.composite
def linked_flows(draw, most=6):
    """A flow whose steps refer to each other, to the trigger and to nothing, with nested logic and arms."""
    steps, path = [], []
    count = draw(st.integers(1, most))
    for order in range(1, count + 1):
        path = path[: draw(st.integers(0, len(path)))]
        inside = path[-1][1] if path else ""
        logic = {"PARALLEL": ["BRANCH"], "SWITCH": ["CASE", "CASE", "DEFAULT"]}.get(inside)
        logic = logic or draw(st.sampled_from([[], [], ["IF", "FOREACH", "PARALLEL", "SWITCH"]]))
        name = draw(st.sampled_from(logic)) if logic else draw(NAMES)
        texts = st.sampled_from(["x", "{{ trigger.record.caller }}", "{{step.99.record}}", "Dear {{step.1.record}}, hi",
                                 f"state={reference(min(2, count), 'record.state')}^a=1", "bIN2,1^ORa=1"]) | st.builds(
            reference, st.integers(1, count), st.sampled_from(["record", "item", "record.caller.manager"])
        )  # fmt: skip
        inputs = draw(st.dictionaries(st.sampled_from(["to", "condition", "value"]), texts, max_size=2))
        steps.append(step(name, order, path[-1][0] if path else None, "flowlogic" if logic else "action", **inputs))
        if logic:
            path.append((order, name))
    return flow(*steps, trigger={"type": "daily", "inputs": [{"name": "note", "value": draw(texts)}]})


def shifted(given, new, *, right):
    """`given` with one step first: references set right, or left as they were."""
    last = len(given["components"]) if right else 0
    moved = lambda m: f"{m[1]}{int(m[2]) + (int(m[2]) <= last)}"  # noqa: E731
    found = json.loads(re.sub(r"(\{\{ *step\.)(\d+)", moved, json.dumps(given)))
    for each in found["components"]:
        each["order"] += 1
        each["block"] = each["block"] and each["block"] + 1
    found["components"].insert(0, new)
    return found


CHAIN = flow(
    step("look_up_record", 1, table="incident"),
    step("FOREACH", 2, category="flowlogic", items=reference(1, "records")),
    step("notify", 3, 2, to=reference(2, "item.caller.manager"), text=f"About {reference(1)} and {reference(2)}"),
    step("update_record", 4, 2, record=reference(2, "item"), values=f"owner={reference(1, 'record.owner')}^state=1"),
    step("IF", 5, category="flowlogic", condition=f"{reference(1, 'record.state')}=2^ORa={reference(4)}"),
    step("notify", 6, 5, to="{{trigger.record.caller}}", body=[{"of": reference(3)}]),
)


@pytest.mark.parametrize("name", ["irrelevant", "look_up_record", "notify"])
def test_a_step_put_first_costs_one_step_if_references_are_set_right(name):
    right, broken = (explain(shifted(CHAIN, step(name), right=right), CHAIN) for right in (True, False))
    assert right.distance == 1 and right.similarity > broken.similarity
    assert broken.distance == 1 + 7 + 2, "seven inputs and values refer to a step, and one field, which costs 2"


@settings(max_examples=60, deadline=None)
@given(linked_flows(), NAMES | st.just("irrelevant"))
def test_broken_references_never_win(original, name):
    """Whatever a step refers to: what runs later, the step itself and what does not exist, too."""
    original["trigger"]["inputs"] = []
    right, broken = (explain(shifted(original, step(name), right=right), original) for right in (True, False))
    assert right.distance == 1
    assert right.similarity >= broken.similarity


def at(change):
    """CHAIN changed by `change`, a function of its components."""
    found = json.loads(json.dumps(CHAIN))
    change({each["order"]: {i["name"]: i for i in each["inputs"]} for each in found["components"]})
    return found


@pytest.mark.parametrize(
    ("place", "name", "value"),
    [
        (3, "to", reference(1, "item.caller.manager")),
        (3, "to", reference(2, "item.caller")),
        (3, "text", f"About {reference(1)} and {reference(1)}"),
        (4, "record", reference(4, "item")),
        (4, "record", reference(99, "item")),
        (6, "to", "{{trigger.record}}"),
        (6, "body", [{"of": reference(6)}]),
        (6, "body", [{"of": reference(4)}]),
    ],
)
def test_another_target_or_path_is_one_edit(place, name, value):
    """The item of a loop, a path, a longer text, the step itself, a missing step, the trigger, a nested value."""
    wrong = at(lambda parts: parts[place][name].update(value=value))
    (edit,) = explain(wrong, CHAIN).changes
    assert (edit.cost, edit.candidate.component, edit.candidate.input) == (1, place, name)


def test_dangling_and_later_references_equal_only_themselves():
    same = [step("a", 1), step("a", 2), step("a", 3)]
    uses = [flow(*same, step("b", 4, to=reference(n))) for n in (1, 2, 3, 4, 7, 8)]
    uses += [flow(step("b", 1, to=reference(n)), *(step("a", k) for k in (2, 3, 4))) for n in (2, 3)]
    for k, one in enumerate(uses):
        assert [flow_similarity(one, other) == 1 for other in uses] == [k == j for j in range(len(uses))]


def test_names_cannot_be_forged():
    honest = flow(step("a", 1), step("b", 2, to=reference(1)))
    label = strict_tree(honest).labels[-1][-1]
    assert "step.1" not in label
    forged = flow(step("a", 1), step("b", 2, to=label))
    assert flow_similarity(forged, honest) < 1
    assert flow_similarity(forged, forged) == 1
    assert any(edit.candidate.text == f"to: {label}" for edit in explain(forged, honest).changes)


def test_braces_may_be_escaped_in_json():
    honest = json.dumps(flow(step("a", 1), step("b", 2, to=reference(1))))
    escaped = honest.replace("{{", r"\u007B\u007b")
    assert flow_similarity(escaped, honest) == 1
    moved = shifted(json.loads(honest), step("z"), right=True)
    assert explain(json.dumps(moved).replace("{{", r"\u007b{"), escaped).distance == 1


def test_odd_names_of_steps():
    odd = [flow(step(name, 1), step("b", 2, to=reference(1))) for name in ("a}}", "a]", "a,b", "{{a", "a b", "a%5D")]
    assert all((flow_similarity(x, y) == 1) == (x is y) for x in odd for y in odd)
    assert {explain(each, each).edits[-1].candidate.text for each in odd} == {f"to: {reference(1)}"}


def test_inputs_of_one_name_are_a_set():
    """A query and a text among them."""
    given = [{"name": "condition", "value": value} for value in ("a=1", "incident", "a=1^b=2", [1])]
    both = [{**step("log"), "inputs": order} for order in (given, given[::-1])]
    assert flow_similarity(flow(both[0]), flow(both[1])) == 1


def test_blanks_and_empty_inputs():
    tidy = flow(step("a", 1), step("b", 2, to=reference(1), text="Dear {{trigger.record.caller}}"))
    blank = flow(
        step("a", 1, note="", more=None, those=[], last=" "),
        step("b", 2, to="  {{ step . 1.record .caller }} ", text="Dear {{  trigger.record.caller\n}}\t", also={}),
    )
    assert flow_similarity(blank, tidy) == 1
    assert flow_similarity(blank, tidy, strings="similar") == 1
    for value in (False, 0, "0", [0]):
        assert flow_similarity(flow(step("a", wait=value)), flow(step("a"))) < 1, "a value that says something"


def arms(kind, *bodies, names="BRANCH"):
    """PARALLEL or SWITCH with an arm for each list of (definition, inputs), and a step behind that refers to them."""
    steps = [step("ask", 1), step(kind, 2, None, "flowlogic")]
    for head, body in bodies:
        logic = "DEFAULT" if head is None else names
        steps.append(step(logic, len(steps) + 1, 2, "flowlogic", **({"value": head} if head else {})))
        block = len(steps)
        for name, inputs in body:
            place = {"SELF": str(block + 1)}
            given = {key: value.replace("SELF", place["SELF"]) for key, value in inputs.items()}
            steps.append(step(name, len(steps) + 1, block, **given))
    return steps


BODIES = [
    ("", [("ask", {"who": "a"}), ("notify", {"to": "{{step.SELF.record}}"})]),
    ("", [("ask", {"who": "b"}), ("notify", {"to": "{{step.SELF.record}}"})]),
    ("", [("log", {"of": "{{step.1.record}}"})]),
]


def behind(steps, who):
    """The flow with a last step that refers to the `ask` of that person."""
    asked = next(s["order"] for s in steps if {"name": "who", "value": who} in s["inputs"])
    return flow(*steps, step("close", len(steps) + 1, record=reference(asked)))


def test_branches_in_any_order():
    whole = behind(arms("PARALLEL", *BODIES), "a")
    for order in itertools.permutations(BODIES):
        turned = behind(arms("PARALLEL", *order), "a")
        assert flow_similarity(turned, whole) == 1 == flow_similarity(turned, whole, inputs=False)
        wrong = explain(behind(arms("PARALLEL", *order), "b"), whole)
        assert wrong.distance == 1, "the other branch is meant"
        (edit,) = wrong.changes
        asked = next(s["order"] for s in turned["components"] if {"name": "who", "value": "b"} in s["inputs"])
        assert edit.candidate.text == f"record: {reference(asked)}", "the number that people see"
        numbers = {e.candidate.component for e in wrong.edits if e.candidate and e.candidate.component}
        assert numbers == set(range(1, len(turned["components"]) + 1))


@pytest.mark.parametrize(
    ("heads", "free"),
    [
        (("1", "2", None), True), (("1", "2,3", None), True), (("1", "2,1", None), False), (("1", None, "2"), False),
        (("1", "{{trigger.x}}", None), False), (("", "2", None), False),
    ],
)  # fmt: skip
def test_cases_in_another_order(heads, free):
    """CASEs that exclude each other by constants; DEFAULT stays last."""
    bodies = [(head, [("log", {"of": str(head)})]) for head in heads]
    turned = [bodies[1], bodies[0], bodies[2]]
    pair = [flow(*arms("SWITCH", *each, names="CASE")) for each in (bodies, turned)]
    assert (flow_similarity(*pair) == 1) == free


def test_loops_and_conditions_keep_their_order():
    steps = [step("a", 1), step("b", 2)]
    assert flow_similarity(flow(*steps), flow(step("b", 1), step("a", 2))) < 1
    for logic in ("BRANCH", "TRY", "IF"):
        inside = [step(logic, 1, None, "flowlogic"), step("a", 2, 1), step("b", 3, 1)]
        turned = [inside[0], step("b", 2, 1), step("a", 3, 1)]
        assert flow_similarity(flow(*inside), flow(*turned)) < 1


@settings(max_examples=60, deadline=None)
@given(linked_flows())
def test_shuffling_inputs_means_nothing(original):
    parsed = parse_flow(original)
    assert strict_tree(original) == strict_tree(parsed.flow)
    for each in original["components"]:
        random.Random(1).shuffle(each["inputs"])
    assert strict_tree(original)[:3] == strict_tree(parsed.flow)[:3]


@settings(max_examples=30, deadline=None)
@given(linked_flows(), linked_flows(), linked_flows())
def test_a_metric_on_canonical_flows_and_the_plain_distance_of_named_trees(a, b, c):
    """Identity, symmetry, triangle; zss, a plain tree edit distance, on the same labels finds the same."""
    trees = [strict_tree(each) for each in (a, b, c)]
    x, y, z = (strict_book().encode(tree) for tree in trees)
    there = tree_distance(x, y)
    assert there == tree_distance(y, x) and (there == 0) == (x == y)
    assert tree_distance(x, z) <= there + tree_distance(y, z)
    assert there == oracle(trees[0], trees[1])
    found = explain(a, b)
    assert sum(edit.cost for edit in found.edits) == found.distance == there
    for edit in found.edits:
        for place, side in ((edit.candidate, a), (edit.reference, b)):
            assert place is None or "{{[" not in place.text
            numbers = {each["order"] for each in side["components"]}
            assert place is None or place.component in numbers | {0, None}


def oracle(first, second):
    def node(tree):
        nodes = [zss.Node(label) for label in tree.labels]
        for child, above in zip(nodes[1:], tree.parents[1:], strict=True):
            nodes[above].addkid(child)
        return nodes[0]

    def weight(one):
        return int(one.label != ("flow",))

    def relabel(one, other):
        if one.label == other.label:
            return 0
        groups = strict_group(one.label), strict_group(other.label)
        return 1 if groups[0] == groups[1] != () else 2

    return zss.distance(node(first), node(second), zss.Node.get_children, weight, weight, relabel)


def test_edits_name_steps_as_they_are_written():
    wrong = at(lambda parts: parts[4]["values"].update(value=f"owner={reference(2, 'item.owner')}^state=1"))
    text = diff_text(explain(wrong, CHAIN))
    assert "owner = {{step.2.item.owner}}" in text and "owner = {{step.1.record.owner}}" in text


def test_what_it_cannot_see_behaviour_can():
    """A negated condition is one small edit, and does the contrary."""

    def guarded(operator):
        return flow(
            step("IF", 1, None, "flowlogic", condition=f"priority{operator}1"),
            step("send_email", 2, 1, to="{{trigger.record.caller}}", subject="Hello"),
            trigger={"type": "record_create", "inputs": [{"name": "table", "value": "incident"}]},
        )

    first, second = (parse_flow(guarded(operator)).flow for operator in ("=", "!="))
    assert explain(first, second).distance == 1
    assert not behaviour(first, second).same


def test_signatures():
    assert signature() == "FlowSim|v2|strict|inputs|refs:best|strings:exact"
    options = [{"inputs": False}, {"strings": "similar"}, {"convention": "published"}, {"references": "first"}, {}]
    assert max(Counter(signature(**each) for each in options).values()) == 1


@pytest.mark.parametrize("edit", [branches_reordered, clauses_reordered, blanks_and_empty_inputs])
def test_edits_that_change_nothing_score_one(edit):
    """The edits by which behaviour is tested, on a flow of the corpus's kind."""
    whole = behind(arms("PARALLEL", *BODIES[:2]), "a")
    whole["trigger"] = {"type": "daily", "inputs": []}
    whole["components"][0]["inputs"] = [{"name": "conditions", "value": "state=1^active=true"}]
    original = parse_flow(whole).flow
    changed = edited(edit, original)
    assert changed is not None and changed != original
    assert flow_similarity(changed, original) == 1
