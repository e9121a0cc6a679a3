"""What slices are made of: structure, size, references and the authored labels of an example."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from flowstudy.corpus.environments import CORE, shipped_catalogue
from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.flows.schema import REFERENCE, Flow

#: Largest number of steps in each size bucket.
SIZES: Final = {3: "1-3", 7: "4-7", 15: "8-15", 30: "16-30"}
#: Authored labels: the words or places concerned, or True/False.
LABELS: Final = ("implicit_step", "implicit_condition", "enterprise_step")


def compute(example: Example, catalogue: Catalogue) -> dict[str, Any]:
    """Features of an example from its main reference, its own labels kept.

    `trigger` (type or "none"), `constructs` (sorted flow logic), `depth` (0 for a flat flow), `steps`, `size` (bucket),
    `data_references` (how many), `references` (acceptable flows), and the labels; `enterprise_step` is computed
    when it is not authored: a scoped step of the catalogue that the platform core does not have.
    """
    flow = example.flow
    found: dict[str, Any] = {
        "trigger": flow.trigger.type if flow.trigger else "none",
        "constructs": sorted({c.definition for c in flow.components if c.is_logic}),
        "depth": depth(flow),
        "steps": flow.steps,
        "size": size_bucket(flow.steps),
        "data_references": len(REFERENCE.findall(_values(flow))),
        "references": len(example.references),
        "implicit_step": False,
        "implicit_condition": False,
        "enterprise_step": enterprise_steps(flow, catalogue),
    }
    return found | example.features


def size_bucket(steps: int) -> str:
    """1-3, 4-7, 8-15, 16-30 or 31+ steps; 0 steps are in the first."""
    return next((name for most, name in SIZES.items() if steps <= most), "31+")


def depth(flow: Flow) -> int:
    """How many pieces of flow logic enclose the deepest component; 0 for a flat or empty flow."""
    level: dict[int | None, int] = {None: 0}
    for component in flow.components:
        level[component.order] = level.get(component.block, 0) + 1
    return max((level.get(c.block, 0) for c in flow.components), default=0)


def enterprise_steps(flow: Flow, catalogue: Catalogue) -> list[str]:
    """Steps that only this environment has: scoped, in its catalogue, not in the platform core."""
    core = shipped_catalogue(CORE).steps()
    steps = catalogue.steps()
    keys = (c.key for c in flow.components if not c.is_logic and c.scope != "global")
    return sorted({key for key in keys if key in steps and key not in core})


def slices(features: dict[str, Any]) -> Iterator[str]:
    """The slices that computed features put an example in, e.g. `size 4-7`, `with FOREACH`, `implicit_step`."""
    yield f"size {features['size']}"
    yield f"trigger {features['trigger']}"
    yield from (f"with {name}" for name in features["constructs"])
    if not features["constructs"]:
        yield "without flow logic"
    yield from (label for label in LABELS if features.get(label))
    if features["data_references"]:
        yield "data_references"
    if features["references"] > 1:
        yield "several references"


def _values(flow: Flow) -> str:
    parts = [c.inputs for c in flow.components] + ([flow.trigger.inputs] if flow.trigger else [])
    return "\n".join(i.value if isinstance(i.value, str) else json.dumps(i.value) for p in parts for i in p)
