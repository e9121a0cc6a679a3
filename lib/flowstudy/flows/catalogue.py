"""What exists in an environment: triggers, actions, subflows, tables, columns and choices.

A catalogue is a YAML or JSON file that reads well in a diff; `extends` names a catalogue beside it whose entries
it inherits (the platform's shared core). `Catalogue.check` says what a flow uses that does not exist.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from rapidfuzz import process

from flowstudy.flows.query import parse_query
from flowstudy.flows.schema import QUERY_INPUTS, Component, Flow, Input

FaultKind = Literal[
    "unknown_trigger", "unknown_action", "unknown_subflow", "unknown_input", "unknown_table", "unknown_column",
    "unknown_choice", "missing_input",
]  # fmt: skip


class Fault(NamedTuple):
    """One use of something that does not exist. `component` is its order, 0 for the trigger; str() is the message."""

    kind: FaultKind
    component: int
    name: str
    closest: str | None
    flow_id: str = ""

    def __str__(self) -> str:
        where = f"component {self.component}" if self.component else "trigger"
        what = self.kind.replace("_", " ")
        hint = f"; closest: {self.closest!r}" if self.closest else ""
        return f"{where} of flow {self.flow_id}: {what} {self.name!r}{hint}"


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid")


#: `type(options)! text`: how inputs and columns are written on one line, e.g. `choice(1=High|2=Low)! How urgent`.
_SHORT: Final = re.compile(r"(?P<type>\w+)(?:\((?P<options>[^()]*)\))?(?P<required>!)?(?: (?P<text>.*))?")


def _short(line: str) -> tuple[str, list[str], bool, str]:
    match = _SHORT.fullmatch(line)
    if match is None:
        raise ValueError(f"expected `type(options)! text`, got {line!r}")
    options = [o.strip() for o in (match["options"] or "").split("|") if o.strip()]
    return match["type"], options, match["required"] is not None, match["text"] or ""


class InputDef(_Entry):
    """An input of a step. `type` is one of string, integer, boolean, choice, table, column, query, values,
    record (a `{{reference}}` to one), user, group, date, duration, list. In a file also `type(choices)! description`,
    `!` for required."""

    type: str = "string"
    required: bool = False
    description: str = ""
    choices: list[str] = Field(default_factory=list)

    @model_validator(mode="before")
    @classmethod
    def _from_line(cls, raw: Any) -> Any:
        if not isinstance(raw, str):
            return raw
        kind, options, required, text = _short(raw)
        return {"type": kind, "choices": options, "required": required, "description": text}


Kind = Literal["reads", "acts", "waits"]
#: How steps that only read or compute are named, for catalogues without `kind`.
_READS: Final = (
    "look_up", "get_", "find_", "check_", "compute", "calculate", "convert_currency", "detect_", "translate", "suggest",
    "read_", "track_", "estimate", "verify", "query", "score", "assess", "screen", "enrich", "export_records",
    "generate_document",
)  # fmt: skip
_WAITS: Final = ("wait", "ask_for_approval")


class StepDef(_Entry):
    """A trigger, action or subflow: what it does and takes.

    `kind`: `reads` (changes nothing), `acts`, or `waits` (for a time, an event or a person); without it the name says
    so (`kind_of`). `creates`: the table of the record that it creates; inputs named as its columns are their values.
    `sets`: what of its record it overwrites, so that the last of two equal steps counts.
    """

    description: str = ""
    inputs: dict[str, InputDef] = Field(default_factory=dict)
    outputs: list[str] = Field(default_factory=list)
    kind: Kind | None = None
    creates: str | None = None
    sets: list[str] = Field(default_factory=list)


class ColumnDef(_Entry):
    """A column of a table; `choices` maps the stored value to the label that people use. In a file also
    `choice(1=Critical|2=High) Priority` or `reference(sys_user) Caller`."""

    type: str = "string"
    label: str = ""
    reference: str | None = None
    choices: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _from_line(cls, raw: Any) -> Any:
        if not isinstance(raw, str):
            return raw
        kind, options, _, text = _short(raw)
        if kind == "reference":
            return {"type": kind, "label": text, "reference": options[0] if options else None}
        pairs = (option.partition("=") for option in options)
        return {"type": kind, "label": text, "choices": {value: label or value for value, _, label in pairs}}


class TableDef(_Entry):
    """A table and its columns."""

    label: str = ""
    description: str = ""
    columns: dict[str, ColumnDef] = Field(default_factory=dict)


class Catalogue(_Entry):
    """All entries of one environment, keyed by name (`scope.definition` for steps outside `global`)."""

    name: str
    title: str = ""
    description: str = ""
    extends: str | None = None
    triggers: dict[str, StepDef] = Field(default_factory=dict)
    actions: dict[str, StepDef] = Field(default_factory=dict)
    subflows: dict[str, StepDef] = Field(default_factory=dict)
    tables: dict[str, TableDef] = Field(default_factory=dict)
    groups: list[str] = Field(default_factory=list)
    roles: list[str] = Field(default_factory=list)

    def steps(self) -> dict[str, StepDef]:
        """Actions and subflows together."""
        return {**self.actions, **self.subflows}

    def step(self, component: Component) -> StepDef | None:
        """Definition of an action or subflow; None for flow logic and for unknown steps."""
        shelf = self.subflows if component.category == "subflow" else self.actions
        return None if component.is_logic else shelf.get(component.key)

    def check(self, flow: Flow, flow_id: str = "?") -> list[Fault]:
        """Everything `flow` uses that is not in this catalogue, trigger first; empty when all exists."""
        faults: list[Fault] = []
        if flow.trigger is not None:
            trigger = self.triggers.get(flow.trigger.type)
            if trigger is None:
                faults.append(_fault("unknown_trigger", 0, flow.trigger.type, self.triggers, flow_id))
            faults += self._check_inputs(0, flow.trigger.inputs, trigger, flow_id)
        for component in flow.components:
            step = self.step(component)
            if step is None and not component.is_logic:
                kind: FaultKind = "unknown_subflow" if component.category == "subflow" else "unknown_action"
                shelf = self.subflows if component.category == "subflow" else self.actions
                faults.append(_fault(kind, component.order, component.key, shelf, flow_id))
            faults += self._check_inputs(component.order, component.inputs, step, flow_id)
        return faults

    def _check_inputs(self, order: int, inputs: list[Input], step: StepDef | None, flow_id: str) -> Iterator[Fault]:
        given = {i.name: i.value for i in inputs}
        known = step.inputs if step else {}
        if step is not None:
            yield from (_fault("unknown_input", order, n, known, flow_id) for n in given if n not in known)
            missing = [name for name, d in known.items() if d.required and name not in given]
            yield from (_fault("missing_input", order, name, (), flow_id) for name in missing)
        table = next((v for n, v in given.items() if n in ("table", "table_name") and isinstance(v, str)), None)
        if table is not None and table not in self.tables and "{{" not in table:
            yield _fault("unknown_table", order, table, self.tables, flow_id)
        for name, value in given.items():
            definition = known.get(name)
            if definition and definition.choices and str(value) not in definition.choices and "{{" not in str(value):
                yield _fault("unknown_choice", order, str(value), definition.choices, flow_id)
            if name in QUERY_INPUTS or (definition and definition.type in ("query", "values")):
                yield from self._check_query(order, str(value), table, flow_id)

    def _check_query(self, order: int, query: str, table: str | None, flow_id: str) -> Iterator[Fault]:
        columns = self.tables[table].columns if table in self.tables else None
        for clause in parse_query(query) or ():
            if columns is None or "{{" in clause.field:
                continue
            column = columns.get(clause.field.split(".")[0])
            if column is None:
                yield _fault("unknown_column", order, f"{table}.{clause.field}", columns, flow_id)
            elif column.choices and "." not in clause.field and clause.operator in ("=", "!=", "CHANGESTO", "IN"):
                values = clause.value.split(",") if clause.operator == "IN" else [clause.value]
                for value in values:
                    if value and value not in column.choices and "{{" not in value:
                        yield _fault("unknown_choice", order, f"{clause.field}={value}", column.choices, flow_id)


def _fault(kind: FaultKind, order: int, name: str, known: Iterable[str], flow_id: str) -> Fault:
    best = process.extractOne(name.rsplit("=", 1)[-1], list(known), score_cutoff=50)
    return Fault(kind, order, name, best[0] if best else None, flow_id)


def kind_of(key: str, definition: StepDef | None = None) -> Kind:
    """Whether a step reads, acts or waits: by its catalogue entry, else by how its name (`scope.name`) begins.

    >>> kind_of("look_up_record"), kind_of("send_email"), kind_of("wait_for_file")
    ('reads', 'acts', 'waits')
    """
    if definition is not None and definition.kind is not None:
        return definition.kind
    name = key.rsplit(".", 1)[-1]
    return "reads" if name.startswith(_READS) else "waits" if name.startswith(_WAITS) else "acts"


def load_catalogue(path: str | Path) -> Catalogue:
    """Read a catalogue with everything that it extends.

    Raises ValueError naming the file and the entry for broken YAML/JSON, unknown keys or a circular `extends`.
    """
    return _load(Path(path), ())


@functools.lru_cache(maxsize=64)
def _load(path: Path, seen: tuple[Path, ...]) -> Catalogue:
    if path in seen:
        raise ValueError(f"catalogue {path}: expected no circular `extends`, got {[p.name for p in seen]}")
    try:
        text = path.read_text(encoding="utf-8")
        raw = json.loads(text) if path.suffix == ".json" else yaml.load(text, Loader=_Loader)
        catalogue = Catalogue.model_validate(raw)
    except (ValidationError, yaml.YAMLError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"catalogue {path}: expected a catalogue as in the README, got: {error}") from None
    if catalogue.extends is None:
        return catalogue
    base = _load(path.with_name(f"{Path(catalogue.extends).name}{path.suffix}"), (*seen, path))
    return merge_catalogues(base, catalogue)


class _Loader(yaml.CSafeLoader):
    """YAML without the surprises: `on`, `yes` and `1` stay strings where a name is expected."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag != "tag:yaml.org,2002:bool" or first in "tTfF"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def merge_catalogues(base: Catalogue, over: Catalogue) -> Catalogue:
    """`base` with the entries of `over` added; an entry of the same name is replaced."""
    shelves = ("triggers", "actions", "subflows", "tables")
    merged: dict[str, Any] = {shelf: {**getattr(base, shelf), **getattr(over, shelf)} for shelf in shelves}
    lists = {shelf: [*getattr(base, shelf), *getattr(over, shelf)] for shelf in ("groups", "roles")}
    return over.model_copy(update={**merged, **lists})


def catalogue_from_flows(name: str, flows: Iterable[Flow]) -> Catalogue:
    """The catalogue that a set of flows implies: the steps, inputs, tables and columns seen in them."""
    catalogue = Catalogue(name=name, title=name)
    for flow in flows:
        if flow.trigger:
            _see(catalogue, catalogue.triggers.setdefault(flow.trigger.type, StepDef()), flow.trigger.inputs)
        for component in flow.components:
            if not component.is_logic:
                shelf = catalogue.subflows if component.category == "subflow" else catalogue.actions
                _see(catalogue, shelf.setdefault(component.key, StepDef()), component.inputs)
    return catalogue


def _see(catalogue: Catalogue, step: StepDef, inputs: list[Input]) -> None:
    given = {i.name: i.value for i in inputs}
    table = given.get("table", given.get("table_name"))
    columns = catalogue.tables.setdefault(table, TableDef()).columns if isinstance(table, str) and table else None
    for name, value in given.items():
        clauses = parse_query(value) if name in QUERY_INPUTS and isinstance(value, str) else None
        step.inputs.setdefault(name, InputDef(type="query" if clauses else "string"))
        for clause in clauses or ():
            if columns is not None:
                columns.setdefault(clause.field.split(".")[0], ColumnDef())
