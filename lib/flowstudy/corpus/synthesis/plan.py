"""The structure of a generated flow: which steps, in which blocks, and what is left unsaid."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from flowstudy.corpus.synthesis import words as w
from flowstudy.corpus.synthesis.conditions import compare
from flowstudy.corpus.synthesis.scene import Card, Said, Scene, Test, World
from flowstudy.corpus.synthesis.starts import WEIGHTS as TRIGGER_WEIGHTS
from flowstudy.corpus.synthesis.starts import Start, tell_trigger
from flowstudy.corpus.synthesis.steps import WEIGHTS, Clause, Inputs, tell_step
from flowstudy.corpus.synthesis.values import number


@dataclass(slots=True)
class Node:
    """One component with its words. `clause` is how a step is asked for, `words` the condition or opening of a block;
    a node without either is implicit."""

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
    logic: float = 0.34
    implicit: float = 0.5
    typos: float = 0.12
    no_trigger: float = 0.03
    negations: float = 0.06
    chatter: float = 0.25
    accent: float = 0.1
    sloppy: float = 0.25


_LOGIC: Final = {"IF": 50, "FOREACH": 18, "PARALLEL": 7, "SWITCH": 6, "TRY": 6, "DOUNTIL": 4, "WAIT": 20, "END": 2}
_LOGIC_NAMES: Final = list(_LOGIC)
_LOGIC_SUMS: Final = list(accumulate(_LOGIC.values()))
#: Outputs that are asked for as numbers, as words and as yes or no; how the answer is said.
_NUMBERS: Final = w.bag("score value amount percentage count days balance rating rate total result "
                         "quantity level temperature price risk share remaining hours")  # fmt: skip
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "status": ("ok", "failed", "done", "error"), "result": ("pass", "fail", "clear", "hit"), "grade": ("a", "b",
    "c", "f"),
    "sentiment": ("negative", "positive"), "mood": ("negative", "positive"), "band": ("high", "low", "medium"),
    "answer": ("yes", "no"), "outcome": ("ok", "failed"), "level": ("high", "low"), "verdict": ("clean", "infected"),
    "state": ("done", "failed"), "code": ("ok", "error"), "decision": ("approved", "rejected"),
}  # fmt: skip
_YES: Final = w.bag("available covered booked matched valid free possible confirmed eligible allowed")


class Deck:
    """The steps of a world with their weights, ready for `random.choices`."""

    def __init__(self, world: World) -> None:
        special = [WEIGHTS.get(card.key, 0) for card in world.cards]
        known = sum(special) or 1
        # about half of the steps are the platform's workhorses; the rest is mostly of the environment itself
        rest = [0.0 if weight else _weight(card) for card, weight in zip(world.cards, special, strict=True)]
        share = known / (sum(rest) or 1)
        scaled = [weight or other * share for weight, other in zip(special, rest, strict=True)]
        self.cards, self.sums = world.cards, list(accumulate(scaled))
        self.triggers = world.triggers
        self.trigger_sums = list(accumulate(TRIGGER_WEIGHTS.get(name, 2) for name in world.triggers))


#: Platform steps that are seldom asked for, and those that only make sense with others around them.
_RARE: Final = w.bag(
    "calculate copy_record move_attachment delete_attachment copy_attachment create_approval_rule log_message "
    "get_sla_percentage export_records create_or_update_record look_up_attachments"
)
_NEVER_ALONE: Final = ("compute_date", "get_catalogue_variables")


def _weight(card: Card) -> float:
    if card.key in _NEVER_ALONE:
        return 0.0
    return 0.15 if card.key in _RARE else (1.6 if card.scope != "global" else 1.0)


class Planner:
    """Draws one plan. `size` is how many components it aims at; a block that was opened is finished."""

    def __init__(self, world: World, deck: Deck, scene: Scene, mix: Mix, size: int, blocks: Blocks) -> None:
        self.world, self.deck, self.scene, self.mix, self.left = world, deck, scene, mix, size
        self.blocks = blocks
        self.order = 0
        self.implicit: list[int] = []
        self.start: Start | None = None

    def plan(self) -> Plan:
        if self.deck.triggers and not self.scene.chance(self.mix.no_trigger):
            kind = self.scene.rng.choices(self.deck.triggers, cum_weights=self.deck.trigger_sums)[0]
            self.start = tell_trigger(self.scene, kind)
        nodes = self._first()
        while self.left > 0 or not nodes:
            nodes += self.some(0)
        return Plan(self.start, nodes, self.implicit, self.order)

    def _first(self) -> list[Node]:
        """What a trigger calls for: a schedule looks for records, an order for answers, a state is looked at again."""
        scene, kind = self.scene, self.start.type if self.start else ""
        if scene.now and self.left > 1 and scene.chance(0.75):
            return self.blocks["FOREACH"](self, 0)
        if kind == "service_catalog" and self.left > 1 and scene.chance(0.45):
            return self.blocks["ANSWERS"](self, 0)
        if kind == "record_update" and self.left > 2 and scene.chance(0.08):
            return self.blocks["LATER"](self, 0)
        return []

    def next(self) -> int:
        """The order of a new component."""
        self.order += 1
        self.left -= 1
        return self.order

    def block(self, depth: int, most: int = 3) -> list[Node]:
        """The inside of a block: at least one component."""
        nodes = self.some(depth + 1)
        while len(nodes) < most and self.left > 0 and self.scene.chance(0.4):
            nodes += self.some(depth + 1)
        return nodes

    def some(self, depth: int) -> list[Node]:
        """One component, or a few that belong together."""
        chance = self.scene.chance
        if self.left > 1 and depth < 3 and chance(self.mix.logic / (1 + 0.6 * depth)):
            kind = self.scene.rng.choices(_LOGIC_NAMES, cum_weights=_LOGIC_SUMS)[0]
            nodes = self.blocks[kind](self, depth)
            if nodes:
                return nodes
        tests = len(self.scene.tests)
        nodes = [self.step(depth)]
        if len(self.scene.tests) > tests and self.left > 1 and depth < 3 and chance(0.6 if self.mix.logic else 0):
            nodes += self.blocks["IF"](self, depth)
        return nodes

    def step(self, depth: int) -> Node:
        """One step that the data at hand allows."""
        for _ in range(12):
            card = self.scene.rng.choices(self.deck.cards, cum_weights=self.deck.sums)[0]
            node = self.tell(card)
            if node is not None:
                return node
        for card in self.deck.cards:
            node = self.tell(card)
            if node is not None:
                return node
        raise ValueError(
            f"catalogue {self.world.catalogue.name}: expected a step whose required inputs can be given, got none"
        )

    def tell(self, card: Card) -> Node | None:
        told = tell_step(self.scene, card)
        if told is None:
            return None
        node = Node(self.next(), card.definition, card.scope, card.category, told.inputs, told.clause)
        self.offer(node, card)
        return node

    def offer(self, node: Node, card: Card) -> None:
        """Make the outputs of the step available: records, texts, and what can be asked about them."""
        scene = self.scene
        table = next((value for name, value in node.inputs if name == "table"), "")
        for output in card.step.outputs:
            reference = f"step.{node.order}.{output}"
            words = output.replace("_", " ")
            if output == "found":
                noun = self.world.label(table) if table else "one"
                scene.tests.append(Test(f"{{{{{reference}}}}}=true",
                                        scene.say("there is one|one exists|one is found|there is such a {n}|"
                                                  "a {n} is found", n=noun),
                                        scene.say("there is none|nothing is found|no {n} is found|"
                                                  "there isn't one", n=noun)))  # fmt: skip
            elif output == "record":
                if not any(name == "record" for name, _ in node.inputs):
                    made = card.definition.replace("_", " ").partition(" ")[2] or "record"
                    scene.add_record(reference, table, "" if table else f"the {made}")
            elif output in _NUMBERS:
                self._number(reference, words)
            elif output in _WORDS:
                self._word(reference, words, _WORDS[output])
            elif output in _YES:
                scene.tests.append(
                    Test(f"{{{{{reference}}}}}=true", scene.say("it is {w}|{w}", w=words), f"it is not {words}")
                )
            elif output in ("email", "attachment", "attachments"):
                scene.files[output.rstrip("s")] = reference
            elif output not in ("records", "approver", "comments"):
                scene.texts.append(Said(f"{{{{{reference}}}}}", f"the {words}"))

    def _number(self, reference: str, words: str) -> None:
        scene = self.scene
        sign, said = compare(scene)
        limit = number(scene)
        scene.numbers.append(Said(f"{{{{{reference}}}}}", f"the {words}"))
        told = scene.say(
            "the {w} is {said} {n}|{w} {said} {n}|it is {said} {n}|{said} {n}", w=words, said=said, n=limit
        )
        scene.tests.append(Test(f"{{{{{reference}}}}}{sign}{limit}", told))

    def _word(self, reference: str, words: str, options: tuple[str, ...]) -> None:
        scene, known = self.scene, self.scene.pick(options)
        if words in ("decision", "state"):
            return
        shown = known if scene.chance(0.5) else f'"{known}"'
        no = scene.chance(0.25)
        told = scene.say(
            "the {w} is {no}{v}|{w} is {no}{v}|it is {no}{v}|{w} {no}{v}", w=words, v=shown, no="not " if no else ""
        )
        scene.tests.append(Test(f"{{{{{reference}}}}}{'!=' if no else '='}{known}", told))


Blocks = Mapping[str, Callable[[Planner, int], list[Node]]]
