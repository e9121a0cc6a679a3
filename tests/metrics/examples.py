"""Random flows for property tests: clean ones, mutated ones, and hostile JSON."""

from hypothesis import strategies as st

from flowstudy.flows.schema import Component, Flow, Input, Item, Signature, Trigger
from flowstudy.metrics.reader import read
from flowstudy.metrics.strict import strict_trees

NAMES = st.sampled_from(["table", "subject", "condition", "values", "record", "action_x", "fields"])
VALUES = st.sampled_from(
    [
        "incident", "1", 1, 1.0, True, None, ["a", 1], {"b": 2}, "priority=1^active=true", "active=true^priority=1",
        "a=1^ORb=2", "stateISEMPTY", "note=a=b", "Send a mail to Bob", "Send an email to Bob", "", "email", "x\n12:30",
        "{{trigger.record}}", "Please call {{step.1.user}} about it", "^EQ", "ORDERED", "a=1^EQ",
    ]
)  # fmt: skip
INPUTS = st.lists(st.builds(Input, name=NAMES, value=VALUES), max_size=3)
TRIGGERS = st.builds(Trigger, type=st.sampled_from(["daily", "email", "record_create"]), inputs=INPUTS)
SIGNATURES = st.builds(
    Signature,
    items=st.lists(
        st.builds(Item, name=st.sampled_from(["user", "task"]), type=st.sampled_from(["string", "reference"])),
        max_size=2,
    ),
)


@st.composite
def flows(draw, most=6):
    """A well-formed flow; every flow logic here may enclose steps."""
    steps, path = [], []
    for order in range(1, draw(st.integers(0, most)) + 1):
        path = path[: draw(st.integers(0, len(path)))]
        logic = draw(st.booleans())
        definition = draw(st.sampled_from(["IF", "FOREACH"] if logic else ["send_email", "log", "create_task"]))
        block = path[-1] if path else None
        category = "flowlogic" if logic else draw(st.sampled_from(["action", "subflow"]))
        steps.append(Component(category=category, definition=definition, order=order, block=block, inputs=draw(INPUTS)))
        if logic:
            path.append(order)
    return Flow(trigger=draw(st.none() | TRIGGERS), components=steps, outputs=draw(st.none() | SIGNATURES), inputs=None)


ODD = st.sampled_from(
    [None, True, False, 0, 1, 2, 1.0, -999, -100, "1", "2", "", "IF", [], [1], {}, "flow", float("nan"), "email"]
)
HOSTILE_INPUT = ODD | st.fixed_dictionaries({}, optional={"name": NAMES | ODD, "value": VALUES | ODD})
HOSTILE_INPUTS = ODD | st.lists(HOSTILE_INPUT, max_size=3)
HOSTILE_STEP = st.fixed_dictionaries(
    {},
    optional={
        "category": st.sampled_from(["action", "flowlogic", "subflow", "Flowlogic"]) | ODD,
        "definition": st.sampled_from(["IF", "if", "log", "straße"]) | ODD,
        "scope": st.sampled_from(["global", "x"]) | ODD,
        "order": st.integers(1, 4) | st.integers(1, 4) | ODD,
        "block": st.none() | st.integers(1, 4) | ODD,
        "inputs": HOSTILE_INPUTS,
    },
)
#: Mostly plain integer orders without a repeated one per level, so that published trees stay small enough for zss.
HOSTILE_FLOW = st.fixed_dictionaries(
    {},
    optional={
        "trigger": ODD | st.fixed_dictionaries({}, optional={"type": ODD | st.just("daily"), "inputs": HOSTILE_INPUTS}),
        "components": ODD | st.lists(HOSTILE_STEP, max_size=5) | st.lists(HOSTILE_STEP | ODD, max_size=4),
        "inputs": ODD | st.fixed_dictionaries({}, optional={"items": HOSTILE_INPUTS}),
        "outputs": ODD
        | st.fixed_dictionaries(
            {},
            optional={
                "items": st.lists(
                    st.fixed_dictionaries(
                        {},
                        optional={
                            "name": ODD | NAMES,
                            "type": ODD | st.sampled_from(["reference", "records", "string"]),
                            "reference": ODD,
                        },
                    ),
                    max_size=3,
                )
            },
        ),
    },
)
HOSTILE = HOSTILE_FLOW | HOSTILE_FLOW | HOSTILE_FLOW | ODD | st.lists(ODD | st.just("trigger"), max_size=2)


def strict_tree(flow, inputs=True):
    """The tree by which the strict convention compares a flow."""
    return strict_trees(read(flow).outline)[inputs]
