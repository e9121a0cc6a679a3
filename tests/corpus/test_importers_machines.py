"""Whatever the graph of a machine: where it becomes a tree, the tree visits the same states in the same order."""

from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st

from flowstudy.corpus.importers.machines import Handler, State, reached, tree
from flowstudy.corpus.importers.records import Refused
from flowstudy.corpus.importers.steps import Step


class Failed(Exception):
    pass


class Ended(Exception):
    pass


class Names:
    """A maker whose steps are named after their states; conditions are the numbers of rules."""

    def __init__(self, states):
        self.states, self.data = states, self

    def joined(self, others):
        return self

    def after(self, writer, place):
        return self

    def step(self, name):
        return Step("END" if self.states[name].kind in ("Succeed", "Fail") else "task", name)

    def label(self, name):
        return name

    def question(self, name, places):
        return None, [str(place) for place in places]


@st.composite
def machines(draw):
    """States 0 to n that lead only forward, what each choice decides, and which states with a handler fail."""
    count = draw(st.integers(2, 9))
    states, decided, fail = {}, {}, set()
    for n in range(count):
        ahead = st.integers(n + 1, count - 1).map(str) if n < count - 1 else st.none()
        kind = draw(st.sampled_from(["Task", "Task", "Choice", "Succeed", "Fail"])) if n < count - 1 else "Task"
        state = State(kind, None)
        if kind == "Choice":
            state.rules = draw(st.lists(ahead, min_size=1, max_size=3))
            state.next = draw(st.none() | ahead)
            decided[str(n)] = draw(st.sampled_from([*range(len(state.rules)), None]))
        elif kind == "Task":
            state.next = draw(st.none() | ahead)
            if n < count - 1 and draw(st.booleans()):
                state.handlers = [Handler(draw(ahead), "", "$")]
                fail |= {str(n)} if draw(st.booleans()) else set()
        states[str(n)] = state
    return states, decided, fail


def source(states, decided, fail):
    at, trace = "0", []
    while at is not None:
        state = states[at]
        if state.kind == "Choice":
            rule = decided[at]
            at = state.next if rule is None else state.rules[rule]
        else:
            trace.append(at)
            at = state.handlers[0].target if at in fail else state.next
    return trace


def run(steps, decided, fail, trace):
    taken = True
    for place, step in enumerate(steps):
        if step.definition == "task":
            trace.append(step.name)
            if step.name in fail:
                raise Failed
        elif step.definition == "END":
            trace += [step.name] if step.name else []
            raise Ended
        elif step.definition == "TRY":
            try:
                run(step.children, decided, fail, trace)
            except Failed:
                run(steps[place + 1].children, decided, fail, trace)
        elif step.definition in ("IF", "ELSEIF", "ELSE"):
            if step.definition == "IF":
                rule, taken = decided[step.name], False
            if (
                not taken
                and step.inputs.get("condition") in (str(rule), None)
                and (rule is None) == (step.definition == "ELSE")
            ):
                taken = True
                run(step.children, decided, fail, trace)


@settings(max_examples=400, deadline=None)
@given(machines(), st.booleans())
def test_a_tree_visits_the_states_of_its_machine(machine, may_end):
    states, decided, fail = machine
    try:
        steps = tree(states, "0", Names(states), [], may_end=may_end)
    except Refused:
        return
    trace = []
    with contextlib.suppress(Ended):
        run(steps, decided, fail, trace)
    ends = [name for name in source(states, decided, fail) if may_end or states[name].kind != "Succeed"]
    assert trace == ends


def test_states_are_listed_from_the_start_on():
    assert reached({"a": State("Task", "b"), "b": State("Task", None), "c": State("Task", "a")}, "a") == ["a", "b"]
