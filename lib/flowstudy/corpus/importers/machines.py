"""A state machine as nested blocks: choices whose ways meet again, failure handlers, and loops that one choice ends.

Where ways of a choice share a short tail (an error message, then the end), each gets a copy of it, which does the same.
A way that ends the machine while others go on gets an END. What cannot be written so is refused with the states
concerned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, Protocol

from flowstudy.corpus.importers.graph import Cycle, topological
from flowstudy.corpus.importers.records import Refused
from flowstudy.corpus.importers.steps import Step, walk

#: States that several ways may each have a copy of, and how many places for a meeting of ways are tried.
_MOST_COPIES: Final = 4
_MOST_MEETINGS: Final = 64
#: States visited while looking for meetings; more means a graph that nobody drew.
_MOST_WORK: Final = 2_000_000
_NO_MATCH: Final = {"status": "Failed", "error": "States.NoChoiceMatched"}


class Handler(NamedTuple):
    """Where a failure leads, which errors, and where their description goes in the document."""

    target: str
    errors: str
    place: Any


@dataclass
class State:
    """What leads where. `next` is None at the end and for a choice without a default; `rules` are its other ways."""

    kind: str
    next: str | None
    rules: list[str] = field(default_factory=list)
    handlers: list[Handler] = field(default_factory=list)

    def targets(self) -> list[str]:
        """Every state that may come next."""
        return [*self.rules, *([self.next] if self.next is not None else []), *(one.target for one in self.handlers)]


class Maker(Protocol):
    """Makes steps; `data` is what the document holds at the place that is being built."""

    data: Any

    def step(self, name: str) -> Step: ...
    def label(self, name: str) -> str: ...
    def question(self, name: str, places: list[int]) -> tuple[str | None, list[str]]: ...
    def until(self, name: str, back: list[int], leave: list[int], default_back: bool) -> tuple[str, str]: ...


class _Way(NamedTuple):
    """A way out of a choice: the place of its rule (None: the default) and the state it leads to."""

    rule: int | None
    target: str | None


def tree(states: Mapping[str, State], start: str, maker: Maker, notes: list[str], *, may_end: bool) -> list[Step]:
    """The steps of a machine. `may_end`: whether an END ends just this machine, as it does in the outermost one; that
    every way leads to an END in the end says nothing and is left out.

    Raises Refused for a graph that is not made of blocks.
    """
    steps = _Builder(states, start, maker, notes, may_end).block(start, None, True, frozenset())
    return steps[:-1] if len(steps) > 1 and _is_plain_end(steps[-1]) else steps


def reached(states: Mapping[str, State], start: str) -> list[str]:
    """The states that the start leads to, each before those that it leads to where there is no way back."""
    seen, order = {start}, list[str]()
    stack: list[tuple[str, Iterator[str]]] = [(start, iter(states[start].targets()))]
    while stack:
        name, targets = stack[-1]
        target = next((one for one in targets if one not in seen), None)
        if target is None:
            order.append(name)
            stack.pop()
        else:
            seen.add(target)
            stack.append((target, iter(states[target].targets())))
    return order[::-1]


class _Builder:
    def __init__(self, states: Mapping[str, State], start: str, maker: Maker, notes: list[str], may_end: bool) -> None:
        self._states, self._maker, self._notes, self._may_end = states, maker, notes, may_end
        order = reached(states, start)
        self._place = {name: place for place, name in enumerate(order)}
        self._work, self._left = 0, 4 * len(order) + 100
        self._cyclic = self._has_cycle(order)

    def block(
        self, at: str | None, stop: str | None, last: bool, barred: frozenset[str], opened: str = ""
    ) -> list[Step]:
        """The steps from a state to `stop`, or to the end. `last`: nothing follows after this block. `barred` are the
        states of open loops, which a block may only reach as its `stop`; `opened` is the loop being built."""
        steps: list[Step] = []
        pair: list[Handler] = []
        while at is not None and at != stop:
            if at in barred and at != opened:
                raise Refused(f"not structured: a way leads into the middle of a loop, to {at}")
            self._left -= 1
            if self._left < 0:
                raise Refused(f"not structured: too many ways lead to {at}")
            state, name = self._states[at], at
            if at != opened and (cycle := self._cycle(at, barred)):
                part, at = self._loop(at, cycle, stop, last, barred)
            elif state.kind == "Choice":
                part, at = self._choice(at, self._ways(at), stop, last, barred)
            elif state.handlers:
                part, at = self._try(at, stop, last, barred)
                if pair == state.handlers and all(_ends(one) for one in part[1:]):
                    steps[-len(part)].children += part[0].children
                    part = []
            elif state.kind in ("Succeed", "Fail"):
                part, at = self._end(at, last), None
            else:
                part, at = [self._maker.step(at)], state.next
                if at is None and not last:
                    part.append(self._early(name))
            if part:
                pair = state.handlers if len(part) > 1 and part[0].definition == "TRY" else []
            steps += part
            opened = ""
        return steps

    def _end(self, at: str, last: bool) -> list[Step]:
        step = self._maker.step(at)
        if self._states[at].kind == "Fail" or self._may_end:
            return [step]
        return [] if last else [self._early(at)]

    def _early(self, name: str) -> Step:
        if not self._may_end:
            raise Refused(f"not structured: a branch ends early at {name}, and an END would end all")
        return Step("END", inputs={"status": "Succeeded"})

    def _ways(self, at: str) -> list[_Way]:
        state = self._states[at]
        return [*(_Way(place, target) for place, target in enumerate(state.rules)), _Way(None, state.next)]

    def _choice(
        self, at: str, ways: list[_Way], stop: str | None, last: bool, barred: frozenset[str]
    ) -> tuple[list[Step], str | None]:
        targets = [way.target for way in ways if way.target is not None]
        join = self._meeting(at, targets, stop, last, barred)
        places = [way.rule for way in ways if way.rule is not None]
        asked = self._maker.question(at, places)
        blocks = self._blocks([way.target for way in ways], join, last, barred)
        default = next((block for way, block in zip(ways, blocks, strict=True) if way.rule is None), [])
        if any(way.rule is None and way.target is None for way in ways):
            default = [Step("END", inputs=dict(_NO_MATCH))]
        return self._asked(at, asked, blocks[: len(places)], default), join

    def _asked(
        self, at: str, asked: tuple[str | None, list[str]], blocks: list[list[Step]], default: list[Step]
    ) -> list[Step]:
        """The ways of some rules of a choice: a SWITCH where they ask for one value, else IF, ELSEIF and ELSE."""
        label = self._maker.label(at)
        value, tests = asked
        if value is not None:
            cases = [Step("CASE", inputs={"value": t}, children=b) for t, b in zip(tests, blocks, strict=True)]
            cases += [Step("DEFAULT", children=default)] if default else []
            return [Step("SWITCH", at, annotation=label, inputs={"value": value}, children=cases)]
        found = [Step("ELSEIF", inputs={"condition": t}, children=b) for t, b in zip(tests, blocks, strict=True)]
        if not found:
            return default
        found[0].definition, found[0].name, found[0].annotation = "IF", at, label
        return [*found, *([Step("ELSE", children=default)] if default else [])]

    def _blocks(
        self, starts: Iterable[str | None], join: str | None, last: bool, barred: frozenset[str]
    ) -> list[list[Step]]:
        """A block for each way to the meeting; afterwards the document holds what those that get there agree on."""
        before, blocks, after = self._maker.data, list[list[Step]](), list[Any]()
        for start in starts:
            self._maker.data = before
            blocks.append(self.block(start, join, last and join is None, barred))
            if start is not None and not (blocks[-1] and blocks[-1][-1].definition == "END"):
                after.append(self._maker.data)
        self._maker.data = before.joined(after)
        return blocks

    def _try(self, at: str, stop: str | None, last: bool, barred: frozenset[str]) -> tuple[list[Step], str | None]:
        state, before = self._states[at], self._maker.data
        body = [self._maker.step(at)]
        targets = [one.target for one in state.handlers]
        join = state.next if state.next is not None else stop
        if state.next is None and not last:
            body.append(self._early(at))
            join = None
        inside: list[Step] = []
        if state.next is not None and self._shared([state.next, *targets], state.next, stop, last, barred) is None:
            join = self._meeting(at, [state.next, *targets], stop, last, barred)
            inside = self.block(state.next, join, last and join is None, barred)
        if inside and all(s.definition == "CATCH" for s in inside[1:]) and self._handled(state.next) == state.handlers:
            body, inside = [*body, *inside[0].children], []
        if inside:
            names = ", ".join(step.name for step in walk(inside) if step.name)
            self._notes.append(f"a failure of {names} runs the CATCH of {at} too; in the source it does not")
        done = self._maker.data
        steps = [Step("TRY", children=[*body, *inside])]
        for handler in state.handlers:
            self._maker.data = before.after(at, handler.place)
            children = self.block(handler.target, join, last and join is None, barred)
            steps.append(Step("CATCH", inputs={"status": handler.errors}, children=children))
            done = done if _ends(steps[-1]) else done.joined([done, self._maker.data])
        self._maker.data = done
        return steps, join

    def _handled(self, name: str | None) -> list[Handler]:
        return [] if name is None else self._states[name].handlers

    def _loop(
        self, at: str, cycle: set[str], stop: str | None, last: bool, barred: frozenset[str]
    ) -> tuple[list[Step], str | None]:
        """A loop as DOUNTIL: what comes before the choice that ends it, then the way back to its beginning."""
        gate = self._gate(cycle)
        inner = barred | {at, gate}
        body = self.block(at, gate, False, inner, opened=at) if at != gate else []
        ways = self._ways(gate)
        back = [way for way in ways if way.target in cycle]
        leave = [way for way in ways if way.target not in cycle]
        going, ending = ([way.rule for way in some if way.rule is not None] for some in (back, leave))
        until, again = self._maker.until(gate, going, ending, any(way.rule is None for way in back))
        places = [way.rule for way in ways if way.rule is not None]
        asked = self._maker.question(gate, places)
        blocks = self._blocks([way.target for way in back], at, False, inner)
        if sum(map(bool, blocks)) == 1 == len(back):
            body.append(Step("IF", inputs={"condition": again}, children=blocks[0]))
        elif any(blocks):
            made = {way.rule: block for way, block in zip(back, blocks, strict=True)}
            body += self._asked(gate, asked, [made.get(place, []) for place in places], made.get(None, []))
        if any(blocks) and at != gate:
            self._notes.append(f"the loop at {at} asks {gate} again after the way back")
        loop = Step("DOUNTIL", annotation=self._maker.label(gate), inputs={"condition": until}, children=body)
        if len({way.target for way in leave}) == 1 and leave[0].target is not None:
            return [loop], leave[0].target
        steps, join = self._choice(gate, leave, stop, last, barred)
        return [loop, *steps], join

    def _gate(self, cycle: set[str]) -> str:
        """The choice that every round passes and that some way leaves the loop from. Raises Refused without one."""
        names = sorted(cycle, key=self._place.__getitem__)
        for name in names:
            state = self._states[name]
            leaves = state.kind == "Choice" and (not cycle.issuperset(state.targets()) or state.next is None)
            if leaves and not self._has_cycle([one for one in names if one != name]):
                return name
        raise Refused(f"a cycle that no single Choice ends: {', '.join(names[:8])}")

    def _has_cycle(self, names: list[str]) -> bool:
        known = set(names)
        before: dict[str, set[str]] = {name: set() for name in names}
        for name in names:
            for target in known.intersection(self._states[name].targets()):
                before[target].add(name)
        try:
            topological(names, before)
        except Cycle:
            return True
        return False

    def _cycle(self, at: str, barred: frozenset[str]) -> set[str]:
        """The states that lie on ways from a state back to it; empty where there are none."""
        if not self._cyclic:
            return set()
        ahead, _ = self._region(at, barred - {at})
        if not any(at in self._states[name].targets() for name in ahead):
            return set()
        before: dict[str, list[str]] = {}
        for name in ahead:
            for target in self._states[name].targets():
                before.setdefault(target, []).append(name)
        found, stack = {at}, [at]
        while stack:
            for name in before.get(stack.pop(), ()):
                if name not in found:
                    found.add(name)
                    stack.append(name)
        return found

    def _region(self, start: str, cut: frozenset[str]) -> tuple[set[str], set[str]]:
        """What a state leads to without passing a cut, and the cuts that it touches."""
        found, touched, stack = set[str](), set[str](), [start]
        while stack:
            name = stack.pop()
            if name in cut:
                touched.add(name)
            elif name not in found:
                found.add(name)
                stack += self._states[name].targets()
        self._work += len(found)
        if self._work > _MOST_WORK:
            raise Refused("not structured: too many ways cross")
        return found, touched

    def _meeting(self, at: str, targets: list[str], stop: str | None, last: bool, barred: frozenset[str]) -> str | None:
        """Where the ways from a state meet: the place that leaves the fewest states to be copied. None: nowhere."""
        cut = barred | ({stop} if stop is not None else set())
        counts = Counter(name for target in dict.fromkeys(targets) for name in self._region(target, cut)[0])
        several = len(set(targets)) > 1
        common = sorted((n for n, count in counts.items() if count > 1 or not several), key=self._place.__getitem__)
        tried = [*common[:_MOST_MEETINGS], *dict.fromkeys([stop, None])]
        costs = [(cost, place) for place, one in enumerate(tried)
                 if (cost := self._shared(targets, one, stop, last, barred)) is not None]  # fmt: skip
        if not costs:
            shown = ", ".join(common[:4]) or at
            raise Refused(f"not structured: the ways out of {at} share {shown} and do not meet")
        return tried[min(costs)[1]]

    def _shared(
        self, targets: list[str], join: str | None, stop: str | None, last: bool, barred: frozenset[str]
    ) -> int | None:
        """How many states would be copied if the ways met at `join`; None where they cannot."""
        cut = barred | {name for name in (join, stop) if name is not None}
        counts: Counter[str] = Counter()
        for target in dict.fromkeys(targets):
            found, touched = self._region(target, cut)
            if touched - {join}:
                return None
            ends = any(self._ends_here(name) for name in found)
            if ends and not self._may_end and not (join is None and last):
                return None
            counts.update(found)
        if join is not None and join in targets:  # ways that end by themselves may repeat what comes after the meeting
            counts.update(self._region(join, cut - {join})[0] & counts.keys())
        shared = sum(count > 1 for count in counts.values())
        return shared if shared <= _MOST_COPIES else None

    def _ends_here(self, name: str) -> bool:
        """Whether a machine ends well at a state."""
        state = self._states[name]
        return state.kind == "Succeed" or (state.next is None and state.kind not in ("Fail", "Choice"))


def _is_plain_end(step: Step) -> bool:
    return step.definition == "END" and step.inputs == {"status": "Succeeded"}


def _ends(step: Step) -> bool:
    return bool(step.children) and step.children[-1].definition == "END"
