"""Azure's `runAfter` as nested blocks: sequences, parallel branches, and TRY/CATCH for what runs after a failure.

An action that runs only after others failed or timed out begins a CATCH; the TRY holds those others and every step
that runs only because they succeeded. Steps that wait for both ways come after the pair. "Only if skipped" is the
opposite of what it waits for: after a failure handler it is the way of success, after a normal step that of failure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from flowstudy.corpus.importers.graph import Cycle, topological
from flowstudy.corpus.importers.records import Refused
from flowstudy.corpus.importers.steps import Step, arrange

Statuses = frozenset[str]
Edges = dict[str, dict[str, Statuses]]
Make = Callable[[str], list[Step]]
OK: Final[Statuses] = frozenset({"succeeded"})
FAILED: Final[Statuses] = frozenset({"failed", "timedout"})


def nest(
    actions: Mapping[str, Any],
    make: Make,
    note: Callable[[str, Any], str | None],
    lost: list[str],
    notes: list[str],
) -> list[Step]:
    """The steps of one level of actions. Raises Refused for a cycle.

    `make` gives the steps of one action, `note` the annotation of a TRY or CATCH that holds just this one. `notes` gets
    the steps whose failure a CATCH handles in the flow and not in the source.
    """
    edges = read_edges(actions, lost)
    try:
        order = topological(list(edges), edges)
        if any(statuses != OK for before in edges.values() for statuses in before.values()):
            _turn_skipped(order, edges, lost)
            return _Level(make, lambda name: note(name, actions.get(name)), lost, notes).steps(order, edges)
        return arrange(order, edges, make, lost)
    except Cycle as cycle:
        raise Refused(f"cyclic runAfter: {cycle}") from None


def read_edges(actions: Mapping[str, Any], lost: list[str]) -> Edges:
    """For each action what it waits for and with which statuses (lower case); names match in any case."""
    lower = {name.lower(): name for name in actions}
    edges: Edges = {}
    for name, action in actions.items():
        edges[name] = {}
        after = action.get("runAfter") or {} if isinstance(action, dict) else {}
        if not isinstance(after, dict):
            after = {}
            lost.append(f"runAfter of {name}: expected an object")
        for other, statuses in after.items():
            known = other if other in actions else lower.get(other.lower())
            if known is None:
                lost.append(f"runAfter of {name}: there is no action {other}")
                continue
            words = statuses if isinstance(statuses, list) else [statuses]
            edges[name][known] = frozenset(str(word).lower() for word in words if word) or OK
    return edges


def _turn_skipped(order: list[str], edges: Edges, lost: list[str]) -> None:
    """Replace edges that mean "only if skipped" by edges from what the skipped action waits for."""
    for name in order:
        for other, statuses in list(edges[name].items()):
            if statuses != {"skipped"}:
                continue
            del edges[name][other]
            if not edges[other]:
                lost.append(f"{name} runs only if {other} is skipped, which never happens")
                edges[name][other] = OK
            for earlier, of_other in edges[other].items():
                edges[name][earlier] = FAILED if "succeeded" in of_other else OK


def _handles(before: Mapping[str, Statuses]) -> bool:
    return bool(before) and all("succeeded" not in statuses for statuses in before.values())


class _Level:
    """Nests one level of actions, and the parts of it, recursively."""

    def __init__(self, make: Make, note: Callable[[str], str | None], lost: list[str], notes: list[str]) -> None:
        self._make, self._note, self._lost, self._notes = make, note, lost, notes
        self._made: dict[str, list[Step]] = {}
        self._always: dict[str, str] = {}

    def steps(self, names: list[str], edges: Edges) -> list[Step]:
        """The steps of `names` (in topological order); edges from elsewhere are ignored."""
        inside = set(names)
        edges = {n: {o: s for o, s in edges[n].items() if o in inside} for n in names}
        while (handler := next((n for n in names if _handles(edges[n])), None)) is not None:
            names, edges = self._contract(names, edges, handler)
        for name in names:
            always = {s for o, s in edges[name].items() if s & FAILED and o not in self._made}
            if always:
                self._always[name] = ", ".join(sorted(frozenset().union(*always)))
        return arrange(names, edges, self._step, self._lost)

    def _step(self, name: str) -> list[Step]:
        steps = self._made.get(name)
        if steps is None:
            steps = self._make(name)
        if steps and name in self._always:
            steps[0].inputs["run_after"] = self._always[name]
        return steps

    def _contract(self, names: list[str], edges: Edges, handler: str) -> tuple[list[str], Edges]:
        """The graph with one node for a TRY and its CATCHes, instead of the actions in them."""
        tried = set(edges[handler])
        handlers = [n for n in names if _handles(edges[n]) and set(edges[n]) == tried]
        tried |= _between(names, edges, tried) - set(handlers)
        ways: dict[Statuses, set[str]] = {}
        for name in handlers:
            ways.setdefault(frozenset().union(*edges[name].values()), set()).add(name)
        caught = {way: _grown(names, edges, starts, frozenset()) for way, starts in ways.items()}
        taken = set().union(*caught.values())
        body = _grown(names, edges, tried, taken, only_ok=tried)
        node = f"\0try {handler}"
        try:
            merged = _merged(names, edges, body | taken, node)
        except Cycle:
            self._lost.append(f"failure path of {', '.join(sorted(tried))}: it crosses another path; now in sequence")
            return names, {n: {o: s | OK if n in handlers else s for o, s in edges[n].items()} for n in names}
        if after := [name.removeprefix("\0try ") for name in names if name in body - tried]:
            self._notes.append(f"a failure of {', '.join(after)} runs the CATCH too; in the source it does not")
        pair = [Step("TRY", annotation=self._name(tried), children=self.steps([n for n in names if n in body], edges))]
        for way, part in caught.items():
            children = self.steps([n for n in names if n in part], edges)
            inputs = {"status": ", ".join(sorted(way))}
            pair.append(Step("CATCH", annotation=self._name(ways[way]), inputs=inputs, children=children))
        self._made[node] = pair
        return merged

    def _name(self, names: set[str]) -> str | None:
        return self._note(next(iter(names))) if len(names) == 1 else None


def _grown(
    names: list[str], edges: Edges, start: Collection[str], barred: Collection[str], only_ok: Collection[str] = ()
) -> set[str]:
    """`start` and all that runs only after it: not what also runs when it was skipped, nor what is barred.

    What waits for a member of `only_ok` must wait for its success.
    """
    grown = set(start)
    for name in names:
        before = edges[name]
        if before and name not in grown and name not in barred and before.keys() <= grown:
            follows = (s == OK if o in only_ok else not {"succeeded", "skipped"} <= s for o, s in before.items())
            if all(follows):
                grown.add(name)
    return grown


def _between(names: list[str], edges: Edges, ends: set[str]) -> set[str]:
    """What lies on a way from one of `ends` to another."""
    below, above = set(ends), set(ends)
    for name in names:
        if edges[name].keys() & below:
            below.add(name)
    for name in reversed(names):
        if name in above:
            above |= edges[name].keys()
    return below & above


def _merged(names: list[str], edges: Edges, members: set[str], node: str) -> tuple[list[str], Edges]:
    """The graph with `node` in place of `members`, in topological order. Raises Cycle where it has none."""
    merged: Edges = {}
    for name in names:
        target = merged.setdefault(node if name in members else name, {})
        for other, statuses in edges[name].items():
            source = node if other in members else other
            if source != node or name not in members:
                target[source] = target.get(source, frozenset()) | statuses
    return topological(list(merged), merged), merged
