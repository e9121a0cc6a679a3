"""What a flow does in one situation: its steps run over terms, nothing is executed.

`{{trigger.record}}` is live: a column is read at the moment when it is compared or used, so what is read again after a
wait, or a state after a step on that record, may have changed. What an update wrote is known until the next wait.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NamedTuple

from flowstudy.flows.catalogue import Kind, StepDef, kind_of
from flowstudy.flows.query import Clause
from flowstudy.flows.schema import QUERY_INPUTS, Component, Flow, Input
from flowstudy.flows.tree import Node, flow_tree
from flowstudy.metrics.symbolic.terms import FIXED, Ref, plain, query, template
from flowstudy.metrics.symbolic.world import World

ASSIGNED: Final = frozenset({"values", "fields", "field_values"})
_LIFE_CYCLE: Final = ("state", "status", "stage", "phase", "approval")
_MESSAGES: Final = ("send_", "post_", "notify", "add_comment", "add_work_note", "log_", "reply")
_PURE: Final = ("compute", "calculate", "convert", "detect", "translate")
_WAIT: Final = "WAIT"
#: Most effects of one flow in one situation.
MAX_EFFECTS: Final = 200


class Stopped(Exception):
    """The flow ended here."""


class Failed(Exception):
    """A step failed."""


class TooMuch(Exception):
    """More work than one comparison may take."""


@dataclass
class Budget:
    """How many steps may still be run."""

    steps: int

    def spend(self) -> None:
        """Count one step; `TooMuch` when none is left."""
        self.steps -= 1
        if self.steps < 0:
            raise TooMuch


class Prepared(NamedTuple):
    """A step as far as it is the same in all situations."""

    definition: StepDef | None
    kind: Kind
    given: list[Input]
    assigned: list[Input]
    searched: list[Input]


@dataclass
class Effect:
    """One thing done: `columns` are the column values among its inputs, `loops` the loops that it stands in."""

    key: str
    kind: Kind
    inputs: dict[str, int]
    columns: dict[str, int]
    loops: tuple[int, ...]
    branch: tuple[tuple[int, int], ...]
    call: int
    order: int
    epoch: int = 0
    sets: tuple[str, ...] = ()

    @property
    def subject(self) -> int | None:
        """What it is done to: its record, else its first input."""
        return self.inputs.get("record", next(iter(self.inputs.values()), None))

    @property
    def is_pure_wait(self) -> bool:
        """True for a step that waits and does nothing else."""
        return self.kind == "waits" and self.key.rsplit(".", 1)[-1].lower().startswith("wait")


@dataclass
class State:
    """What a branch of PARALLEL has of its own."""

    env: dict[int, int] = field(default_factory=dict)
    waits: int = 0
    writes: Counter[str] = field(default_factory=Counter)
    touches: Counter[int] = field(default_factory=Counter)
    known: dict[tuple[int, str], int] = field(default_factory=dict)

    def copy(self) -> State:
        """The same, to be changed apart."""
        return State(dict(self.env), self.waits, self.writes.copy(), self.touches.copy(), dict(self.known))


class Run:
    """One flow in one situation; `effects` in the order in which they happen."""

    def __init__(self, flow: Flow, side: str, world: World, budget: Budget, every_step_counts: bool = False) -> None:
        self.flow, self.side, self.world, self.terms, self.budget = flow, side, world, world.terms, budget
        self.catalogue, self.all = world.catalogue, every_step_counts
        self.state, self.effects = State(), list[Effect]()
        self.seen: Counter[Any] = Counter()
        self.renamed: dict[int, int] = {}
        self.nth: dict[int, tuple[str, int]] = {}
        self.named: Counter[str] = Counter()
        self.loops: tuple[int, ...] = ()
        self.branch: tuple[tuple[int, int], ...] = ()
        self.trying, self.started = 0, False
        self.reached: set[int] = set()
        self.dangling: dict[str, None] = {}
        self.order = 0
        self._loop: dict[int, int] = {}
        self._guards: dict[int, str] = {}
        self._frames: dict[int, tuple[dict[int, int], dict[int, int]]] = {}

    # -- trigger and body

    def starts(self) -> bool:
        """Whether the trigger's condition holds."""
        trigger = self.flow.trigger
        self.world.site = (self.side, 0)
        given = [i for i in trigger.inputs if i.name in QUERY_INPUTS] if trigger else []
        definition = self.catalogue.triggers.get(trigger.type) if self.catalogue and trigger else None
        outputs = definition.outputs if definition else ["record"]
        root = self._trigger("record") if "record" in outputs or not definition else None
        return all(self.condition(plain(i.value), root) for i in given)

    def body(self) -> None:
        """Run all components; `TooMuch` beyond the budget."""
        with suppress(Stopped, Failed):
            self.block(flow_tree(self.flow))

    def block(self, nodes: list[Node]) -> None:
        """Run the components of one level."""
        chain = False
        for place, node in enumerate(nodes):
            name = node.component.definition if node.component.is_logic else ""
            self.budget.spend()
            self.order = node.component.order
            self.world.site = (self.side, self.order)
            if name in ("ELSEIF", "ELSE"):
                if not chain and (name == "ELSE" or self.condition_of(node.component)):
                    chain = True
                    self.block(node.children)
            elif name == "IF":
                chain = self.condition_of(node.component)
                if chain:
                    self.block(node.children)
            elif name == "TRY":
                self.attempt(node, [each for each in nodes[place + 1 : place + 2] if _named(each, "CATCH")])
            elif name == "CATCH":
                continue
            elif name:
                self._LOGIC.get(name, Run.group)(self, node)
            else:
                self.step(node.component)

    def group(self, node: Node) -> None:
        """Logic that only holds others together, or that is not known."""
        self.block(node.children)

    def end(self, node: Node) -> None:
        """END stops the flow, in a branch of PARALLEL after the other branches."""
        raise Stopped

    def attempt(self, node: Node, catches: list[Node]) -> None:
        """TRY: each step inside may fail, which leads to its CATCH."""
        self.trying += 1
        try:
            self.block(node.children)
        except Failed:
            self.trying -= 1
            for each in catches:
                self.block(each.children)
        else:
            self.trying -= 1

    def parallel(self, node: Node) -> None:
        """PARALLEL: every branch from the same state, joined at the end."""
        before, after = self.state, [self.state]
        stop: Stopped | Failed | None = None
        outer = self.branch
        for number, child in enumerate(node.children):
            self.state, self.branch = before.copy(), (*outer, (node.component.order, number))
            try:
                self.block(child.children if child.component.is_logic else [child])
            except (Stopped, Failed) as signal:
                stop = signal
            after.append(self.state)
        joined = before.copy()
        for state in after[1:]:
            joined.env.update({k: v for k, v in state.env.items() if before.env.get(k) != v})
            joined.known.update({k: v for k, v in state.known.items() if before.known.get(k) != v})
            joined.waits += state.waits - before.waits
            joined.writes.update(state.writes - before.writes)
            joined.touches.update(state.touches - before.touches)
        self.state, self.branch = joined, outer
        if stop:
            raise stop

    def switch(self, node: Node) -> None:
        """SWITCH: the first CASE that holds, else DEFAULT."""
        value = self.value(node.component.input("value", ""))
        for child in node.children:
            name = child.component.definition
            given = plain(child.component.input("value", ""))
            self.world.site = (self.side, child.component.order)
            default = name == "DEFAULT" or (not given and not child.component.inputs)
            if default or self.world.holds(value, "IN" if "," in given else "=", self.value(given)):
                self.block(child.children)
                return

    def foreach(self, node: Node) -> None:
        """FOREACH: one item that stands for all; over a look-up without limit a row for which its conditions hold."""
        items = self.value(node.component.input("items", ""))
        kind, data, kids = self.terms.nodes[items]
        lookup = self.terms.nodes[kids[0]] if kind == "get" and data[0] == "records" else None
        depth = len(self.loops)
        guard: str | None = None
        if lookup and lookup[0] == "call" and self._is_table_lookup(lookup):
            table = self.terms.tables[kids[0]]
            row = self.terms.make("row", (table, depth, lookup[1][2]))
            self.terms.tables[row] = table
            guard = self._guards[kids[0]]
            count = self.terms.make("get", ("count", 0), (kids[0],))
            zero = self.terms.literal("0")
            if self.world.known(count) == "0" or not self.condition(guard, row, self._frames[kids[0]]):
                return
            if "count" in self.world.pool and self.world.holds(count, "=", zero):
                return
        else:
            row = self.terms.make("item", depth if items in self._loop.values() else 0, (items,))
        self._loop[node.component.order] = row
        outer, self.loops = self.loops, (*self.loops, row)
        before = set(self.state.env)
        try:
            self.block(node.children)
        finally:
            self.loops = outer
            del self._loop[node.component.order]
        for order in set(self.state.env) - before:
            self.state.env[order] = self.terms.make("last", None, (self.state.env[order], row))

    def until(self, node: Node) -> None:
        """DOUNTIL: once, twice, and a sign where it would go on."""
        for _ in range(2):
            self.block(node.children)
            self.order = node.component.order
            self.world.site = (self.side, self.order)
            if self.condition_of(node.component):
                return
            self.state.waits += 1
            self.state.known.clear()
        self.effect("again", "acts", {}, {}, self.order)

    def wait(self, node: Node) -> None:
        """WAIT for a time or a condition."""
        text = plain(node.component.input("condition", ""))
        inputs = self._inputs([i for i in node.component.inputs if i.name != "condition"])
        if text:
            inputs["condition"] = self._query(text, None)
        self.pause(_WAIT, inputs, node.component)
        self.block(node.children)

    _LOGIC: Final[dict[str, Callable[[Run, Node], None]]] = {
        "PARALLEL": parallel, "SWITCH": switch, "FOREACH": foreach, "DOUNTIL": until, "WAIT": wait, "END": end,
    }  # fmt: skip

    # -- steps

    def step(self, component: Component) -> None:
        """One action or subflow."""
        self.reached.add(component.order)
        definition, kind, given, assigned, searched = self._prepared(component)
        inputs = self._inputs(given)
        columns = {name: value for i in assigned for name, value in self._columns(plain(i.value), inputs).items()}
        named = inputs.get("table", inputs.get("table_name"))
        table = None if named is None else self.terms.text_of(named)
        name = component.definition
        if name == "create_or_update_record" and searched:
            return self._upsert(component, inputs, columns, plain(searched[0].value), table or "")
        if kind == "reads" and not self.all:
            return self._read(component, definition, inputs, columns, searched, table)
        if name == "wait_for_condition" and searched:
            record = inputs.pop("record", None)
            text = plain(searched[0].value)
            inputs["condition"] = self._query(text, record)
            self.pause(_WAIT, inputs, component)
            if "timeout" not in inputs:
                self._suppose(text, record)
            return None
        inputs |= {i.name: self._query(plain(i.value), None) for i in searched if plain(i.value)}
        waits = inputs.pop("wait", None)
        creates = definition.creates if definition else None
        if creates or name in ("create_record", "create_task"):
            table = creates or table or ""
            own = self.catalogue.tables[table].columns if self.catalogue and table in self.catalogue.tables else {}
            for each in [n for n in inputs if n in own or n == "parent"] if creates or name == "create_task" else []:
                columns.setdefault(each, inputs.pop(each))
            inputs["table"] = self.terms.literal(table)
            call = self.effect("create_record", "acts", inputs, columns, component.order, table)
            record = self._get(call, "record")
            self.state.known |= {(record, column): value for column, value in columns.items()}
            if waits is not None and self.terms.text_of(waits) == "true":
                condition = self._query("state=closed", record)
                self.pause(_WAIT, {"condition": condition}, component)
                self.state.env[component.order] = call
            return None
        if kind == "waits":
            self.pause(component.key, inputs, component)
            return None
        sets = tuple(definition.sets) if definition else ()
        call = self.effect(component.key, "acts", inputs, columns, component.order, table, sets)
        self._touched(component, inputs, columns, sets)
        return None

    def _prepared(self, component: Component) -> Prepared:
        """What the catalogue says of a step, and its inputs: plain ones, column values, queries."""
        key = (self.side, component.order)
        if key not in self.world.prepared:
            definition = self.catalogue.step(component) if self.catalogue else None
            queries = {n for n, d in definition.inputs.items() if d.type == "query"} if definition else set()
            assigned = [i for i in component.inputs if i.name in ASSIGNED]
            searched = [i for i in component.inputs if i.name not in ASSIGNED and i.name in QUERY_INPUTS | queries]
            given = [i for i in component.inputs if i not in assigned and i not in searched and plain(i.value)]
            kind = kind_of(component.key, definition)
            self.world.prepared[key] = Prepared(definition, kind, given, assigned, searched)
        return self.world.prepared[key]

    def pause(self, key: str, inputs: dict[str, int], component: Component) -> None:
        """A step that waits: what is read later may have changed."""
        self.reached.add(component.order)
        call = self.effect(key, "waits", inputs, {}, component.order)
        self.state.env[component.order] = call
        if "approval" in key:
            self._touched(component, inputs, {}, ())
            return
        self.state.waits += 1
        self.state.known.clear()

    def effect(
        self, key: str, kind: Kind, inputs: dict[str, int], columns: dict[str, int], order: int,
        table: str | None = None, sets: tuple[str, ...] = (),
    ) -> int:  # fmt: skip
        """Do something: the term of the call. Numbered among calls that are equal."""
        names = (*sorted(inputs), *(f"values.{name}" for name in sorted(columns)))
        kids = (*(inputs[n] for n in sorted(inputs)), *(columns[n] for n in sorted(columns)), *self.loops)
        shallow = (key, names, kids)
        number = self.seen[shallow] + 1
        call = self.terms.make("call", (key, names, number), kids)
        if table:
            self.terms.tables.setdefault(self.terms.make("get", ("record", 0), (call,)), table)
        if (self.trying or call in self.world.tried) and kind == "acts":
            self.world.tried.add(call)
            if self.world.fails(call):
                raise Failed
        self.seen[shallow] = number
        self.named[key] += 1
        self.nth[call] = (key, self.named[key])
        self.state.env[order] = call
        if key in ("create_record", "update_record", "delete_record", "copy_record") and table:
            self.state.writes[table] += key != "update_record"
            self.state.writes[f"{table}="] += 1
        effect = Effect(
            key, kind, dict(inputs), dict(columns), self.loops, self.branch, call, order, self.state.waits, sets
        )
        self._merge(effect)
        return call

    def _merge(self, effect: Effect) -> None:
        """An update that follows a creation or update of the same record at the same moment belongs to it."""
        subject = effect.subject
        for place in range(len(self.effects) - 1, -1, -1):
            other = self.effects[place]
            same_place = other.loops == effect.loops and other.branch == effect.branch
            if other.kind == "waits" or not same_place or other.epoch != effect.epoch:
                break
            if effect.sets and other.sets == effect.sets and other.key == effect.key and other.subject == subject:
                del self.effects[place]
                break
            if effect.key != "update_record":
                if subject in other.inputs.values():
                    break
                continue
            record = effect.inputs.get("record", -1)
            if other.key == "update_record" and other.inputs.get("record") == record:
                other.columns |= effect.columns
                return
            if other.key == "create_record" and self._get(other.call, "record") == record:
                other.columns |= effect.columns
                names = (*sorted(other.inputs), *(f"values.{name}" for name in sorted(other.columns)))
                kids = (*(other.inputs[n] for n in sorted(other.inputs)),)
                kids = (*kids, *(other.columns[n] for n in sorted(other.columns)), *other.loops)
                self.renamed[other.call] = self.terms.make("call", ("create_record", names, 1), kids)
                return
            if record in other.inputs.values() and not other.key.startswith(_MESSAGES):
                break
        if len(self.effects) >= MAX_EFFECTS:
            raise TooMuch
        self.effects.append(effect)

    def _touched(
        self, component: Component, inputs: dict[str, int], columns: dict[str, int], sets: tuple[str, ...]
    ) -> None:
        """A step on a record may have changed its state; an update says what it wrote."""
        if component.definition.startswith(_MESSAGES):
            return
        record = inputs.get("record", -1)
        if component.key == "update_record":
            self.state.known |= {(record, column): value for column, value in columns.items()}
            return
        for value in inputs.values():
            if self.terms.nodes[value][0] != "lit":
                self.state.touches[value] += 1
                for each in [k for k in self.state.known if k[0] == value and (_moves(k[1]) or k[1] in sets)]:
                    del self.state.known[each]

    def _read(
        self, component: Component, definition: StepDef | None, inputs: dict[str, int], columns: dict[str, int],
        searched: list[Input], table: str | None,
    ) -> None:  # fmt: skip
        """A step that only reads: the same call gives the same until something was waited for or written there."""
        name = component.definition
        if name == "get_catalogue_variables":
            inputs.pop("variables", None)
        if not (name == "look_up_record" or "limit" in inputs):
            inputs.pop("sort", None)
        row = self.terms.make("row", (table, "?", 0)) if table else None
        inputs |= {i.name: self._query(plain(i.value), row) for i in searched if plain(i.value)}
        writes = self.state.writes[f"{table}="] if table else 0
        version: Hashable = 0 if name.startswith(_PURE) else (self.state.waits, writes)
        rows = (self.state.waits, self.state.writes[table]) if table else version
        names = (*sorted(inputs), *(f"values.{each}" for each in sorted(columns)))
        kids = (*(inputs[n] for n in sorted(inputs)), *(columns[n] for n in sorted(columns)))
        call = self.terms.make("call", (component.key, names, rows if name == "look_up_records" else version), kids)
        self.state.env[component.order] = call
        if table:
            self.terms.tables[call] = table
            self._guards[call] = plain(searched[0].value) if searched else ""
            self._frames[call] = dict(self.state.env), dict(self._loop)
            self.terms.tables.setdefault(self.terms.make("get", ("record", 0), (call,)), table)
        if self.trying or call in self.world.tried:
            self.world.tried.add(call)
            if self.world.fails(call):
                raise Failed

    def _upsert(
        self, component: Component, inputs: dict[str, int], columns: dict[str, int], text: str, table: str
    ) -> None:
        """Create or update is a look-up, then an update of what was found or else a creation."""
        row = self.terms.make("row", (table, "?", 0))
        names, version = ("conditions", "table"), (self.state.waits, self.state.writes[f"{table}="])
        literal = self.terms.literal(table)
        lookup = self.terms.make("call", ("look_up_record", names, version), (self._query(text, row), literal))
        record = self._get(lookup, "record")
        self.terms.tables[record] = table
        searched = self._columns(text, {})
        if self.world.holds(self._get(lookup, "found"), "=", self.terms.literal("true")):
            fresh = {n: v for n, v in columns.items() if searched.get(n) != v}
            call = self.effect(
                "update_record", "acts", {"table": literal, "record": record}, fresh, component.order, table
            )
        else:
            call = self.effect("create_record", "acts", {"table": literal}, searched | columns, component.order, table)
        self.state.env[component.order] = call

    # -- values

    def value(self, raw: Any) -> int:
        """The term of an input's value."""
        parts = template(plain(raw))
        if not any(isinstance(part, Ref) for part in parts):
            return self.terms.literal(plain(raw))
        kids = [self.reference(p.path) if isinstance(p, Ref) else self.terms.make("lit", p) for p in parts]
        return kids[0] if len(kids) == 1 else self.terms.make("text", None, tuple(kids))

    def reference(self, path: tuple[str, ...]) -> int:
        """The term that a reference stands for here."""
        head, rest = path[0].strip(), path[1:]
        if head == "trigger" and rest and self.flow.trigger is not None:
            definition = self.catalogue.triggers.get(self.flow.trigger.type) if self.catalogue else None
            if definition and definition.outputs and rest[0] not in definition.outputs:
                return self._nothing(path)
            return self._walk(self._trigger(rest[0]), rest[1:], rest[0] in FIXED)
        own = {item.name for item in self.flow.inputs.items} if self.flow.inputs else ()
        if head in ("input", "inputs") and rest and rest[0] in own:
            return self._walk(self.terms.make("trigger", f"input {rest[0]}"), rest[1:], False)
        if head != "step" or not rest or not rest[0].isascii() or not rest[0].isdigit() or len(rest[0]) > 9:
            return self._nothing(path)
        order = int(rest[0])
        if order in self._loop:
            row = self._loop[order]
            if rest[1:2] == ("index",):
                return self.terms.make("get", ("index", 0), (row,))
            return self._walk(row, rest[2:], False) if rest[1:2] == ("item",) else self._nothing(path)
        call = self.state.env.get(order)
        if call is None or len(rest) < 2 or not self._gives(order, rest[1]):
            return self._nothing(path)
        inner = self.terms.nodes[call]
        if inner[0] == "call" and inner[1][0] == "get_catalogue_variables" and rest[1] == "variables":
            return self._walk(self._trigger("variables"), rest[2:], True)
        return self._walk(self._get(call, rest[1]), rest[2:], rest[1] in FIXED)

    def _gives(self, order: int, output: str) -> bool:
        component = self.flow.components[order - 1]
        definition = self.catalogue.step(component) if self.catalogue else None
        return not (definition and definition.outputs) or output in definition.outputs

    def _nothing(self, path: tuple[str, ...]) -> int:
        text = "{{" + ".".join(path) + "}}"
        self.dangling[f"component {self.order}: {text}" if self.order else f"trigger: {text}"] = None
        return self.terms.make("none", (self.side, text))

    def _trigger(self, output: str) -> int:
        term = self.terms.make("trigger", output)
        table = self.flow.trigger and next((i.value for i in self.flow.trigger.inputs if i.name == "table"), None)
        if output == "record" and isinstance(table, str):
            self.terms.tables.setdefault(term, table)
        if output == "request_item":
            self.terms.tables.setdefault(term, "sc_req_item")
        return term

    def _get(self, term: int, name: str) -> int:
        return self.terms.make("get", (name, 0), (term,))

    def _walk(self, term: int, names: tuple[str, ...], fixed: bool) -> int:
        """Columns from a record over references, as they are now."""
        for name in names:
            known = None if fixed else self.state.known.get((term, name))
            if known is not None:
                term = known
                continue
            version: Hashable = 0
            if not fixed:
                version = (self.state.waits, self.state.touches[term] if _moves(name) else 0)
                version = 0 if version == (0, 0) else version
            term = self.terms.make("get", (name, version), (term,))
            column = self.world.column(term)
            if column and column.reference:
                self.terms.tables.setdefault(term, column.reference)
        return term

    def _inputs(self, given: list[Input]) -> dict[str, int]:
        """The terms of inputs; empty ones, and `wait` that is false, are absent."""
        found = {i.name: self.value(i.value) for i in given if plain(i.value)}
        return {n: v for n, v in found.items() if not (n == "wait" and self.terms.text_of(v) == "false")}

    def _columns(self, text: str, inputs: dict[str, int]) -> dict[str, int]:
        """Column values; a text that is none stays an input."""
        groups = query(text)
        clauses = [clause for group in groups[0] for clause in group] if groups and len(groups) == 1 else []
        if not clauses or any(clause.operator != "=" for clause in clauses):
            if text:
                inputs["values"] = self.value(text)
            return {}
        return {clause.field: self.value(clause.value) for clause in clauses}

    def _query(self, text: str, row: int | None) -> int:
        """A query as a term whose order means nothing; columns are those of `row`, which may be any."""
        alternatives = query(text)
        if alternatives is None:
            return self.value(text)
        return self.terms.make("any", None, tuple([
            self.terms.make("and", None, tuple([
                self.terms.make("or", None, tuple([t for c in group for t in self._clause_terms(c, row)]))
                for group in groups
            ])) for groups in alternatives
        ]))  # fmt: skip

    def _clause_terms(self, clause: Clause, row: int | None) -> list[int]:
        left, operator = self._left(clause, row), clause.operator
        texts = clause.value.split(",") if operator == "IN" and "{{" not in clause.value else [clause.value]
        operator = "=" if operator == "IN" else operator
        return [self.terms.make("clause", operator, (left, self.value(text))) for text in texts]

    def _left(self, clause: Clause, row: int | None) -> int:
        if clause.field.startswith("{{"):
            return self.value(clause.field)
        names = tuple(clause.field.split("."))
        if row is None:
            known = self._outputs()
            root = self._trigger(names[0]) if names[0] in known else self._get(self._trigger("record"), names[0])
            return self._walk(root, names[1:], names[0] in FIXED)
        return self._walk(row, names, False)

    def _outputs(self) -> list[str]:
        trigger = self.flow.trigger
        definition = self.catalogue.triggers.get(trigger.type) if self.catalogue and trigger else None
        if definition:
            return definition.outputs
        return (
            ["from", "subject", "body", "mailbox", "value"] if trigger and trigger.type in ("email", "metric") else []
        )

    # -- conditions

    def condition_of(self, component: Component) -> bool:
        """Whether the condition of a piece of flow logic holds; a missing one is an opaque truth value."""
        return self.condition(plain(component.input("condition", "")), None, default=False)

    def condition(
        self, text: str, row: int | None, frame: tuple[dict[int, int], dict[int, int]] | None = None,
        default: bool = True,
    ) -> bool:  # fmt: skip
        """Whether an encoded query holds, its columns being those of `row`; `frame`: what its references see."""
        if not text and default:
            return True
        alternatives = query(text)
        if alternatives is None:
            return self.world.flag("condition", self.value(text), "" if text else f"of step {self.order}")
        mine = self.state.env, self._loop
        if frame:
            self.state.env, self._loop = frame
        try:
            return any(all(any(self.holds(c, row) for c in group) for group in each) for each in alternatives)
        finally:
            self.state.env, self._loop = mine

    def holds(self, clause: Clause, row: int | None) -> bool:
        """Whether one clause holds."""
        left, operator = self._left(clause, row), clause.operator
        if operator in ("ISEMPTY", "ISNOTEMPTY"):
            kind, data, kids = self.terms.nodes[left]
            if kind == "get" and self.terms.nodes[kids[0]][0] == "call" and data[0] in ("record", "records"):
                name, value = ("found", "false") if data[0] == "record" else ("count", "0")
                empty = self.world.holds(self._get(kids[0], name), "=", self.terms.literal(value))
                return empty == (operator == "ISEMPTY")
        return self.world.holds(left, operator, self.value(clause.value))

    def _suppose(self, text: str, record: int | None) -> None:
        """What was waited for is so: single equalities become known."""
        for group in (query(text) or ((),))[0]:
            if len(group) == 1 and group[0].operator == "=" and record is not None and "." not in group[0].field:
                self.state.known[record, group[0].field] = self.value(group[0].value)

    def _is_table_lookup(self, call: Any) -> bool:
        return call[1][0] == "look_up_records" and "limit" not in call[1][1]


def _named(node: Node, name: str) -> bool:
    return node.component.is_logic and node.component.definition == name


def _moves(column: str) -> bool:
    return column.endswith(_LIFE_CYCLE)


@lru_cache(maxsize=4_096)
def is_message(key: str) -> bool:
    """True for a step that tells somebody something, by its name."""
    return key.rsplit(".", 1)[-1].startswith(_MESSAGES)
