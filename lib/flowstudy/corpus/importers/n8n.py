"""n8n workflows: nodes and connections, as nested blocks where the graph is structured.

A node with several outputs (IF, Switch, an error output) opens blocks that end where its ways meet again; a node that
feeds several others opens a PARALLEL; SplitInBatches and what comes back to it are a FOREACH. A graph that is not made
of such blocks, a cycle, or several triggers are refused with the nodes concerned. Disabled nodes are bridged, models
and tools of an AI node become its inputs, positions and credentials are left out. The text of sticky notes is the
requirement when there is no description.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from flowstudy.corpus.importers.building import as_input, finish, humanised
from flowstudy.corpus.importers.graph import Cycle, topological
from flowstudy.corpus.importers.n8n_nodes import (
    Choice,
    Links,
    check_loop,
    choice,
    is_loop,
    is_manual,
    is_note,
    is_trigger,
    node_step,
    output_names,
    outputs,
    passes_items,
    trigger_of,
)
from flowstudy.corpus.importers.records import MAX_STEPS, Imported, Refused, Source
from flowstudy.corpus.importers.redact import Redactor
from flowstudy.corpus.importers.steps import Step, arrange, to_flow, without_plumbing
from flowstudy.flows.schema import Flow, Input, Trigger

Node = dict[str, Any]
#: Settings of a workflow that change what runs.
_SETTINGS: Final = ("timezone", "executionTimeout", "errorWorkflow")
#: For each node the nodes behind each of its outputs.
Targets = dict[str, list[list[str]]]


def is_n8n(document: Any) -> bool:
    """Whether a value is an n8n workflow: an object with nodes and connections."""
    return (
        isinstance(document, dict)
        and isinstance(document.get("nodes"), list)
        and isinstance(document.get("connections"), dict)
    )


def convert_n8n(document: Any, source: Source) -> Iterator[Imported]:
    """The workflow of a parsed export."""
    if not is_n8n(document):
        yield Imported(source.id, "refused", reason="no n8n workflow (an object with `nodes` and `connections`) in it")
        return
    graph = _Graph(document, source.drop_plumbing)
    try:
        flow = graph.flow()
    except Refused as refusal:
        yield Imported(source.id, "refused", reason=graph.redactor.text(str(refusal)))
        return
    places = (document, _dict(document.get("meta")))
    texts = [(_word(one.get(key)), "description") for one in places for key in ("description", "templateDescription")]
    notes = [_word(_dict(node.get("parameters")).get("content")) for node in graph.stickies]
    texts.append(("\n\n".join(note for note in notes if note), "sticky notes"))
    titles = [_word(place.get("name")) for place in places if _word(place.get("name"))]
    yield finish(source.id, source, flow, graph.redactor, graph.lost, texts=texts, titles=titles, notes=graph.notes)


class _Graph:
    """Converts one workflow."""

    def __init__(self, workflow: Mapping[str, Any], drop_plumbing: bool) -> None:
        self.redactor, self.lost, self.notes, self._drop = Redactor(), list[str](), list[str](), drop_plumbing
        self._settings = _dict(workflow.get("settings"))
        self.stickies = [node for node in workflow["nodes"] if isinstance(node, dict) and is_note(node)]
        self._nodes: dict[str, Node] = {}
        for node in workflow["nodes"]:
            self._place(node)
        self._links = Links(self._nodes, workflow["connections"])
        self.lost += [f"connection to or from a node that does not exist: {link}" for link in self._links.dangling]
        self._made: dict[str, list[Step]] = {}

    def _place(self, node: Any) -> None:
        if is_note(_dict(node)):
            return
        name = _word(_dict(node).get("name") or _dict(node).get("id"))
        if not name or name in self._nodes:
            self.lost.append(f"a second node called {name}" if name else "a node without a name")
        else:
            self._nodes[name] = {**node, "name": name}

    def flow(self) -> Flow:
        """The flow. Raises Refused."""
        if len(self._nodes) > MAX_STEPS:
            raise Refused(f"more than {MAX_STEPS} nodes")
        targets = self._bridged({name: self._links.main(name) for name in self._nodes})
        trigger, starts = self._start(targets)
        self._trigger_name = trigger["name"] if trigger else ""
        reached = _reached(starts, targets)
        self._report_missing(reached)
        targets = {name: targets[name] for name in self._nodes if name in reached}
        self._sources = self._feeding(targets, starts)
        steps = self._blocks(list(targets), targets)
        if self._drop:
            steps = without_plumbing(steps)
        return to_flow(self._kept(trigger), steps, self._writer)

    def _kept(self, trigger: Node | None) -> Trigger | None:
        """The trigger of the flow, with the settings of the workflow that change what runs."""
        more = {name: self._settings[name] for name in _SETTINGS if self._settings.get(name) not in (None, "", -1)}
        if trigger is None:
            self.lost += [f"setting {name} of the workflow: there is no trigger to hold it" for name in more]
            return None
        given = self._links.attached(trigger["name"]) | more
        return trigger_of(trigger, given, lambda name, value: as_input(name, _plain(value), self.redactor))

    def _bridged(self, targets: Targets) -> Targets:
        """The graph without disabled nodes: what leads to one leads on to what comes after it."""
        off = [name for name, node in self._nodes.items() if node.get("disabled") is True]
        for name in off:
            after = [t for way in targets.pop(name)[:1] for t in way if t != name]
            for ways in targets.values():
                for way in ways:
                    if name in way:
                        way[:] = dict.fromkeys(t for other in way for t in (after if other == name else [other]))
            del self._nodes[name]
            self.notes.append(f"disabled node {name} is left out")
        return targets

    def _start(self, targets: Targets) -> tuple[Node | None, list[str]]:
        """The trigger, and the nodes that it starts. Without a trigger: the nodes that nothing leads to."""
        behind = {t for ways in targets.values() for way in ways for t in way}
        triggers = [n for n, node in self._nodes.items() if is_trigger(node) and n not in behind]
        real = [name for name in triggers if not is_manual(self._nodes[name])]
        if len(triggers) > 1 and len(real) == 1:
            for name in sorted(set(triggers) - set(real)):
                if not _reached([name], targets) - {name} <= _reached(real, targets):
                    raise Refused(f"several triggers: {', '.join(triggers)}")
                self.lost.append(f"trigger {name}: a flow has one trigger; it starts steps of {real[0]}")
            triggers = real
        if len(triggers) > 1:
            raise Refused(f"several triggers: {', '.join(triggers[:6])}")
        if not triggers:
            helpers = self._links.helpers
            return None, [n for n in self._nodes if n not in behind and n not in helpers]
        name = triggers[0]
        if not any(targets[name]):
            targets[name] = [[tool] for tool in self._links.tools(name)]
        several = sum(map(bool, targets[name])) > 1
        return self._nodes[name], [name] if several else list(dict.fromkeys(t for way in targets[name] for t in way))

    def _report_missing(self, reached: set[str]) -> None:
        missing = [n for n in self._nodes if n not in reached and n not in self._links.helpers]
        missing = [n for n in missing if not is_trigger(self._nodes[n])]
        if missing:
            self.lost.append(f"nodes that no trigger leads to: {', '.join(missing[:8])}")

    def _blocks(self, names: list[str], targets: Targets) -> list[Step]:
        """The steps of a graph that is entered only at its sources. Raises Refused where it is not structured."""
        targets = self._without_loops(names, targets)
        names = [name for name in names if name in targets]
        try:
            order = topological(names, _before(targets))
        except Cycle as cycle:
            raise Refused(f"a cycle that is not a loop over items: {cycle}") from None
        for name in reversed(order):
            if name in targets and name not in self._made and len(targets[name]) > 1:
                self._open(name, order, targets)
        before = _before(targets)
        left: list[str] = []
        steps = arrange([n for n in order if n in targets], before, self._steps, left)
        if left:
            raise Refused(f"not series-parallel: {left[0].removeprefix('parallel order of ').split(': it is')[0]}")
        return steps

    def _steps(self, name: str) -> list[Step]:
        return self._made[name] if name in self._made else [self._step(name)]

    def _step(self, name: str) -> Step:
        return node_step(self._nodes[name], self._links.attached(name))

    def _without_loops(self, names: list[str], targets: Targets) -> Targets:
        """The graph with every SplitInBatches and its body as one node, inner loops first."""
        loops = [name for name in names if name in targets and name not in self._made and is_loop(self._nodes[name])]
        bodies = {name: self._body(name, targets) for name in loops}
        for name in sorted(loops, key=lambda loop: len(bodies[loop])):
            done = outputs(self._nodes[name], targets[name])[0]
            body = {n for n in bodies[name] if n in targets}
            check_loop(self._nodes[name], [self._nodes[n] for n in body])
            outside = {t for n in body for way in targets[n] for t in way} - body - {name}
            entered = [n for n, ways in targets.items() if n not in body | {name} and any(body & set(w) for w in ways)]
            if outside or entered:
                concerned = sorted(outside or set(entered))[:4]
                raise Refused(f"the loop {name} is left or entered on the way: {', '.join(concerned)}")
            inner = {n: [[t for t in way if t != name] for way in targets[n]] for n in names if n in body}
            step = self._step(name)
            step.children = self._blocks([n for n in names if n in body], inner)
            self._made[name] = [step]
            targets = {n: ways for n, ways in targets.items() if n not in body}
            targets[name] = [[t for t in done if t != name]]
        return targets

    def _body(self, name: str, targets: Targets) -> set[str]:
        """What the loop output leads to before it comes back or the loop is done."""
        done, loop = outputs(self._nodes[name], targets[name])
        ways = {**targets, name: []}
        return _reached(loop, ways) - _reached(done, ways) - {name}

    def _open(self, name: str, order: list[str], targets: Targets) -> None:
        """Put the ways from a node with several outputs into blocks, and them and the node into one node."""
        ways = targets[name]
        before = _before(targets)
        regions = [_region(name, place, order, targets, before) for place in range(len(ways))]
        taken = set().union(*regions)
        if len(taken) < sum(map(len, regions)):
            raise Refused(f"the ways out of {name} cross")
        exits = [
            {t for t in way if t not in taken} | {t for n in region for w in targets[n] for t in w if t not in taken}
            for way, region in zip(ways, regions, strict=True)
        ]
        meeting = set().union(*exits)
        for place, reached in enumerate(exits):
            if reached != meeting:
                self._check_short(name, place, reached, exits)
        blocks = [
            self._blocks([n for n in order if n in region], {n: _inside(targets[n], region) for n in region})
            for region in regions
        ]
        self._made[name] = self._branching(name, blocks)
        for gone in taken:
            del targets[gone]
        targets[name] = [sorted(meeting, key=order.index)]

    def _check_short(self, name: str, place: int, reached: set[str], exits: list[set[str]]) -> None:
        """A way that ends while others meet is told in `lost`; a way that leads to some of the steps is refused."""
        others = set().union(*exits) - reached
        if reached or sum(map(bool, exits)) < 2:
            shown = ", ".join(sorted(others)[:4])
            raise Refused(f"not structured: only some of the ways out of {name} lead to {shown}")
        self.lost.append(f"output {place + 1} of {name} ends there; in the flow the steps after the block follow")

    def _branching(self, name: str, blocks: list[list[Step]]) -> list[Step]:
        node, step = self._nodes[name], self._step(name)
        if step.definition == "IF":
            step.children = blocks[0]
            return [step, *([Step("ELSE", children=blocks[1])] if len(blocks) > 1 and blocks[1] else [])]
        if str(node.get("onError")) == "continueErrorOutput":
            return [Step("TRY", children=[step, *blocks[0]]), Step("CATCH", children=blocks[-1])]
        if step.definition == "SWITCH" and (rules := choice(node)).outputs():
            step.children = self._cases(name, rules, blocks)
            return [step]
        words = self._words(name, len(blocks))
        cases = [_case(name, words[i], block) for i, block in enumerate(blocks) if block]
        if step.definition == "SWITCH":
            step.children = cases
            return [step]
        switch = [Step("SWITCH", inputs={"value": f"output of {name}"}, children=cases)] if cases else []
        return switch if name == self._trigger_name else [step, *switch]

    def _cases(self, name: str, rules: Choice, blocks: list[list[Step]]) -> list[Step]:
        """The ways out of a Switch in the order of its rules."""
        if rules.every and len(rules.outputs()) > 1:
            self.lost.append(f"{name}: an item may go to several outputs; in the flow the first that matches counts")
        unruled = [i for i, block in enumerate(blocks) if block and i not in rules.outputs()]
        self.lost += [f"output {i + 1} of {name}: no rule leads there" for i in unruled]
        cases = [_case(name, test, blocks[i], rules.names.get(i)) for i, test in rules.cases.items()]
        default = blocks[rules.fallback] if rules.fallback is not None else []
        return [*cases, Step("DEFAULT", children=default)] if default else cases

    def _words(self, name: str, count: int) -> list[str]:
        """What tells the outputs of a node apart: their names, the tools of a trigger, else their numbers."""
        tools = self._links.tools(name) if name == self._trigger_name else []
        known = output_names(self._nodes[name]) or tools
        return known if len(known) >= count else [f"output {i}" for i in range(count)]

    def _feeding(self, targets: Targets, starts: list[str]) -> dict[str, tuple[str, bool]]:
        """For each node what feeds it, nodes that only pass items on left out; True where that is an item of a loop.

        Nodes that are fed by several are absent.
        """
        loops = [name for name in targets if is_loop(self._nodes[name])]
        items = {t for name in loops for t in outputs(self._nodes[name], targets[name])[1]}
        before = _before(targets)
        for name in loops:
            before[name] -= {name, *self._body(name, targets)}
        for name in starts:
            before.setdefault(name, set()).add(self._trigger_name)
        found: dict[str, tuple[str, bool]] = {}
        for name in before:
            source, last, seen = name, name, set[str]()
            while len(before.get(source, ())) == 1 and source not in seen:
                seen.add(source)
                source, last = next(iter(before[source])), source
                if source not in self._nodes or not passes_items(self._nodes[source]):
                    found[name] = (source, last in items and is_loop(self._nodes[source]))
                    break
        return found

    def _writer(self, orders: Mapping[str, int]) -> Callable[[Step], tuple[str | None, list[Input]]]:
        loops = {name for name, node in self._nodes.items() if is_loop(node)}
        references = _References(orders, self._trigger_name, self._sources, loops)

        def write(step: Step) -> tuple[str | None, list[Input]]:
            values = ((key, references.value(value, step.name)) for key, value in step.inputs.items())
            inputs = [as_input(key, value, self.redactor) for key, value in values]
            return step.annotation and self.redactor.text(step.annotation), inputs

        return write


def _case(name: str, test: str, block: list[Step], label: str | None = None) -> Step:
    return Step("CASE", name, annotation=humanised(label or "") or None, inputs={"value": test}, children=block)


def _reached(starts: list[str], targets: Targets) -> set[str]:
    found: set[str] = set()
    stack = [name for name in starts if name in targets]
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack += [t for way in targets[name] for t in way if t in targets]
    return found


def _before(targets: Targets) -> dict[str, set[str]]:
    before: dict[str, set[str]] = {name: set() for name in targets}
    for name, ways in targets.items():
        for way in ways:
            for target in way:
                if target in before:
                    before[target].add(name)
    return before


def _region(name: str, place: int, order: list[str], targets: Targets, before: dict[str, set[str]]) -> set[str]:
    """The nodes that only output `place` of a node leads to."""
    only_here = set(targets[name][place]) - {t for i, way in enumerate(targets[name]) if i != place for t in way}
    region: set[str] = set()
    for node in order:
        own = before.get(node)
        if own and own <= region | {name} and (name not in own or node in only_here):
            region.add(node)
    return region


def _inside(ways: list[list[str]], region: set[str]) -> list[list[str]]:
    return [[t for t in way if t in region] for way in ways]


@dataclass
class _References:
    """Rewrites `$('Node').item.json.x`, `$node["Node"].json.x` and `$json.x` as data references."""

    orders: Mapping[str, int]
    trigger: str
    sources: Mapping[str, tuple[str, bool]]
    loops: Collection[str]

    def value(self, value: Any, step: str) -> Any:
        """Any JSON value with the expressions in it rewritten."""
        return _plain(value, lambda text: _EXPRESSION.sub(lambda match: self._reference(match, step), text))

    def _reference(self, match: re.Match[str], step: str) -> str:
        name = match["a"] or match["b"] or ""
        name, is_item = (name, name in self.loops) if name else self.sources.get(step, ("", False))
        keys = ["item"] if is_item else []
        keys += [a or b for a, b in re.findall(r"\[\s*[\"']?([^\"'\]]+)[\"']?\s*\]|\.([A-Za-z_]\w*)", match["path"])]
        if name and name == self.trigger:
            head = "trigger"
        elif name in self.orders:
            head = f"step.{self.orders[name]}"
        else:
            return match[0]
        if any(set(key) & set("{}") for key in keys):
            return match[0]
        return "{{" + ".".join([head, *keys]) + "}}"


_PATH: Final = r"(?P<path>(?:\??\.[A-Za-z_]\w*(?![\w(])|\[\s*(?:\"[^\"]+\"|'[^']+'|\d+)\s*\])*)"
_EXPRESSION: Final = re.compile(
    r"\{\{\s*(?:\$\(\s*[\"'](?P<a>[^\"']+)[\"']\s*\)\.(?:item|first\(\)|last\(\))\.json"
    rf"|\$node\[\s*[\"'](?P<b>[^\"']+)[\"']\s*\]\.json|\$json){_PATH}\s*\}}\}}"
)


def _plain(value: Any, write: Callable[[str], str] = str) -> Any:
    """Any JSON value without the `=` that marks an expression, its texts as `write` gives them."""
    if isinstance(value, str):
        return write(value.removeprefix("="))
    if isinstance(value, dict):
        return {key: _plain(item, write) for key, item in value.items()}
    return [_plain(item, write) for item in value] if isinstance(value, list) else value


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _word(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""
