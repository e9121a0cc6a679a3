"""Whether two flows do the same: symbolic execution with uninterpreted functions, situation by situation."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, NamedTuple

from flowstudy.flows.catalogue import Catalogue
from flowstudy.flows.parse import parse_flow
from flowstudy.flows.schema import QUERY_INPUTS, Flow, structure_faults
from flowstudy.flows.tree import depth
from flowstudy.metrics.similarity import FlowLike, as_references
from flowstudy.metrics.symbolic.interpreter import Budget, Effect, Run, TooMuch, is_message
from flowstudy.metrics.symbolic.terms import Node, Terms, plain
from flowstudy.metrics.symbolic.world import World, constants
from flowstudy.metrics.trees import UnreadableFlow

#: Limits of one comparison: situations told apart, situations sampled beyond, steps run in all, size of a flow.
MAX_SITUATIONS: Final = 1024
SAMPLES: Final = 128
MAX_RUN_STEPS: Final = 30_000
#: So many steps find nearly every difference; only where none is found, or none but of the moment, all are taken.
FIRST_STEPS: Final = 3_000
MAX_STEPS: Final = 200
MAX_DEPTH: Final = 40

Verdict = Literal["same", "other moment", "different", "unknown"]


@dataclass(frozen=True)
class Behaviour:
    """What a candidate does beside a reference.

    `same`: proven equal in every situation, trigger included; False also where `unknown` gives a reason. `agree` in
    [0, 1]: share of situations with equal effects while the reference starts, mean over what the reference does in
    them (of large flows that differ, over the first `situations` only); `f1` and `f1_names` in [0, 1]: F1 of the
    effects with and without their inputs, the same mean. `starts`: the trigger is the same. `other_moment`: every
    difference is when effects happen relative to waits and to each other.
    `dangling`: the candidate's references to nothing. `counterexample`: the first difference in words, None without.
    `best`: place of the reference among those given.
    """

    same: bool
    agree: float
    f1: float
    f1_names: float
    starts: bool = True
    other_moment: bool = False
    dangling: tuple[str, ...] = ()
    counterexample: str | None = None
    unknown: str | None = None
    situations: int = 0
    best: int = 0

    @property
    def verdict(self) -> Verdict:
        """`same`, `other moment`, `different` or `unknown` in one word."""
        if self.unknown is not None:
            return "unknown"
        return "same" if self.same else "other moment" if self.other_moment else "different"


def behaviour(
    candidate: FlowLike | None,
    reference: FlowLike | Sequence[FlowLike],
    catalogue: Catalogue | None = None,
    *,
    every_step_counts: bool = False,
    most_steps: int = MAX_RUN_STEPS,
    record: str = "the pair",
) -> Behaviour:
    """Whether a candidate does what a reference does, or the best of several references: by `same`, then what is
    `unknown` (a difference from all others decides nothing then), then `agree`.

    Each flow is a `Flow`, a parsed JSON object or a text; a candidate that is no flow does nothing right. The
    catalogue says which steps only read, which values columns have, and which outputs steps give; without one, names
    of steps decide. `every_step_counts=True` counts steps that only read as effects too. Time and memory are bounded
    (`most_steps`: steps interpreted for a reference, about 0.1 ms each); nothing is executed. Raises `UnreadableFlow`
    for a reference that is no flow, ValueError for no reference.

    >>> act = {"category": "action", "definition": "reset", "scope": "global", "order": 1, "block": None, "inputs": []}
    >>> behaviour({"trigger": None, "components": []}, {"trigger": None, "components": [act]}).counterexample
    'when nothing is special: expected reset(), got nothing'
    """
    found: list[Behaviour] = []
    mine = _flow(candidate)
    for place, each in enumerate(as_references(reference, record)):
        theirs = _flow(each)
        if theirs is None:
            raise UnreadableFlow(f"unreadable reference for {record}: expected a flow, got none; correct the reference")
        if mine is None:
            return Behaviour(False, 0.0, 0.0, 0.0, starts=False, counterexample="the answer is no flow")
        found.append(replace(_compare(mine, theirs, catalogue, every_step_counts, most_steps), best=place))
        if found[-1].same:
            break
    return max(found, key=lambda b: (b.same, b.unknown is not None, b.agree, b.f1, b.f1_names, -b.best))


def _flow(flow: Any) -> Flow | None:
    return flow if isinstance(flow, Flow) else parse_flow(flow).flow if isinstance(flow, dict | str) else None


def _compare(candidate: Flow, reference: Flow, catalogue: Catalogue | None, every: bool, most: int) -> Behaviour:
    for name, flow in (("candidate", candidate), ("reference", reference)):
        if flow.steps > MAX_STEPS:
            return _cannot(f"the {name} has {flow.steps} components, expected at most {MAX_STEPS}")
        faults = structure_faults(flow)
        if faults:
            return _cannot(f"the {name} is not well formed: {faults[0]}")
        if depth(flow) > MAX_DEPTH:
            return _cannot(f"the {name} is nested {depth(flow)} deep, expected at most {MAX_DEPTH}")
    first = Comparison(candidate, reference, catalogue, every, min(most, FIRST_STEPS)).result()
    if most <= FIRST_STEPS or (first.unknown is None and not first.other_moment):
        return first
    return Comparison(candidate, reference, catalogue, every, most).result()


def _cannot(reason: str) -> Behaviour:
    return Behaviour(False, 0.0, 0.0, 0.0, unknown=reason)


class Done(NamedTuple):
    """What one flow does in a situation: its effects with resolved inputs, and the pairs whose order counts."""

    run: Run
    effects: list[Effect]
    signatures: list[Hashable]
    exact: Counter[Hashable]
    before: frozenset[tuple[tuple[Hashable, Hashable], int]]


@dataclass
class Tally:
    """Weighted sums over the situations in which the reference does one thing."""

    weight: float = 0.0
    agree: float = 0.0
    f1: float = 0.0
    names: float = 0.0


@dataclass
class Comparison:
    """Two flows in all their situations."""

    candidate: Flow
    reference: Flow
    catalogue: Catalogue | None
    every: bool = False
    most_steps: int = MAX_RUN_STEPS
    tallies: dict[Hashable, Tally] = field(default_factory=dict)
    first: tuple[int, str] | None = None
    differs: bool = False
    moment: bool = True
    situations: int = 0
    reached: set[int] = field(default_factory=set)
    dangling: dict[str, None] = field(default_factory=dict)

    def result(self) -> Behaviour:
        """The verdict."""
        self.terms, self.budget = Terms(), Budget(self.most_steps)
        self.world = World(self.terms, constants(self.candidate, self.reference), self.catalogue)
        starts = self._same_trigger()
        complete = self._explore()
        steps = {c.order for c in self.reference.components if not c.is_logic}
        unknown = None
        if not self.differs:
            if not complete:
                unknown = f"more situations than can be told apart; no difference in {self.situations} of them"
            elif steps - self.reached:
                unknown = f"component {min(steps - self.reached)} of the reference is reached in no situation"
        same = starts and not self.differs and unknown is None
        tallies = [t for t in self.tallies.values() if t.weight]
        agree, f1, names = (
            sum(getattr(t, n) / t.weight for t in tallies) / len(tallies)
            if tallies
            else float(complete and not self.differs)
            for n in ("agree", "f1", "names")
        )
        words = self.first[1] if self.first else None
        if not starts and words is None:
            words = f"it starts by {_trigger_words(self.candidate)}, expected {_trigger_words(self.reference)}"
            unknown = None
        moment = self.differs and self.moment and starts
        return Behaviour(
            same, agree, f1, names, starts, moment, tuple(self.dangling), words, unknown, self.situations
        )  # fmt: skip

    def _explore(self) -> bool:
        """Go through all situations, or a sample that takes every answer of every question in turn."""
        world = self.world
        world.open.append(({}, None, 0))
        try:
            while world.open and self.situations < MAX_SITUATIONS:
                world.masks, theirs, tried = world.open.pop()
                self._situation(theirs if tried == len(world.tried) else None)
            if not world.open:
                return True
            world.open, world.pick = [], random.Random(0)
            for _ in range(SAMPLES):
                world.masks = {}
                self._situation()
        except TooMuch:
            pass
        return False

    def _run(self, flow: Flow, side: str, starts: bool = False) -> Run:
        run = Run(flow, side, self.world, self.budget, self.every)
        run.started = run.starts()
        if run.started or starts:
            run.body()
        return run

    def _situation(self, theirs: Run | None = None) -> None:
        """One situation, the reference first; `theirs` is its run where only the candidate has asked since."""
        world = self.world
        while True:
            tried = len(world.tried)
            world.asker = None
            theirs = theirs or self._run(self.reference, "reference")
            world.asker = theirs
            mine = self._run(self.candidate, "candidate", theirs.started)
            if len(world.tried) == tried:
                break
            theirs = None
        expected, given = theirs.started, mine.started
        self.situations += 1
        self.reached |= theirs.reached
        self.dangling |= mine.dangling
        a, b = self._done(theirs), self._done(mine)
        equal = a.exact == b.exact and a.before == b.before
        if expected and (a.exact or b.exact):
            tally = self.tallies.setdefault((frozenset(a.exact.items()), a.before), Tally())
            weight = world.weight()
            tally.weight += weight
            tally.agree += weight * equal
            tally.f1 += weight * (1.0 if equal else _f1(self._counted(a, "nominal"), self._counted(b, "nominal")))
            tally.names += weight * (1.0 if equal else _f1(_names(a), _names(b)))
        if expected != given and (a.exact if expected else b.exact):
            self.moment = False
            self._differ(a if expected else None, b if given else None)
        elif expected and given and not equal:
            self.moment = self.moment and self._counted(a, "timeless") == self._counted(b, "timeless")
            self._differ(a, b)

    def _differ(self, expected: Done | None, given: Done | None) -> None:
        """Remember the situation in which they differ for which the least need be said; None: it does not start."""
        self.differs = True
        size = len(self.world.masks)
        if self.first is not None and size >= self.first[0]:
            return
        if expected and given:
            words = self._difference(expected, given)
        else:
            done = expected or given
            does = ", ".join(map(self._words, done.effects[:2])) if done else ""
            words = (
                f"expected {does if expected else 'nothing'}, got {does if given else 'nothing'} (trigger condition)"
            )
        self.first = size, f"when {self.world.words()}: {words}"

    def _difference(self, expected: Done, given: Done) -> str:
        """The first effect that differs, in words; one of the same name is what came in its stead."""
        missing = [e for e, s in zip(expected.effects, expected.signatures, strict=True) if s not in given.exact]
        extra = [e for e, s in zip(given.effects, given.signatures, strict=True) if s not in expected.exact]
        if expected.exact != given.exact:
            if not missing and not extra:
                return f"expected {len(expected.effects)} effects, got {len(given.effects)}, one more often"
            extra.sort(key=lambda e: e.key != missing[0].key if missing else False)
            wanted, got = (self._words(side[0]) if side else "nothing" for side in (missing, extra))
            return f"expected {wanted}, got {got}"
        words = {s: self._words(e) for e, s in zip(expected.effects, expected.signatures, strict=True)}
        for pairs, verb in ((expected.before - given.before, "expected"), (given.before - expected.before, "got")):
            for pair, _ in sorted(pairs, key=repr)[:1]:
                return f"{verb} {words[pair[0]]} before {words[pair[1]]}"
        return "another order"

    def _counted(self, done: Done, mode: str) -> Counter[Hashable]:
        """The effects regardless of the moment (`timeless`, without pure waits) or with results named by number."""
        memo: dict[int, int] = {}
        kept = [e for e in done.effects if mode == "nominal" or not e.is_pure_wait]
        return Counter(self._signature(e, done.run, mode, memo) for e in kept)

    def _done(self, run: Run) -> Done:
        """The effects of a run, its terms replaced by what is known in this situation."""
        effects = [e for place, e in enumerate(run.effects) if not _is_idle_wait(run.effects, place)]
        memo: dict[int, int] = {}
        signatures = [self._signature(e, run, "exact", memo) for e in effects]
        before = Counter(
            (signatures[i], signatures[j])
            for j, later in enumerate(effects) for i, earlier in enumerate(effects[:j])
            if _ordered(earlier, later)
        )  # fmt: skip
        return Done(run, effects, signatures, Counter(signatures), frozenset(before.items()))

    def _signature(self, effect: Effect, run: Run, mode: str, memo: dict[int, int]) -> Hashable:
        def change(term: int, node: Node) -> int | None:
            kind, data, kids = node
            if kind == "call" and term in run.nth and mode == "nominal":
                return self.terms.make("call", run.nth[term])
            if kind == "call" and term in run.renamed and mode != "nominal":
                return self.terms.rewritten(run.renamed[term], change, memo)
            known = self.world.known(term) if kind in ("get", "trigger") else None
            if known is not None:
                return self.terms.make("lit", known)
            if mode == "timeless" and kind in ("get", "call", "row"):
                stays = kind == "call" and isinstance(data[2], int)
                return None if stays else self.terms.make(kind, (*data[:-1], 0), kids)
            return None

        def final(term: int) -> int:
            return self.terms.rewritten(term, change, memo)

        return (
            effect.key, tuple(sorted((n, final(v)) for n, v in effect.inputs.items())),
            tuple(sorted((n, final(v)) for n, v in effect.columns.items())), tuple(map(final, effect.loops)),
        )  # fmt: skip

    def _words(self, effect: Effect) -> str:
        given = {n: v for n, v in effect.inputs.items() if n not in ("record", "table") or not effect.columns}
        inside = ", ".join(f"{n}={self.terms.words(v)}" for n, v in (given | effect.columns).items())
        return f"{effect.key}({inside})"

    def _same_trigger(self) -> bool:
        """Type and all inputs but the condition are the same."""
        mine, theirs = (
            f.trigger and (f.trigger.type, sorted((i.name, plain(i.value)) for i in f.trigger.inputs
                                                  if i.name not in QUERY_INPUTS and plain(i.value)))
            for f in (self.candidate, self.reference)
        )  # fmt: skip
        return mine == theirs


def _trigger_words(flow: Flow) -> str:
    if flow.trigger is None:
        return "no trigger"
    given = ", ".join(f"{i.name}={plain(i.value)}" for i in flow.trigger.inputs if i.name not in QUERY_INPUTS)
    return f"{flow.trigger.type}({given})"


def _f1(a: Counter[Hashable], b: Counter[Hashable]) -> float:
    total = a.total() + b.total()
    return 2 * (a & b).total() / total if total else 1.0


def _apart(a: Effect, b: Effect) -> bool:
    """Whether two effects stand in different branches of one PARALLEL."""
    places = dict(a.branch)
    return any(places.get(order, number) != number for order, number in b.branch)


def _is_idle_wait(effects: list[Effect], place: int) -> bool:
    """A wait after which nothing is done."""
    wait = effects[place]
    later = effects[place + 1 :]
    return wait.is_pure_wait and all(e.is_pure_wait or _apart(wait, e) for e in later)


def _ordered(earlier: Effect, later: Effect) -> bool:
    """Whether the order of two effects counts: a wait, the same step on the same subject, or one overwrites."""
    if earlier.branch and later.branch and _apart(earlier, later):
        return False
    if earlier.kind == "waits":
        return True
    if is_message(earlier.key) or is_message(later.key):
        return False
    if earlier.key == later.key and earlier.subject == later.subject and earlier.key != "create_record":
        return earlier.key != "update_record" or bool(earlier.columns.keys() & later.columns.keys())
    if "delete_record" in (earlier.key, later.key):
        return earlier.inputs.get("record", -1) == later.inputs.get("record", -2)
    return False


def _names(done: Done) -> Counter[Hashable]:
    return Counter(e.key for e in done.effects)
