"""JSON Lines with a requirement and a flow, as ServiceNow published them, whatever the fields are called.

The flow is JSON in the published format or an outline, as an object or as text; a Logic Apps definition or an n8n
workflow in its place is converted. A field that names a file is not followed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final, get_args

from flowstudy.corpus.example import Split
from flowstudy.corpus.importers.building import as_input, finish
from flowstudy.corpus.importers.logic_apps import convert_logic_apps, is_logic_apps
from flowstudy.corpus.importers.n8n import convert_n8n, is_n8n
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
    "wait": "WAIT", "waitforduration": "WAIT", "block": "BLOCK",
}  # fmt: skip
#: Repairs of `parse_flow` after which the flow may not be what was written.
_LOSSY: Final = frozenset({"blocks_dropped", "drafts_removed", "json_syntax", "prose_removed"})


def is_published(document: Any) -> bool:
    """Whether a value is a row with a requirement and a flow, or a list of such rows."""
    row = document[0] if isinstance(document, list) and document else document
    return isinstance(row, dict) and bool(_flows(row)) and bool(_text(row) or "messages" in row)


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
    row = _from_messages(row)
    given = row.get("id", row.get("uid"))
    id = str(given) if isinstance(given, (str, int)) and str(given).strip() else source.id
    text = _text(row)
    source = replace(source, id=id, text=text or source.text, domain=_word(row.get("domain")) or source.domain)
    flows = _flows(row)
    if not flows:
        raise Refused(f"no flow: expected one of {', '.join(FLOWS)}")
    for known, convert in ((is_logic_apps, convert_logic_apps), (is_n8n, convert_n8n)):
        if known(flows[0]):
            yield from convert(flows[0], source)
            return
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
    titles = [title for title in [_word(row.get("title"))] if title]
    record = finish(
        source.id, source, read[0], redactor, lost, titles=titles, notes=notes, features=features, licence=licence
    )
    if record.example:
        record.example.references.extend(read[1:])
        if row.get("split") in get_args(Split):
            record.example.split = row["split"]
    return record


def _flow(value: Any, redactor: Redactor, lost: list[str], notes: list[str]) -> Flow:
    parsed = parse_flow(_plain_logic(value))
    if parsed.flow is None:
        raise Refused(f"not a flow: {parsed.error}")
    faults = structure_faults(parsed.flow)
    if faults:
        raise Refused(f"the flow is not well formed: {'; '.join(faults[:3])}")
    if not (parsed.flow.components or parsed.flow.trigger):
        raise Refused("an empty flow")
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


def _plain_logic(value: Any) -> Any:
    """A flow object (or its JSON text) whose flow logic has our names: `For Each` is FOREACH, `End Flow` is END."""
    if isinstance(value, str):
        try:
            value = parse_json(re.sub(r"^\s*```\w*\n|\n```\s*$", "", value))
        except Refused:
            return value
    components = value.get("components") if isinstance(value, dict) else None
    if not isinstance(components, list):
        return value
    named = [_named(component) for component in components]
    trigger = value.get("trigger")
    value = {key: item for key, item in value.items() if key in ("trigger", "inputs", "outputs")}
    value["components"] = named
    if isinstance(trigger, dict) and trigger.get("type") in ("none", "", None):
        value["trigger"] = None
    return value


def _named(component: Any) -> Any:
    if not isinstance(component, dict) or not isinstance(component.get("definition"), str):
        return component
    kind = str(component.get("category") or component.get("type") or "").lower()
    name = _LOGIC.get(re.sub(r"[^a-z]", "", component["definition"].lower()))
    if name and kind.replace("_", "").replace(" ", "") == "flowlogic":
        return {**component, "definition": name, "scope": "global"}
    return component


def _from_messages(row: dict[str, Any]) -> dict[str, Any]:
    """A row of chat messages: the last user message asks, the last assistant message answers."""
    messages = row.get("messages") or row.get("conversations")
    if not isinstance(messages, list):
        return row
    said = {m.get("role", m.get("from")): m.get("content", m.get("value")) for m in messages if isinstance(m, dict)}
    found = {"requirement": said.get("user", said.get("human")), "flow": said.get("assistant", said.get("gpt"))}
    return {**{k: v for k, v in found.items() if v}, **row}


def _text(row: dict[str, Any]) -> str:
    return next((text for text in (_word(row.get(name)) for name in TEXTS) if text), "")


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
