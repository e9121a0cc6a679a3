"""Azure Logic Apps and Power Automate: ARM templates, `workflow.json` and `definition.json`.

Every action of the source becomes one component, in the order and nesting of `run_after.nest`:

| source | flow | | source | flow |
|---|---|---|---|---|
| If, else | IF, ELSE | | Terminate | END |
| Switch | SWITCH with CASE, DEFAULT | | Delay | WAIT |
| Foreach / Until | FOREACH / DOUNTIL | | Workflow | subflow |
| Scope | its steps, in place; a TRY where something handles its failure | | anything else | action |

An action is named after its connector (scope) and operation. Its name in the source, or the author's comment on it, is
its annotation. What stands beside its inputs and changes what runs (time limits, retries, how many at once) is kept as
inputs. Empty `else` and `default` parts, positions, and connection settings are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from flowstudy.corpus.importers.azure_expressions import References, condition
from flowstudy.corpus.importers.azure_operations import PLUMBING, beside, operation, snake
from flowstudy.corpus.importers.building import as_input, finish, humanised
from flowstudy.corpus.importers.records import MAX_LEVELS, Imported, Refused, Source
from flowstudy.corpus.importers.redact import Redactor
from flowstudy.corpus.importers.run_after import nest
from flowstudy.corpus.importers.steps import Step, to_flow, without_plumbing
from flowstudy.flows.schema import Flow, Input, Trigger

_WORKFLOW: Final = re.compile(r"microsoft\.logic/workflows|microsoft\.flow/flows", re.IGNORECASE)
_DEPLOYMENT: Final = "microsoft.resources/deployments"
_VERSION: Final = re.compile(r"schemas/([\w-]+)/workflowdefinition", re.IGNORECASE)
#: Versions of the definition language that this reads; older ones had no `runAfter`.
VERSIONS: Final = ("2016-06-01", "2015-08-01-preview")
_MOST_TEMPLATES: Final = 20


@dataclass
class _Found:
    """A definition with what stands around it."""

    definition: dict[str, Any]
    name: str = ""
    texts: list[tuple[str, str]] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    connections: dict[str, str] = field(default_factory=dict)


def is_logic_apps(document: Any) -> bool:
    """Whether a JSON value holds a workflow definition, or a template that could."""
    return next(_definitions(document, 0), None) is not None


def convert_logic_apps(document: Any, source: Source) -> Iterator[Imported]:
    """Every workflow in a parsed template or definition; one refusal when there is none."""
    found = list(_definitions(document, 0))
    if not found:
        yield Imported(source.id, "refused", reason="no workflow definition (`triggers` and `actions`) in it")
    for place, one in enumerate(found):
        suffix = f"#{snake(one.name) or place + 1}" if len(found) > 1 else ""
        yield _convert(one, source, source.id + suffix)


def _convert(found: _Found, source: Source, id: str) -> Imported:
    workflow = _Workflow(found, source.drop_plumbing)
    try:
        flow = workflow.flow()
    except Refused as refusal:
        return Imported(id, "refused", reason=workflow.redactor.text(str(refusal)))
    return finish(
        id, source, flow, workflow.redactor, workflow.lost, texts=found.texts, titles=found.titles, notes=workflow.notes
    )


def _definitions(document: Any, depth: int) -> Iterator[_Found]:
    """Definitions in a document: bare, wrapped in `definition` or `properties`, or in the resources of a template."""
    if depth > _MOST_TEMPLATES:
        return
    if not isinstance(document, dict):
        return
    properties = _dict(document.get("properties"))
    for holder in (properties, document):
        definition = holder.get("definition")
        if isinstance(definition, dict) and _is_definition(definition):
            yield _resource(document, properties, definition)
            return
    if _is_definition(document):
        yield _resource({}, {}, document)
        return
    yield from _in_template(document, depth)


def _in_template(template: dict[str, Any], depth: int) -> Iterator[_Found]:
    resources = template.get("resources")
    resources = list(resources.values()) if isinstance(resources, dict) else resources
    for resource in resources if isinstance(resources, list) else []:
        if not isinstance(resource, dict):
            continue
        kind = str(resource.get("type") or "").lower()
        inner = _dict(resource.get("properties")).get("template") if kind == _DEPLOYMENT else resource
        if kind and kind != _DEPLOYMENT and not _WORKFLOW.search(kind) and "resources" not in resource:
            continue
        for found in _definitions(inner, depth + 1):
            metadata = _dict(template.get("metadata"))
            found.name = _resolved(found.name, template)
            found.texts = [(_resolved(text, template), of) for text, of in found.texts] + _texts(metadata)
            found.titles = [_resolved(text, template) for text in found.titles] + _strings(metadata.get("title"))
            yield found


def _is_definition(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    parts = [value[key] for key in ("triggers", "actions") if key in value]
    return bool(parts) and all(isinstance(part, dict) for part in parts) and (len(parts) == 2 or "$schema" in value)


def _resource(resource: dict[str, Any], properties: dict[str, Any], definition: dict[str, Any]) -> _Found:
    texts = [*_texts(properties), *_texts(_dict(definition.get("metadata"))), *_texts(definition)]
    titles = _strings(properties.get("displayName"), resource.get("name"))
    name = next(iter(_strings(resource.get("name"))), "")
    return _Found(definition, name, texts, titles, _connections(properties))


def _connections(properties: dict[str, Any]) -> dict[str, str]:
    """Connection key (lower case) to service, where the resource says it."""
    given = _dict(_dict(_dict(properties.get("parameters")).get("$connections")).get("value"))
    found: dict[str, str] = {}
    for key, connection in given.items():
        match = re.search(r"managedApis/([\w-]+)", str(_dict(connection).get("id") or ""), re.IGNORECASE)
        if match:
            found[key.lower()] = match[1]
    for key, reference in _dict(properties.get("connectionReferences")).items():
        api = _dict(_dict(reference).get("api")).get("name")
        if isinstance(api, str):
            found[key.lower()] = api.removeprefix("shared_")
    return found


def _texts(metadata: dict[str, Any]) -> list[tuple[str, str]]:
    steps = metadata.get("mainSteps")
    described = _strings(metadata.get("description"), metadata.get("summary"))
    if described and isinstance(steps, list) and len(described[0].split()) < 12:
        described[0] = " ".join([described[0], *_strings(*steps)])
    remarks = _strings(metadata.get("comments"), metadata.get("comment"))
    return [*((text, "description") for text in described), *((text, "comment") for text in remarks)]


def _strings(*values: Any) -> list[str]:
    return [value.strip() for value in values if isinstance(value, str) and value.strip()]


_ARM: Final = re.compile(r"\[\s*(parameters|variables)\(\s*'([^']+)'\s*\)\s*\]")


def _resolved(text: str, template: dict[str, Any]) -> str:
    """A text that names a parameter or variable of the template, as its value; "" where that is an expression."""
    for _ in range(3):
        match = _ARM.fullmatch(text)
        if match is None:
            break
        value = _dict(template.get(match[1])).get(match[2])
        value = value.get("defaultValue") if match[1] == "parameters" and isinstance(value, dict) else value
        text = value if isinstance(value, str) else ""
    return "" if text.startswith("[") and text.endswith("]") else text


class _Workflow:
    """Converts one definition."""

    def __init__(self, found: _Found, drop_plumbing: bool) -> None:
        self._found, self._drop = found, drop_plumbing
        self._aliases: dict[str, str] = {}
        self._references = References({}, {})
        self._depth = 0
        self.redactor = Redactor()
        self.lost: list[str] = []
        self.notes: list[str] = []

    def flow(self) -> Flow:
        """The flow. Raises Refused."""
        definition = self._found.definition
        self._check_version(str(definition.get("$schema") or ""))
        steps = self._level(_dict(definition.get("actions")))
        if self._drop:
            steps = without_plumbing(steps)
        return to_flow(self._trigger(_dict(definition.get("triggers"))), steps, self._writer)

    def _check_version(self, schema: str) -> None:
        match = _VERSION.search(schema)
        if match is None or match[1] in VERSIONS:
            return
        if match[1].startswith("2014"):
            raise Refused(f"schema version {match[1]}: expected {VERSIONS[0]} (older definitions have no runAfter)")
        self.lost.append(f"schema version {match[1]} is unknown: read as {VERSIONS[0]}")

    def _level(self, actions: Mapping[str, Any]) -> list[Step]:
        if self._depth == MAX_LEVELS:
            raise Refused(f"nested deeper than {MAX_LEVELS} levels")
        self._depth += 1
        steps = nest(actions, lambda name: self._steps(name, actions[name]), _scope_note, self.lost, self.notes)
        self._depth -= 1
        return steps

    def _inside(self, action: Mapping[str, Any], key: str = "actions") -> list[Step]:
        return self._level(_dict(action.get(key)))

    def _steps(self, name: str, action: Any) -> list[Step]:
        if not isinstance(action, dict):
            self.lost.append(f"action {name}: expected an object, got {type(action).__name__}")
            return []
        kind = str(action.get("type") or "").lower()
        maker = _MAKERS.get(kind)
        if maker is None:
            return self._action(name, kind, action)
        steps = maker(self, action)
        if steps and kind != "scope":
            steps[0].name, steps[0].annotation = name, _note(name, action)
            steps[0].inputs |= beside(action)
        elif beside(action):
            self.lost.append(f"{', '.join(beside(action))} of the scope {name}")
        return steps

    def _action(self, name: str, kind: str, action: Mapping[str, Any]) -> list[Step]:
        done = operation(str(action.get("type") or "step"), action, self._found.connections)
        plumbing = kind in PLUMBING
        if plumbing and self._drop:
            handed = done.inputs.get("content" if kind == "parsejson" else "value")
            if isinstance(handed, str):
                self._aliases[name] = handed
        note = _note(name, action)
        step = Step(done.definition, name, done.category, done.scope, note, done.inputs, plumbing=plumbing)
        inner = [key for key in ("actions", "tools") if isinstance(action.get(key), dict) and action[key]]
        if not inner:
            return [step]
        self.lost.append(f"action {name} of the unknown type {kind!r} encloses others: they come after it")
        tools = _dict(action.get("tools")).values()
        inside = [self._inside(part) for part in (action, *tools) if isinstance(part, dict)]
        return [step, *(s for part in inside for s in part)]

    def _if(self, action: Mapping[str, Any]) -> list[Step]:
        steps = [Step("IF", inputs={"condition": _Condition(action.get("expression"))}, children=self._inside(action))]
        otherwise = self._inside(_dict(action.get("else")))
        return [*steps, Step("ELSE", children=otherwise)] if otherwise else steps

    def _switch(self, action: Mapping[str, Any]) -> list[Step]:
        cases = [
            Step("CASE", annotation=humanised(name), inputs={"value": case.get("case")}, children=self._inside(case))
            for name, case in _dict(action.get("cases")).items()
            if isinstance(case, dict)
        ]
        default = self._inside(_dict(action.get("default")))
        if default:
            cases.append(Step("DEFAULT", children=default))
        return [Step("SWITCH", inputs={"value": action.get("expression")}, children=cases)]

    def _foreach(self, action: Mapping[str, Any]) -> list[Step]:
        return [Step("FOREACH", inputs={"items": action.get("foreach")}, children=self._inside(action))]

    def _until(self, action: Mapping[str, Any]) -> list[Step]:
        inputs = {"condition": _Condition(action.get("expression"))}
        return [Step("DOUNTIL", inputs=inputs, children=self._inside(action))]

    def _scope(self, action: Mapping[str, Any]) -> list[Step]:
        return self._inside(action)

    def _terminate(self, action: Mapping[str, Any]) -> list[Step]:
        inputs = _dict(action.get("inputs"))
        error = {f"error.{name}": value for name, value in _dict(inputs.get("runError")).items()}
        return [Step("END", inputs={"status": inputs.get("runStatus", "Succeeded"), **error})]

    def _wait(self, action: Mapping[str, Any]) -> list[Step]:
        inputs = _dict(action.get("inputs"))
        interval, until = _dict(inputs.get("interval")), _dict(inputs.get("until"))
        given = {"duration": f"{interval.get('count', '')} {interval.get('unit', '')}".strip()} if interval else {}
        return [Step("WAIT", inputs=given | {f"until.{name}": value for name, value in until.items()})]

    def _trigger(self, triggers: dict[str, Any]) -> Trigger | None:
        known = [(name, trigger) for name, trigger in triggers.items() if isinstance(trigger, dict)]
        for name, _ in known[1:]:
            self.lost.append(f"trigger {name}: a flow has one trigger, the first is kept")
        if not known:
            return None
        name, trigger = known[0]
        kind = str(trigger.get("type") or "trigger")
        done = operation(kind, trigger, self._found.connections)
        words = [] if done.scope == "global" else [done.scope]
        named = re.sub(r"^(?:get|post|put)_", "", done.definition) if words else done.definition
        inputs: dict[str, Any] = dict(done.inputs)
        if kind.lower() == "request":
            named = f"{named}_request" if named != "request" else named
        elif isinstance(trigger.get("recurrence"), dict):
            inputs = {**trigger["recurrence"], **inputs}
        if trigger.get("conditions"):
            inputs["conditions"] = [_dict(c).get("expression", c) for c in trigger["conditions"]]
        if "splitOn" in trigger:
            inputs["split_on"] = trigger["splitOn"]
        return Trigger(type="_".join([*words, named]), inputs=self._inputs(inputs))

    def _writer(self, orders: Mapping[str, int]) -> Callable[[Step], tuple[str | None, list[Input]]]:
        self._references = References(orders, self._aliases)
        return lambda step: (step.annotation and self.redactor.text(step.annotation), self._inputs(step.inputs))

    def _inputs(self, inputs: Mapping[str, Any]) -> list[Input]:
        found: list[Input] = []
        for name, value in inputs.items():
            if value == "@{listCallbackUrl()}":
                continue
            if isinstance(value, _Condition):
                value = condition(value.expression, self._references.text)
            else:
                value = self._references.value(value)
            found.append(as_input(name, value, self.redactor))
        return found


@dataclass(frozen=True)
class _Condition:
    expression: Any


_MAKERS: Final = {
    "if": _Workflow._if, "switch": _Workflow._switch, "foreach": _Workflow._foreach, "until": _Workflow._until,
    "scope": _Workflow._scope, "terminate": _Workflow._terminate, "wait": _Workflow._wait, "delay": _Workflow._wait,
}  # fmt: skip


def _note(name: str, action: Mapping[str, Any]) -> str:
    description = action.get("description")
    return " ".join(description.split()) if isinstance(description, str) and description.strip() else humanised(name)


def _scope_note(name: str, action: Any) -> str | None:
    """What a scope is called: it becomes the annotation of the TRY or CATCH around its steps."""
    return _note(name, action) if isinstance(action, dict) and str(action.get("type")).lower() == "scope" else None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
