"""Random well-formed flows with hostile names and values, for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from flowstudy.flows import Component, Flow, Input, Trigger

_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
_TRICKY = st.text(alphabet=' |#="\\[].:\n{}<>&aB1é\u2028', max_size=10)
TEXTS = st.one_of(_TEXT, _TRICKY)
VALUES = st.one_of(
    TEXTS,
    st.integers(),
    st.booleans(),
    st.none(),
    st.lists(TEXTS, max_size=2),
    st.dictionaries(TEXTS, TEXTS, max_size=2),
)
INPUTS = st.lists(st.builds(Input, name=TEXTS, value=VALUES), max_size=3)


@st.composite
def flows(draw: st.DrawFn, max_steps: int = 6) -> Flow:
    """Flows with orders 1..n and blocks that name open flow logic; names and values are arbitrary."""
    components: list[Component] = []
    path: list[int] = []
    for order in range(1, draw(st.integers(0, max_steps)) + 1):
        path = path[: draw(st.integers(0, len(path)))]
        category = draw(st.sampled_from(["action", "subflow", "flowlogic"]))
        component = Component(
            category=category,
            definition=draw(st.one_of(st.sampled_from(["IF", "FOREACH", "trigger", "a_b"]), TEXTS)),
            scope=draw(st.one_of(st.sampled_from(["global", "itsm", "", "a.b"]), TEXTS)),
            order=order,
            block=path[-1] if path else None,
            annotation=draw(st.one_of(st.none(), TEXTS)),
            inputs=draw(INPUTS),
        )
        components.append(component)
        if category == "flowlogic":
            path.append(order)
    trigger = draw(st.one_of(st.none(), st.builds(Trigger, type=TEXTS, inputs=INPUTS)))
    return Flow(trigger=trigger, components=components)
