"""From the outline that points back to a flow."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final

from flowstudy.flows.catalogue import Catalogue, StepDef
from flowstudy.flows.outline import from_outline, to_outline
from flowstudy.flows.schema import Flow, Input
from flowstudy.systems.pointers.targets import (
    MAX_CHOICES,
    MAX_INPUTS,
    STEP_KINDS,
    PointerError,
    Pointing,
    choices_of,
    step_def,
    step_head,
)
from flowstudy.systems.records import Suggestion

_LINE: Final = re.compile(r"( *)(?:(\d+)(?: |(?=<)))?(?:(<w\d+><w\d+>) ?)?(.*)")
_TIGHT: Final = re.compile(r"( \| [^ |\"]+ :?=)(?=<)")  # `table =<s3>`: a tokenizer may have swallowed the space
_HEAD: Final = re.compile(r"<s(\d+)>")
_VALUE_POINTER: Final = re.compile(r"<w(\d+)>(?:<w(\d+)>)?|<([sc])(\d+)>|<\\(\\*[swic]\d+>)")


def resolve(text: str, suggestions: Sequence[Suggestion], requirement: str, catalogue: Catalogue | None = None) -> str:
    """The plain outline of a pointed one, for `flows.outline.from_outline`.

    Raises PointerError naming the line and the pointer that points at nothing, and OutlineError (both are
    ValueErrors) for a line that is no outline text.
    """
    return to_outline(resolve_flow(text, suggestions, requirement, catalogue))


def resolve_flow(
    text: str, suggestions: Sequence[Suggestion], requirement: str, catalogue: Catalogue | None = None
) -> Flow:
    """Like `resolve`, but gives the flow itself."""
    to = Pointing(suggestions, requirement, catalogue)
    steps: list[StepDef | None] = []
    lines = []
    for number, line in enumerate(text.split("\n"), start=1):
        body, step = _resolve_head(to, line, number)
        lines.append(body)
        if body.strip(" ") and not body.strip(" ").startswith(("inputs := ", "outputs := ")):
            steps.append(step)
    flow = from_outline("\n".join(lines))
    trigger, tail = flow.trigger, steps
    if trigger is not None:
        trigger = trigger.model_copy(update={"inputs": _resolve_inputs(to, trigger.inputs, steps[0])})
        tail = steps[1:]
    components = [
        component.model_copy(
            update={
                "inputs": _resolve_inputs(to, component.inputs, step),
                "annotation": component.annotation and _resolve_text(to, component.annotation, []),
            }
        )
        for component, step in zip(flow.components, tail, strict=True)
    ]
    return flow.model_copy(update={"trigger": trigger, "components": components})


def _resolve_head(to: Pointing, line: str, number: int) -> tuple[str, StepDef | None]:
    """A line with a spelled head and spelled input names, and the definition of its step; values stay pointed."""
    match = _LINE.fullmatch(line)
    if match is None:
        return line, None
    indent, _, note, body = match.groups()
    body = _TIGHT.sub(r"\1 ", body)
    head, step = _HEAD.match(body), None
    if head is not None:
        item = _suggestion(to, int(head[1]), f"line {number}")
        if item.kind not in STEP_KINDS:
            raise PointerError(f"pointed outline line {number}: expected a step, got {head[0]}, a {item.kind}")
        step = step_def(item, to.catalogue)
        names = list(step.inputs)[:MAX_INPUTS] if step else []
        body = re.sub(r"<i(\d+)>(:= )?", _naming(names, number), body[head.end() :])
        body = f"{step_head(item.kind, item.name)}{body}".rstrip(" ")
    return f"{indent}{body} # {note}" if note else f"{indent}{body}", step


def _naming(names: list[str], line: int) -> Callable[[re.Match[str]], str]:
    def spell(match: re.Match[str]) -> str:
        if int(match[1]) >= len(names):
            got = f"expected one of {len(names)} inputs, got {match[0].strip()}"
            raise PointerError(f"pointed outline line {line}: {got}")
        return f" | {names[int(match[1])]} {'= ' if match[2] is None else ':= '}"

    return spell


def _resolve_inputs(to: Pointing, inputs: list[Input], step: StepDef | None) -> list[Input]:
    def value(item: Input) -> object:
        text = item.value
        return _resolve_text(to, text, _choices(step, item.name)) if isinstance(text, str) else text

    return [Input(name=item.name, value=value(item)) for item in inputs]


def _choices(step: StepDef | None, name: str) -> list[str]:
    return step.inputs[name].choices[:MAX_CHOICES] if step and name in step.inputs else []


def _resolve_text(to: Pointing, text: str, choices: list[str]) -> str:
    known = choices

    def replace(match: re.Match[str]) -> str:
        nonlocal known
        first, last, kind, number, literal = match.groups()
        if literal is not None:
            return f"<{literal}"
        if first is not None:
            return _words_text(to, int(first), int(last or first))
        if kind == "c":
            if int(number) >= len(known):
                got = f"expected one of {len(known)} choices, got {match[0]} in {text[:60]!r}"
                raise PointerError(f"pointed outline: {got}")
            return known[int(number)]
        item = _suggestion(to, int(number), repr(text[:60]))
        known = list(choices_of(item.name, to.catalogue))[:MAX_CHOICES] if item.kind == "column" else choices
        return item.name.rpartition(".")[2] if item.kind == "column" else item.name

    return _VALUE_POINTER.sub(replace, text)


def _words_text(to: Pointing, first: int, last: int) -> str:
    if not first <= last < len(to.words):
        raise PointerError(f"pointed outline: expected words 0 to {len(to.words) - 1}, got <w{first}><w{last}>")
    return to.requirement[to.words[first].start : to.words[last].end]


def _suggestion(to: Pointing, number: int, where: str) -> Suggestion:
    if number >= len(to.suggestions):
        got = f"expected one of {len(to.suggestions)} suggestions, got <s{number}>"
        raise PointerError(f"pointed outline {where}: {got}")
    return to.suggestions[number]
