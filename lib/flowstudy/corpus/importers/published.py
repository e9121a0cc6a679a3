"""JSON Lines with a requirement and a flow, as ServiceNow published them, whatever the fields are called.

The flow is JSON in the published format or an outline, as an object or as text; a workflow of a platform in its place
is converted. Rows may be chats. A field that names a file is not followed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, get_args

from flowstudy.corpus.example import Split
from flowstudy.corpus.importers.azure_operations import snake
from flowstudy.corpus.importers.building import as_input, finish
from flowstudy.corpus.importers.platforms import workflows_in
from flowstudy.corpus.importers.reading import parse_json
from flowstudy.corpus.importers.records import Imported, Refused, Source
from flowstudy.corpus.importers.redact import Redactor
from flowstudy.flows.outline import to_outline
from flowstudy.flows.parse import parse_flow
from flowstudy.flows.schema import Flow, structure_faults

TEXTS: Final = (
    "requirement", "instruction", "text", "utterance", "prompt", "question", "query", "request", "input", "description",
)  # fmt: skip
FLOWS: Final = (
    "references", "reference", "flow", "expected_flow", "output", "expected_output", "target", "expected", "completion",
    "response", "answer", "label", "ground_truth", "gold", "solution", "workflow", "definition", "json",
)  # fmt: skip
_LOGIC: Final = {
    "foreach": "FOREACH", "foreachloop": "FOREACH", "elseif": "ELSEIF", "dountil": "DOUNTIL", "until": "DOUNTIL",
    "if": "IF", "else": "ELSE", "parallel": "PARALLEL", "branch": "BRANCH", "try": "TRY", "catch": "CATCH",
    "switch": "SWITCH", "case": "CASE", "default": "DEFAULT", "end": "END", "endflow": "END", "terminate": "END",
    "wait": "WAIT", "waitforduration": "WAIT", "waitforadurationoftime": "WAIT", "block": "BLOCK",
    "dothefollowinguntil": "DOUNTIL", "dothefollowinginparallel": "PARALLEL",
}  # fmt: skip
#: Fields that an instruction stands in, and those that say what it is about.
_ABOUT: Final = dict.fromkeys(("instruction", "prompt", "question"), ("input", "context", "query", "request"))
_ROLE: Final = frozenset({"role", "from"})
#: Flow logic of ServiceNow that changes no order: actions here.
_ACTIONS: Final = frozenset({"setflowvariables", "assignsubflowoutputs", "getflowoutputs"})
#: Repairs of `parse_flow` after which the flow may not be what was written.
_LOSSY: Final = frozenset({"blocks_dropped", "drafts_removed", "json_syntax", "prose_removed"})


def is_published(document: Any) -> bool:
    """Whether a value is a row with a requirement and a flow, or a list of such rows."""
    rows = document if isinstance(document, list) else [document]
    spoken = (_spoken(row) for row in rows if isinstance(row, dict))
    return any(_flows(row) and _text(row)[0] for row in spoken)


def convert_published(document: Any, source: Source) -> Iterator[Imported]:
    """Every row of a parsed line or list."""
    rows = document if isinstance(document, list) else [document]
    for place, row in enumerate(rows, start=1):
        id = source.id if len(rows) == 1 else f"{source.id}#{place}"
        try:
            yield from _row(row, replace(source, id=id))
        except Refused as refusal:
            yield Imported(id, "refused", reason=str(refusal))


def _row(row: Any, source: Source) -> Iterator[Imported]:
    if not isinstance(row, dict):
        raise Refused(f"expected an object with a requirement and a flow, got {type(row).__name__}")
    row = _spoken(row)
    given = row.get("id", row.get("uid"))
    id = str(given) if isinstance(given, (str, int)) and str(given).strip() else source.id
    text, origin = _text(row)
    title = _word(row.get("title")) or _word(row.get("name"))
    source = replace(source, id=id, title=title, domain=_word(row.get("domain")) or source.domain)
    source = replace(source, text=text, text_from=origin) if text else source
    flows = _flows(row)
    if not flows:
        raise Refused(f"no flow: expected one of {', '.join(FLOWS)}")
    found = workflows_in(flows[0], source)
    for one in found:
        yield from one.records()
    if not found:
        yield _convert(flows, row, source)


def _convert(flows: list[Any], row: dict[str, Any], source: Source) -> Imported:
    redactor = Redactor()
    lost: list[str] = []
    notes: list[str] = []
    read = [_flow(flow, redactor, lost, notes) for flow in flows]
    features = row.get("features")
    licence = source.licence or _word(row.get("licence") or row.get("license"))
    features = dict(features) if isinstance(features, dict) else {}
    if isinstance(row.get("prior_flow"), dict):
        features["prior_flow"] = to_outline(_flow(row["prior_flow"], redactor, lost, notes))
        source = replace(source, text=f"{source.text}\n\nThe workflow so far:\n\n{features['prior_flow']}")
    record = finish(source.id, source, read[0], redactor, lost, notes=notes, features=features, licence=licence)
    if record.example:
        record.example.references.extend(read[1:])
        if row.get("split") in get_args(Split):
            record.example.split = row["split"]
    return record


def _flow(value: Any, redactor: Redactor, lost: list[str], notes: list[str]) -> Flow:
    parsed = parse_flow(_plain_logic(value, lost))
    if parsed.flow is None:
        raise Refused(f"not a flow: {parsed.error}")
    faults = structure_faults(parsed.flow)
    if faults:
        raise Refused(f"the flow is not well formed: {'; '.join(faults[:3])}")
    if not parsed.flow.components:
        raise Refused("a flow without a step")
    for name in parsed.repairs:
        (lost if name in _LOSSY else notes).append(f"repaired: {name}")
    return _masked(parsed.flow, redactor.text, lambda n, v: as_input(n, v, redactor).value)


def _masked(flow: Flow, text: Callable[[str], str], value: Callable[[str, Any], Any]) -> Flow:
    """The flow with every input and annotation masked, in place."""
    parts = [component.inputs for component in flow.components] + ([flow.trigger.inputs] if flow.trigger else [])
    for inputs in parts:
        for item in inputs:
            item.value = value(item.name, item.value) if isinstance(item.value, (str, dict, list)) else item.value
            item.name = text(item.name)
    for component in flow.components:
        component.annotation = component.annotation and text(component.annotation)
        component.definition, component.scope = text(component.definition), text(component.scope)
    if flow.trigger:
        flow.trigger.type = text(flow.trigger.type)
    return flow


def _plain_logic(value: Any, lost: list[str]) -> Any:
    """A flow object (or its JSON text) whose flow logic has our names: `For Each` is FOREACH, `End Flow` is END.

    Other names become actions and are told in `lost`.
    """
    if isinstance(value, str):
        try:
            value = parse_json(re.sub(r"^\s*```\w*\n|\n```\s*$", "", value))
        except Refused:
            return value
    components = value.get("components") if isinstance(value, dict) else None
    if not isinstance(components, list):
        return value
    named = [_named(component, lost) for component in components]
    trigger = value.get("trigger")
    value = {key: item for key, item in value.items() if key in ("trigger", "inputs", "outputs")}
    value["components"] = named
    if isinstance(trigger, dict) and trigger.get("type") in ("none", "", None):
        value["trigger"] = None
    return value


def _named(component: Any, lost: list[str]) -> Any:
    if not isinstance(component, dict) or not isinstance(component.get("definition"), str):
        return component
    kind = str(component.get("category") or component.get("type") or "").lower()
    if kind.replace("_", "").replace(" ", "") != "flowlogic":
        return component
    given = component["definition"]
    plain = re.sub(r"[^a-z]", "", given.lower())
    if plain in _LOGIC:
        return {**component, "definition": _LOGIC[plain], "scope": "global"}
    if plain not in _ACTIONS:
        lost.append(f"flow logic {given!r} is unknown: it is an action")
    return {**component, "category": "action", "definition": snake(given) or "step"}


def _spoken(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose lists of chat messages are texts: the last user message asks, the last assistant message answers."""
    row = dict(row)
    for key, value in list(row.items()):
        if not (isinstance(value, list) and value and all(isinstance(m, dict) and _ROLE & m.keys() for m in value)):
            continue
        said = {str(m.get("role", m.get("from"))): _content(m.get("content", m.get("value"))) for m in value}
        asked, answered = (said.get(a) or said.get(b) or "" for a, b in (("user", "human"), ("assistant", "gpt")))
        if key in ("messages", "conversations"):
            row = {"requirement": asked, "flow": answered, **row}
        else:
            row[key] = answered if key in FLOWS else asked
    return row


def _content(content: Any) -> str:
    """What a message says; the text parts of one that has several parts."""
    parts = content if isinstance(content, list) else [content]
    return "\n".join(_word(part.get("text") if isinstance(part, dict) else part) for part in parts).strip()


def _text(row: dict[str, Any]) -> tuple[str, str]:
    """The requirement of a row and the fields that it stands in: an instruction together with what it is about."""
    for name in TEXTS:
        if text := _word(row.get(name)):
            about = next((key for key in _ABOUT.get(name, ()) if _word(row.get(key))), "")
            return (f"{text}\n\n{_word(row[about])}", f"{name} and {about}") if about else (text, name)
    return "", ""


def _flows(row: dict[str, Any]) -> list[Any]:
    """The flows of the first field that holds some; texts that cannot be a flow (a path) are passed over."""
    for name in FLOWS:
        value = row.get(name)
        values = value if isinstance(value, list) else [value]
        found = [v for v in values if isinstance(v, dict) or (isinstance(v, str) and _may_be_flow(v))]
        if found:
            return found
    return []


def _may_be_flow(text: str) -> bool:
    text = text.strip()
    return text.startswith(("{", "[", "`", "trigger ", "action ", "subflow ", "inputs :=")) or "\n" in text


def _word(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
