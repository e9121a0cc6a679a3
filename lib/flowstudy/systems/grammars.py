"""The outline over the offered names as a regular expression, for constrained decoding (`decoding: grammar`).

It holds names, input names and the shape of lines; nesting and values are free. Known to raise validity and to lower
accuracy of small models, so it is an arm of the study, not its default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from flowstudy.flows.catalogue import Catalogue, InputDef, StepDef
from flowstudy.flows.schema import FLOW_LOGIC
from flowstudy.systems.prompts.offering import LOGIC_INPUTS
from flowstudy.systems.records import Suggestion

_VALUE = r"[^|\n]+"
_NAME = "[A-Za-z0-9_.]+"


def outline_grammar(suggestions: Sequence[Suggestion], catalogue: Catalogue) -> str:
    """A regular expression that a numbered outline of the offered triggers and steps matches from end to end.

    Any trigger is allowed where none was offered, any step where no step was.
    """
    triggers = {s.name: catalogue.triggers.get(s.name, StepDef()).inputs for s in suggestions if s.kind == "trigger"}
    steps: dict[str, Mapping[str, InputDef]] = {}
    for kind, shelf in (("action", catalogue.actions), ("subflow", catalogue.subflows)):
        for s in suggestions:
            if s.kind == kind:
                steps[f"{kind} {s.name}"] = shelf.get(s.name, StepDef()).inputs
    start = _either([_line(name, inputs) for name, inputs in triggers.items()] or [_any_line(_NAME)])
    logic = [_line(name, LOGIC_INPUTS.get(name, {})) for name in sorted(FLOW_LOGIC)]
    anything = [_any_line(f"(action|subflow) {_NAME}")]
    lines = _either([*logic, *([_line(name, inputs) for name, inputs in steps.items()] or anything)])
    return f"trigger {start}(\\n(  )*[0-9]+ {lines})*"


def _line(name: str, inputs: Mapping[str, InputDef]) -> str:
    given = f"( [|] {_either([re.escape(one) for one in inputs])} :?= {_VALUE})*" if inputs else ""
    return re.escape(name).replace("\\ ", " ").replace("\\_", "_") + given


def _any_line(name: str) -> str:
    return f"{name}( [|] {_NAME} :?= {_VALUE})*"


def _either(choices: Sequence[str]) -> str:
    return f"({'|'.join(choices)})"
