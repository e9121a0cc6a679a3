"""The structure of a generated flow: which steps, in which blocks, and what is left unsaid."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from flowstudy.corpus.synthesis import words as w
from flowstudy.corpus.synthesis.scene import Card, Said, Scene, World, join_conditions
from flowstudy.corpus.synthesis.steps import TRIGGER_WEIGHTS, WEIGHTS, Clause, Inputs, Start, tell_step, tell_trigger


@dataclass(slots=True)
class Node:
    """One component with its words. `clause` is how a step is asked for, `words` the condition or opening of a block;
    a node without either is implicit. `follow` says that the decision before it must stay with it."""

    order: int
    definition: str
    scope: str = "global"
    category: str = "flowlogic"
    inputs: Inputs = field(default_factory=list)
    clause: Clause | None = None
    words: str = ""
    children: list[Node] = field(default_factory=list)


@dataclass(slots=True)
class Plan:
    """A whole flow with its words, before the words are put in sentences."""

    start: Start | None
    nodes: list[Node]
    implicit: list[int]
    steps: int


@dataclass(frozen=True)
class Mix:
    """How often each feature occurs, as shares 0..1. `sizes` are the fewest and most components of a flow."""

    sizes: tuple[int, int] = (1, 20)
    logic: float = 0.26
    implicit: float = 0.5
    typos: float = 0.12
    no_trigger: float = 0.04
    negations: float = 0.06
    chatter: float = 0.25


_LOGIC: Final = {"IF": 50, "FOREACH": 18, "PARALLEL": 7, "SWITCH": 6, "TRY": 6, "DOUNTIL": 4, "WAIT": 12, "END": 2}
_LOGIC_NAMES: Final = list(_LOGIC)
_LOGIC_SUMS: Final = list(accumulate(_LOGIC.values()))


class Deck:
    """The steps of a world with their weights, ready for `random.choices`."""

    def __init__(self, world: World) -> None:
        special = [WEIGHTS.get(card.key, 0) for card in world.cards]
        other = sum(1 for s in special if not s) or 1
        known = sum(special) or 1
        # half of the steps are the platform's workhorses, half come from everything else
        own = [
            weight if weight else known / other * (1.6 if card.scope != "global" else 1.0)
            for card, weight in zip(world.cards, special, strict=True)
        ]
        self.cards, self.sums = world.cards, list(accumulate(own))
        self.triggers = world.triggers
        self.trigger_sums = list(accumulate(TRIGGER_WEIGHTS.get(name, 2) for name in world.triggers))


class Planner:
    """Draws one plan. `size` is how many components it aims at; a block that was opened is finished."""

    def __init__(self, world: World, deck: Deck, scene: Scene, mix: Mix, size: int) -> None:
        self.world, self.deck, self.scene, self.mix, self.left = world, deck, scene, mix, size
        self.order = 0
        self.implicit: list[int] = []

    def plan(self) -> Plan:
        start = None
        if self.deck.triggers and not self.scene.chance(self.mix.no_trigger):
            kind = self.scene.rng.choices(self.deck.triggers, cum_weights=self.deck.trigger_sums)[0]
            start = tell_trigger(self.scene, kind)
        nodes: list[Node] = []
        while self.left > 0:
            nodes += self._some(0)
        return Plan(start, nodes, self.implicit, self.order)

    # ---- blocks --------------------------------------------------------------------------------------------------

    def _next(self) -> int:
        self.order += 1
        self.left -= 1
        return self.order

    def _block(self, depth: int, most: int = 3) -> list[Node]:
        """The inside of a block: at least one component."""
        nodes = self._some(depth + 1)
        while len(nodes) < most and self.left > 0 and self.scene.chance(0.45):
            nodes += self._some(depth + 1)
        return nodes

    def _some(self, depth: int) -> list[Node]:
        """One component, or a few that belong together."""
        if self.left > 1 and depth < 3 and self.scene.chance(self.mix.logic / (1 + 0.6 * depth)):
            kind = self.scene.rng.choices(_LOGIC_NAMES, cum_weights=_LOGIC_SUMS)[0]
            nodes: list[Node] = getattr(self, f"_{kind.lower()}")(depth)
            if nodes:
                return nodes
        return [self._step(depth)]

    def _step(self, depth: int) -> Node:
        for _ in range(12):
            card = self.scene.rng.choices(self.deck.cards, cum_weights=self.deck.sums)[0]
            node = self._tell(card)
            if node is not None:
                return node
        for card in self.deck.cards:
            node = self._tell(card)
            if node is not None:
                return node
        raise ValueError(
            f"catalogue {self.world.catalogue.name}: expected a step whose required inputs can be given, got none"
        )

    def _tell(self, card: Card) -> Node | None:
        told = tell_step(self.scene, card)
        if told is None:
            return None
        node = Node(self._next(), card.definition, card.scope, card.category, told.inputs, told.clause)
        self._offer(node, card)
        return node

    def _offer(self, node: Node, card: Card) -> None:
        """Make the outputs of the step available."""
        table = next((value for name, value in node.inputs if name == "table"), "")
        for output in card.step.outputs:
            reference = f"step.{node.order}.{output}"
            if output == "record":
                if any(name == "record" for name, _ in node.inputs):
                    continue
                noun = "" if table else f"the {card.definition.replace('_', ' ').partition(' ')[2] or 'record'}"
                self.scene.add_record(reference, table, noun)
            elif output not in ("records", "count", "found", "decision", "status", "state", "approver", "comments"):
                said = f"the {output.replace('_', ' ')}"
                self.scene.texts.append(Said(f"{{{{{reference}}}}}", said))

    # ---- flow logic ----------------------------------------------------------------------------------------------

    def _if(self, depth: int) -> list[Node]:
        if self.left > 2 and "ask_for_approval" in self.world.by_key and self.scene.chance(0.3):
            return self._decision(depth)
        found = self._test()
        if found is None:
            return []
        query, said = found
        node = Node(
            self._next(),
            "IF",
            inputs=[("condition", query)],
            words=f"{self.scene.pick(('if', 'if', 'if', 'when', 'in case', 'only if'))} {said}",
        )
        node.children = self._block(depth)
        nodes = [node]
        while self.left > 1 and self.scene.chance(0.15):
            other = self._test()
            if other is None:
                break
            branch = Node(
                self._next(),
                "ELSEIF",
                inputs=[("condition", other[0])],
                words=f"{self.scene.pick(('else if', 'or if', 'otherwise if', 'if instead'))} {other[1]}",
            )
            branch.children = self._block(depth, 2)
            nodes.append(branch)
        return nodes + self._else(depth, 0.35)

    def _else(self, depth: int, share: float) -> list[Node]:
        if self.left < 1 or not self.scene.chance(share):
            return []
        node = Node(
            self._next(),
            "ELSE",
            words=self.scene.pick(
                ("otherwise", "otherwise", "else", "if not", "in all other cases", "in any other case")
            ),
        )
        node.children = self._block(depth, 2)
        return [node]

    def _test(self) -> tuple[str, str] | None:
        """A condition on the data at hand: its query and its words."""
        scene = self.scene
        if scene.texts and scene.chance(0.2):
            value, words = scene.texts[-1]
            if value.startswith("{{step."):
                sign, said = scene.pick(
                    (
                        (">", "above"),
                        (">", "over"),
                        ("<", "below"),
                        (">=", "at least"),
                        ("<=", "at most"),
                        ("=", "exactly"),
                    )
                )
                number = scene.number()
                return f"{value}{sign}{number}", f"{words} is {said} {number}"
        record = scene.record()
        found = scene.conditions(record.table, 2) if record and record.table else []
        if record is None or not found:
            return None
        return join_conditions(found, record.reference), " and ".join(c.clause for c in found)

    def _decision(self, depth: int) -> list[Node]:
        """An approval and what follows from it; the approval itself is often left to be understood."""
        asked = self._tell(self.world.by_key["ask_for_approval"])
        if asked is None or asked.clause is None:
            return []
        scene, approved = self.scene, self.scene.chance(0.72)
        query = f"{{{{step.{asked.order}.decision}}}}={'approved' if approved else 'rejected'}"
        words = (
            scene.pick(
                (
                    "if approved",
                    "if it is approved",
                    "once approved",
                    "after approval",
                    "when they say yes",
                    "if they agree",
                )
            )
            if approved
            else scene.pick(("if rejected", "if it is rejected", "if they decline", "if they say no"))
        )
        who = next(value for name, value in asked.inputs if name == "approver")
        if scene.chance(self.mix.implicit * 0.6) and len(asked.inputs) == 2 and "{{" not in who:
            verb = (
                scene.pick(("approves", "agrees", "signs it off", "gives the ok", "says yes"))
                if approved
                else scene.pick(("rejects it", "declines", "says no", "refuses"))
            )
            words = f"{scene.pick(('if', 'once', 'when', 'only if')) if approved else 'if'} {who} {verb}"
            asked.clause = None
            self.implicit.append(asked.order)
        node = Node(self._next(), "IF", inputs=[("condition", query)], words=words)
        node.children = self._block(depth)
        return [asked, node, *self._else(depth, 0.4)]

    def _foreach(self, depth: int) -> list[Node]:
        """A look-up and a loop over what it finds; the look-up is often left to be understood."""
        card = self.world.by_key.get("look_up_records")
        found = self._tell(card) if card is not None else None
        if found is None or found.clause is None:
            return []
        scene, table = self.scene, found.inputs[0][1]
        noun = scene.world.label(table)
        obj = found.clause.obj
        for start in ("all the ", "all ", "every one of the ", "the "):
            obj = obj.removeprefix(start)
        if scene.chance(self.mix.implicit):
            words = scene.pick(
                (
                    f"for each of the {obj}",
                    f"for all {obj}",
                    f"for every one of the {obj}",
                    f"go through the {obj} and for each",
                    f"for {obj}, one by one",
                    f"loop over the {obj}",
                )
            )
            found.clause = None
            self.implicit.append(found.order)
        else:
            words = scene.pick(
                (
                    "for each of them",
                    "for each one",
                    f"for each {noun}",
                    f"for every {noun} found",
                    "for all of them",
                    "one by one",
                )
            )
        node = Node(self._next(), "FOREACH", inputs=[("items", f"{{{{step.{found.order}.records}}}}")], words=words)
        before = (list(scene.records), list(scene.people), list(scene.texts))
        scene.records, scene.texts = [], []
        scene.add_record(f"step.{node.order}.item", table)
        node.children = self._block(depth)
        scene.records, scene.people, scene.texts = before
        return [found, node]

    def _parallel(self, depth: int) -> list[Node]:
        node = Node(
            self._next(),
            "PARALLEL",
            words=self.scene.pick(("at the same time", "in parallel", "simultaneously", "side by side", "all at once")),
        )
        for _ in range(2 if self.scene.chance(0.75) else 3):
            branch = Node(self._next(), "BRANCH")
            branch.children = [self._step(depth + 2)]
            if self.left > 0 and self.scene.chance(0.25):
                branch.children.append(self._step(depth + 2))
            node.children.append(branch)
        return [node]

    def _switch(self, depth: int) -> list[Node]:
        scene = self.scene
        record = scene.record()
        columns = [(c, d) for c, d in scene.world.askable.get(record.table, ()) if len(d.choices) > 1] if record else []
        if record is None or not columns:
            return []
        column, definition = scene.pick(columns)
        label = (definition.label or column.replace("_", " ")).lower()
        node = Node(
            self._next(),
            "SWITCH",
            inputs=[("value", f"{{{{{record.reference}.{column}}}}}")],
            words=scene.pick(
                (f"depending on the {label}", f"depending on {label}", f"by {label}", f"according to the {label}")
            ),
        )
        chosen = scene.rng.sample(list(definition.choices), min(len(definition.choices), 2 if scene.chance(0.6) else 3))
        for value in chosen:
            said = definition.choices[value].lower()
            case = Node(
                self._next(),
                "CASE",
                inputs=[("value", value)],
                words=scene.pick((f"for {said}", f"if {said}", f"{said}:", f"when it is {said}", f"in case of {said}")),
            )
            case.children = [self._step(depth + 2)]
            node.children.append(case)
        if self.left > 0 and scene.chance(0.4):
            rest = Node(
                self._next(),
                "DEFAULT",
                words=scene.pick(("for everything else", "for anything else", "in all other cases", "otherwise")),
            )
            rest.children = [self._step(depth + 2)]
            node.children.append(rest)
        return [node]

    def _try(self, depth: int) -> list[Node]:
        node = Node(self._next(), "TRY", words=self.scene.pick(("try to", "try the following:", "attempt to")))
        node.children = [self._step(depth + 1)]
        rescue = Node(
            self._next(),
            "CATCH",
            words=self.scene.pick(
                (
                    "if that fails",
                    "if this goes wrong",
                    "on any error",
                    "if there is an error",
                    "should it fail",
                    "when this does not work",
                )
            ),
        )
        rescue.children = self._block(depth, 2)
        return [node, rescue]

    def _dountil(self, depth: int) -> list[Node]:
        found = self._test()
        if found is None:
            return []
        node = Node(
            self._next(),
            "DOUNTIL",
            inputs=[("condition", found[0])],
            words=self.scene.pick(
                (
                    f"repeat until {found[1]}",
                    f"do this until {found[1]}",
                    f"keep doing this till {found[1]}",
                    f"until {found[1]}",
                )
            ),
        )
        node.children = self._block(depth, 2)
        return [node]

    def _wait(self, depth: int) -> list[Node]:
        pause = self.scene.duration()
        return [
            Node(
                self._next(),
                "WAIT",
                inputs=[("duration", pause.value)],
                clause=Clause("wait", self.scene.pick(("", "for ", "another ")) + pause.words),
            )
        ]

    def _end(self, depth: int) -> list[Node]:
        if depth == 0:
            return []
        return [
            Node(
                self._next(),
                "END",
                clause=self.scene.pick(
                    (
                        Clause("stop", "the flow"),
                        Clause("end", "here"),
                        Clause("stop", ""),
                        Clause("", "that's it, stop"),
                    )
                ),
            )
        ]


def a_negation(scene: Scene) -> str:
    """A sentence about what is not wanted; no component follows from it."""
    thing = scene.pick(
        (
            "an e-mail",
            "an approval",
            "a task",
            "a comment",
            "a notification",
            "a reminder",
            "a report",
            w.article(scene.thing()),
        )
    )
    return scene.pick(
        (
            f"No need to send {thing}.",
            f"Do not create {thing} here.",
            f"We do not need {thing}.",
            f"{thing[:1].upper()}{thing[1:]} is not needed.",
            f"Don't {scene.pick(('touch', 'change', 'close'))} the {scene.thing()}.",
        )
    )
