"""The workflow format: the JSON published with StarFlow / BigDocs-Sketch2Flow, as pydantic models.

A flow is one trigger and a flat list of components. `order` numbers the components 1..n in document order;
`block` holds the order of the enclosing flow logic, or None at the top level. Flows are compared and stored as
JSON; `Flow.to_json` writes the canonical text.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

FLOW_LOGIC: Final = frozenset({
    "IF", "ELSEIF", "ELSE", "FOREACH", "DOUNTIL", "PARALLEL", "BRANCH", "BLOCK", "TRY", "CATCH", "SWITCH", "CASE",
    "DEFAULT", "END", "WAIT",
})  # fmt: skip
#: A component that must follow one of these at the same level (its "opener").
FOLLOWS: Final = {
    "ELSEIF": frozenset({"IF", "ELSEIF"}),
    "ELSE": frozenset({"IF", "ELSEIF"}),
    "CATCH": frozenset({"TRY", "CATCH"}),
}
#: A component that must stand directly inside one of these.
INSIDE: Final = {
    "BRANCH": frozenset({"PARALLEL"}),
    "BLOCK": frozenset({"PARALLEL"}),
    "CASE": frozenset({"SWITCH"}),
    "DEFAULT": frozenset({"SWITCH"}),
}
#: Inputs whose value is an encoded query: `field` operator `value`, joined by `^` (and) or `^OR` (or).
QUERY_INPUTS: Final = frozenset({"condition", "conditions", "email_conditions", "values", "fields", "field_values"})
#: A data reference in a text, `{{step.3.record}}`: what stands between the braces.
REFERENCE: Final = re.compile(r"\{\{([^{}]*)\}\}")

Category = Literal["action", "subflow", "flowlogic"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Input(_Part):
    """One named input. `value` is any JSON value; mostly a string, an encoded query or a `{{reference}}`."""

    name: str
    value: Any = ""


class Trigger(_Part):
    """What starts the flow, e.g. `record_create` with the inputs `table` and `condition`."""

    type: str
    inputs: list[Input] = Field(default_factory=list)


class Component(_Part):
    """One step: an action, a subflow, or a piece of flow logic that may enclose others."""

    category: Category = "action"
    definition: str
    scope: str = "global"
    order: int = Field(ge=1)
    block: int | None = None
    annotation: str | None = None
    inputs: list[Input] = Field(default_factory=list)

    @property
    def is_logic(self) -> bool:
        return self.category == "flowlogic"

    @property
    def key(self) -> str:
        """How catalogues and suggestions name it: `definition`, or `scope.definition` outside `global`."""
        return self.definition if self.scope == "global" else f"{self.scope}.{self.definition}"

    def input(self, name: str, default: Any = None) -> Any:
        """Value of the first input called `name`, or `default`."""
        return next((i.value for i in self.inputs if i.name == name), default)


class Item(_Part):
    """One entry of a subflow's signature (flow-level inputs or outputs)."""

    name: str
    type: str = "string"
    reference: str | None = None


class Signature(_Part):
    """Flow-level inputs or outputs of a subflow."""

    items: list[Item] = Field(default_factory=list)


class Flow(_Part):
    """A workflow. A valid flow also passes `structure_faults`; `parse_flow` guarantees both."""

    trigger: Trigger | None = None
    components: list[Component] = Field(default_factory=list)
    inputs: Signature | None = None
    outputs: Signature | None = None

    @property
    def steps(self) -> int:
        """Number of components, flow logic included."""
        return len(self.components)

    def to_dict(self) -> dict[str, Any]:
        """The published JSON object, without absent annotations and signatures; `block` is always written."""
        flow = self.model_dump()
        for part, key in [(flow, "inputs"), (flow, "outputs"), *((c, "annotation") for c in flow["components"])]:
            if part[key] is None:
                del part[key]
        return flow

    def to_json(self, indent: int | None = None) -> str:
        """Canonical JSON text (keys in schema order, non-ASCII characters kept)."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def without_inputs(self) -> Flow:
        """The outline of the flow: every component and the trigger, no inputs, annotations kept."""
        trigger = self.trigger and Trigger(type=self.trigger.type)
        return self.model_copy(
            update={
                "trigger": trigger,
                "components": [c.model_copy(update={"inputs": []}) for c in self.components],
            }
        )

    def skeleton(self) -> Flow:
        """Every component and the trigger, without inputs and annotations."""
        return self.without_inputs().without_annotations()

    def without_annotations(self) -> Flow:
        """The flow without what its author wrote beside the steps."""
        return self.model_copy(
            update={"components": [c.model_copy(update={"annotation": None}) for c in self.components]}
        )


def structure_faults(flow: Flow) -> list[str]:
    """What is wrong with orders, blocks and the places of flow logic; empty for a well-formed flow.

    >>> structure_faults(Flow(components=[Component(definition="a", order=1, block=7)]))
    ['component 1: block 7 names no earlier flow logic']
    """
    faults: list[str] = []
    logic: dict[int, str] = {}
    previous: dict[int | None, str] = {}
    path: list[int] = []
    for place, component in enumerate(flow.components, start=1):
        where, block = f"component {place}", component.block
        name = component.definition if component.is_logic else ""
        if component.order != place:
            faults.append(f"{where}: order {component.order}, expected {place}")
        if block is not None and block not in logic:
            faults.append(f"{where}: block {block} names no earlier flow logic")
        else:
            while path and path[-1] != block:
                path.pop()
            if block is not None and not path:
                faults.append(f"{where}: block {block} was already left by an earlier component")
        if name in FOLLOWS and previous.get(block, "") not in FOLLOWS[name]:
            faults.append(f"{where}: {name} does not follow {' or '.join(sorted(FOLLOWS[name]))}")
        if name in INSIDE and logic.get(block or 0) not in INSIDE[name]:
            faults.append(f"{where}: {name} is not inside {' or '.join(sorted(INSIDE[name]))}")
        previous[block] = name
        if component.is_logic:
            if name not in FLOW_LOGIC:
                faults.append(f"{where}: unknown flow logic {name!r}")
            logic[component.order] = name
            path.append(component.order)
    return faults
