"""A flow as an indented outline: what people read, and what a small model may write. Loss-free both ways.

    trigger record_create | table = incident | condition = priority=1^active=true
    IF | condition = priority=1
      action ask_for_approval | approver = {{trigger.record.manager}} # the manager approves
    action itsm.create_incident | urgency := 1

One line per component, two spaces per level. `name = value` holds a string, `name := json` any other JSON value
(and strings that a plain line could not carry). A trailing ` # ` starts the annotation. A step is named
`scope.definition`, or `definition` alone in the scope `global`; a name that is not plain is a JSON pair of both. A line
may begin with the number of its component, which counts for nothing: place decides.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, NamedTuple

from flowstudy.flows.schema import FLOW_LOGIC, Component, Flow, Input, Signature, Trigger

_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_\-/]+")
_PLAIN_VALUE: Final = re.compile(  # no space at either end, no separator, no control character
    r"(?! )(?!.* $)(?!.* [|#] )(?!.* [|#]$)(?![|#] )(?![|#]$)[^\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]+"
)
_NUMBER: Final = re.compile(r"\A\d+ (?=[A-Za-z])")
_SPLIT: Final = re.compile(r" (\||#) ")
_INPUT: Final = re.compile(r'("(?:[^"\\]|\\.)*"|[^"= ][^= ]*?) ?(:?=) ?')


class OutlineError(ValueError):
    """A line that is not outline text. `line` counts from 1."""

    def __init__(self, line: int, rule: str, got: str) -> None:
        super().__init__(f"outline line {line}: expected {rule}, got {got[:80]!r}")
        self.line = line


def to_outline(flow: Flow, *, numbered: bool = False) -> str:
    """The outline of a well-formed flow; `from_outline` gives back an equal flow. Empty flow: empty text.

    With `numbered`, each component begins with its number, which is what `{{step.3.record}}` names.
    """
    signatures = [("inputs", flow.inputs), ("outputs", flow.outputs)]
    lines = [f"{name} := {_json(items.model_dump())}" for name, items in signatures if items is not None]
    if flow.trigger is not None:
        lines.append(f"trigger {_name('global', flow.trigger.type)}{_inputs(flow.trigger.inputs)}")
    depth: dict[int | None, int] = {None: 0}
    for component in flow.components:
        level = depth.get(component.block, 0)
        depth[component.order] = level + 1
        number = f"{component.order} " if numbered else ""
        lines.append("  " * level + number + component_line(component))
    return "\n".join(lines)


def component_line(component: Component) -> str:
    """One component without indentation."""
    head = component.definition
    if not (component.is_logic and head in FLOW_LOGIC and component.scope == "global"):
        head = f"{component.category} {_name(component.scope, component.definition)}"
    note = "" if component.annotation is None else f" # {_value(component.annotation)}"
    return head + _inputs(component.inputs) + note


def from_outline(text: str, *, strict: bool = False) -> Flow:
    """Read an outline. Raises OutlineError naming the first line that is not outline text.

    With `strict` also for steps below an action, which are else taken as its followers, and for a step that stands
    between two levels.
    """
    flow = Flow()
    stack: list[tuple[int, int | None]] = [(-1, None)]
    for number, line in enumerate(re.split(r"\r\n?|\n", text), start=1):
        body = line.strip(" ")
        if not body:
            continue
        if _read_header(flow, body, number):
            continue
        level = len(line) - len(line.lstrip(" "))
        left = level
        while stack[-1][0] >= level:
            left = stack.pop()[0]
        if strict and left != level:
            raise OutlineError(number, f"{left} blanks at the beginning, as above", line)
        if strict and len(stack) > 1 and stack[-1][1] == stack[-2][1]:
            raise OutlineError(number, "a step further in to stand below flow logic, not below an action", line)
        body = _NUMBER.sub("", body)
        component = _read_component(body, number, order=flow.steps + 1, block=stack[-1][1])
        flow.components.append(component)
        stack.append((level, component.order if component.is_logic else stack[-1][1]))
    return flow


def _read_header(flow: Flow, body: str, number: int) -> bool:
    word, _, rest = body.partition(" ")
    if word in ("inputs", "outputs") and rest.startswith(":= "):
        setattr(flow, word, Signature.model_validate(_loads(rest[3:], number)))
    elif word == "trigger":
        if flow.trigger is not None or flow.components:
            raise OutlineError(number, "one trigger, before all steps", body)
        parts = _parts(rest, number)
        flow.trigger = Trigger(type=_read_name(parts.head, number).definition, inputs=parts.inputs)
    else:
        return False
    return True


def _read_component(body: str, number: int, order: int, block: int | None) -> Component:
    word, _, rest = body.partition(" ")
    if word in ("action", "subflow", "flowlogic"):
        parts = _parts(rest, number)
        name = _read_name(parts.head, number)
        place: dict[str, Any] = {"category": word, "definition": name.definition, "scope": name.scope}
    elif word in FLOW_LOGIC:
        parts = _parts(f"_ {rest}" if rest else "_", number)
        if parts.head != "_":
            raise OutlineError(number, f"` | name = value` after {word}", body)
        place = {"category": "flowlogic", "definition": word}
    else:
        raise OutlineError(number, "`trigger`, `action`, `subflow` or flow logic in capitals", body)
    return Component(**place, order=order, block=block, inputs=parts.inputs, annotation=parts.annotation)


class _Name(NamedTuple):
    scope: str
    definition: str


class _Line(NamedTuple):
    head: str
    inputs: list[Input]
    annotation: str | None


def _parts(text: str, number: int) -> _Line:
    """Head, inputs and annotation; JSON is read as far as it goes, so that it may hold any separator."""
    if text.startswith("["):
        _, at = _decode(text, 0, number)
    else:
        at = end.start() if (end := _SPLIT.search(text)) else len(text)
    head = text[:at].strip(" ")
    inputs: list[Input] = []
    while at < len(text):
        mark = _SPLIT.match(text, at)
        if mark is None:
            raise OutlineError(number, "` | ` or ` # ` between parts", text[at:])
        if mark[1] == "#":
            return _Line(head, inputs, _read_value(text[mark.end() :], number))
        item, at = _read_input(text, mark.end(), number)
        inputs.append(item)
    return _Line(head, inputs, None)


def _read_input(text: str, at: int, number: int) -> tuple[Input, int]:
    match = _INPUT.match(text, at)
    if match is None:
        raise OutlineError(number, "`name = value` or `name := json`", text[at:])
    name = _loads(match[1], number) if match[1].startswith('"') else match[1]
    if match[2] == ":=":
        value, end = _decode(text, match.end(), number)
    else:
        end = stop.start() if (stop := _SPLIT.search(text, match.end() - 1)) else len(text)
        value = text[match.end() : end].strip(" ")
    return Input(name=name, value=value), end


def _read_name(head: str, number: int) -> _Name:
    if head.startswith("["):
        pair = _loads(head, number)
        if not (isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)):
            raise OutlineError(number, 'a name, or ["scope", "definition"]', head)
        return _Name(*pair)
    scope, dot, definition = head.rpartition(".")
    parts = (scope.replace(".", ""), definition) if dot else (definition,)
    if not all(_PLAIN_NAME.fullmatch(part) for part in parts):
        raise OutlineError(number, 'a name, or ["scope", "definition"]', head)
    return _Name(scope if dot else "global", definition)


def _read_value(text: str, number: int) -> str:
    return str(_loads(text, number)) if text.startswith('"') else text.strip(" ")


def _name(scope: str, definition: str) -> str:
    if not (_PLAIN_NAME.fullmatch(definition) and _PLAIN_NAME.fullmatch(scope)):
        return _json([scope, definition])
    return definition if scope == "global" else f"{scope}.{definition}"


def _inputs(inputs: list[Input]) -> str:
    return "".join(f" | {_input(i)}" for i in inputs)


def _input(item: Input) -> str:
    name = item.name if re.fullmatch(r"[A-Za-z0-9_.\-]+", item.name) else _json(item.name)
    if isinstance(item.value, str) and (not item.value or _PLAIN_VALUE.fullmatch(item.value)):
        return f"{name} = {item.value}".rstrip(" ")
    return f"{name} := {_json(item.value)}"


def _value(text: str) -> str:
    plain = _PLAIN_VALUE.fullmatch(text) and not text.startswith('"')
    return text if plain else _json(text)


def _json(value: Any) -> str:
    return json.dumps(value)


def _decode(text: str, at: int, number: int) -> tuple[Any, int]:
    try:
        return json.JSONDecoder().raw_decode(text, at)
    except (ValueError, RecursionError):
        raise OutlineError(number, "JSON", text[at:]) from None


def _loads(text: str, number: int) -> Any:
    value, end = _decode(text, 0, number)
    if text[end:].strip(" "):
        raise OutlineError(number, "one JSON value", text)
    return value
