"""What all exporters share: a flow as nested blocks, the names of its steps, values, and what an export gives back."""

from __future__ import annotations

import difflib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from flowstudy.corpus.importers.building import humanised
from flowstudy.corpus.importers.records import Imported
from flowstudy.flows.outline import to_outline
from flowstudy.flows.schema import REFERENCE, Component, Flow

_FOLLOWERS: Final = frozenset({"ELSEIF", "ELSE", "CATCH"})
_SCALAR: Final = re.compile(r"-?(?:0|[1-9]\d{0,14})(?:\.\d{1,12})?|true|false")
_WHOLE: Final = re.compile(r"\{\{([^{}]*)\}\}")


class Exported(NamedTuple):
    """A definition of a platform. `lost`: what it does not say, as the lines of the flow's outline that are read back
    otherwise (`-` as it was, `+` as it is), and references that have no place there. `to_fill`: what a person must
    write before it can run."""

    document: dict[str, Any]
    lost: list[str]
    to_fill: list[str]


class Reference(NamedTuple):
    """What stands in `{{step.3.record.id}}`: the step (None: the trigger), a variable ("": none), and the keys."""

    step: int | None
    variable: str
    keys: list[str]


@dataclass
class Node:
    """A component with what stands inside it, its name in the definition, and the inner machines around it: the
    orders of the BRANCH and FOREACH components, outermost first."""

    component: Component
    name: str
    scope: tuple[int, ...]
    children: list[Node] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """The flow logic that it is; "" for a step."""
        return self.component.definition if self.component.is_logic else ""

    @property
    def given(self) -> dict[str, Any]:
        """Its inputs by name."""
        return {one.name: one.value for one in self.component.inputs}


def nested(flow: Flow, most: int = 80) -> dict[int | None, Node]:
    """Every component by its order, and the whole flow under None. Names have at most `most` characters, each once."""
    root = Node(Component(category="flowlogic", definition="BLOCK", order=1), "", ())
    nodes: dict[int | None, Node] = {None: root}
    used: Counter[str] = Counter()
    for component in flow.components:
        parent = nodes[component.block]
        inner = (
            (parent.component.order,) if parent is not root and parent.kind in ("BRANCH", "BLOCK", "FOREACH") else ()
        )
        words = component.annotation or humanised(component.definition.lower() if component.is_logic else component.key)
        plain = " ".join(re.sub(r"[^\w .,()'-]", " ", words).split())[:most] or f"step {component.order}"
        used[plain] += 1
        while used[plain] > 1:
            plain = f"{plain[: most - 6]} {component.order}"
            used[plain] += 1
        nodes[component.order] = Node(component, plain, parent.scope + inner)
        parent.children.append(nodes[component.order])
    return nodes


def groups(nodes: Sequence[Node]) -> list[list[Node]]:
    """Openers with what follows them (IF with ELSEIF and ELSE, TRY with CATCH), up to the first END: nothing runs
    after it."""
    found: list[list[Node]] = []
    for node in nodes:
        if found and node.kind in _FOLLOWERS:
            found[-1].append(node)
            continue
        if found and found[-1][0].kind == "END":
            break
        found.append([node])
    return found


def reference(text: str) -> Reference | None:
    """What the text between the braces of a reference names; None where that is no step, trigger or variable."""
    head, *keys = text.strip().split(".")
    if head == "trigger":
        return Reference(None, "", keys)
    if head == "variable" and keys and re.fullmatch(r"[A-Za-z_]\w*", keys[0]):
        return Reference(None, keys[0], keys[1:])
    if head == "step" and keys and keys[0].isdecimal():
        return Reference(int(keys[0]), "", keys[1:])
    return None


def whole(text: Any) -> str | None:
    """What is between the braces of a text that is one reference; None for other values."""
    match = _WHOLE.fullmatch(text) if isinstance(text, str) else None
    return match[1] if match else None


def pieces(text: str) -> Iterator[tuple[str, str]]:
    """A text as pairs: what stands before a reference, and the reference ("" at the end)."""
    at = 0
    for match in REFERENCE.finditer(text):
        yield text[at : match.start()], match[1]
        at = match.end()
    yield text[at:], ""


def scalar(text: str) -> Any:
    """A number or truth value that an import wrote as text; any other text as it is."""
    return json.loads(text) if _SCALAR.fullmatch(text) else text


def closed(flat: dict[str, Any]) -> dict[str, Any]:
    """Dotted names as objects in objects, the reverse of what imports do: `{"a.b": 1}` gives `{"a": {"b": 1}}`. A name
    whose place is taken stays dotted."""
    made: dict[str, Any] = {}
    for name, value in flat.items():
        parts = name.split(".")
        at: Any = made
        for part in parts[:-1]:
            at = at.setdefault(part, {}) if isinstance(at, dict) and part else None
        if isinstance(at, dict) and parts[-1] and parts[-1] not in at:
            at[parts[-1]] = value
        else:
            made[name] = value
    return made


def checked(
    flow: Flow, document: dict[str, Any], lost: list[str], to_fill: list[str], read: Callable[[], Imported]
) -> Exported:
    """The definition with all that our own importer does not read back."""
    record = read()
    if record.example is None:
        return Exported(document, [*lost, f"the definition is not read back: {record.reason}"], to_fill)
    back = record.example.flow
    lines = difflib.ndiff(_lines(flow), _lines(back))
    changed = [line for line in lines if line[0] in "+-"]
    if len(flow.components) == len(back.components) and not changed:
        pairs = zip(flow.components, back.components, strict=True)
        changed = [f"annotation of component {a.order}: {a.annotation}" for a, b in pairs
                   if a.annotation and " ".join(a.annotation.split()) != b.annotation]  # fmt: skip
    return Exported(document, list(dict.fromkeys([*lost, *changed])), to_fill)


def same(flow: Flow, other: Flow) -> bool:
    """Whether two flows say the same: all but annotations, inputs in any order."""
    return _lines(flow) == _lines(other)


def _lines(flow: Flow) -> list[str]:
    parts = [one.model_copy(update={"inputs": sorted(one.inputs, key=lambda i: i.name)}) for one in flow.components]
    trigger = flow.trigger and flow.trigger.model_copy(
        update={"inputs": sorted(flow.trigger.inputs, key=lambda i: i.name)}
    )
    return to_outline(flow.model_copy(update={"components": parts, "trigger": trigger}).without_annotations()).split(
        "\n"
    )
