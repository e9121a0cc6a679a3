"""From a plan to a requirement: sentences, bullets or a terse line, and which words belong to which component."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from flowstudy.corpus.synthesis import words as w
from flowstudy.corpus.synthesis.manners import aside, drop_articles, greeting, mistype, opening, retraction, thanks
from flowstudy.corpus.synthesis.plan import Mix, Node, Plan
from flowstudy.corpus.synthesis.scene import Scene
from flowstudy.corpus.synthesis.starts import Start
from flowstudy.corpus.synthesis.steps import Clause

_STYLES: Final = ("prose",) * 11 + ("terse",) * 6 + ("bullets", "bullets", "numbers", "numbers", "lines")
_MODES: Final = ("do",) * 6 + ("told",) * 8 + ("passive", "passive", "please", "should", "we", "system", "want")
_NEXT: Final = "Then|Then|After that|Next|Also|Afterwards|And|Finally|In addition|Once done|||||||||"
_ASIDE: Final = "Either way|In any case|After all this|Regardless|At the end|And always|Finally|In both cases|||"
_MUST: Final = "should be|must be|is|has to be|needs to be|gets|will be|shall be|is to be"
_MUST_PLURAL: Final = "should be|must be|are|have to be|need to be|get|will be|shall be|are to be"
#: Objects that make no subject of a passive: more than one verb, or a particle at the end.
_ACTIVE: Final = re.compile(r" and |^in |^on |^whether| (?:back|off|out|up|down|again)$")
_LOGIC: Final = frozenset(("IF", "ELSE", "ELSEIF", "FOREACH", "CATCH", "DOUNTIL", "PARALLEL", "SWITCH"))


class Piece(NamedTuple):
    """A run of text; `order` is the component that it is about (0 trigger, -1 none)."""

    text: str
    order: int


class Writer:
    """Writes one plan. `pieces` joined are the requirement."""

    def __init__(self, scene: Scene, mix: Mix) -> None:
        self.scene, self.mix, self.pieces = scene, mix, list[Piece]()
        self.style = scene.pick(_STYLES)
        self.mode = scene.pick(_MODES)
        self.arrow = scene.say("->|->|->|→|→|=>")
        self.typos = scene.chance(mix.typos)
        self.accent = scene.chance(mix.accent + (0.5 if self.style == "terse" else 0.05))
        self.lower = scene.chance(mix.sloppy)
        self.late = ""

    def write(self, plan: Plan) -> None:
        scene = self.scene
        if scene.chance(self.mix.chatter * 0.25):
            self.add(greeting(scene) + " ")
        elif scene.chance(self.mix.chatter * 0.6):
            self.add(opening(scene) + " ")
        if self.style in ("prose", "terse"):
            self._flowing(plan)
        else:
            self._listed(plan)
        last = [aside(scene)] if scene.chance(self.mix.negations) else []
        last += [thanks(scene)] if scene.chance(self.mix.chatter * 0.25) else []
        if last and self.style in ("prose", "terse"):
            self.pieces[-1] = Piece(".", -1)
        for text in last:
            self.add(f" {text}")

    def add(self, text: str, order: int = -1) -> None:
        self.pieces.append(Piece(text, order))

    def capital(self, text: str) -> str:
        return text if self.lower or not text[:1].isalpha() else text[:1].upper() + text[1:]

    def begun(self, text: str) -> str:
        """The text as it stands here: with a capital where a sentence begins."""
        last = next((p.text.rstrip(" ")[-1] for p in reversed(self.pieces) if p.text.strip(" ")), ".")
        begins = last in ".?!" if self.style != "terse" else last in ".?!" and self.scene.chance(0.7)
        return self.capital(text) if begins else text

    # ---- one step ------------------------------------------------------------------------------------------------

    def clause(self, clause: Clause, mode: str) -> str:
        """The step in the given mode, without a capital and without a full stop."""
        verb, obj, tail, told, note = clause
        if mode == "told" and (told or self.scene.chance(0.5)):
            return told or f"{verb} {obj}".strip() + tail
        if mode == "note" and note:
            return note
        if not verb:
            return obj + tail
        space, say = " " if obj else "", self.scene.say
        base = f"{verb}{space}{obj}{tail}"
        if mode in ("do", "note"):
            return base
        if mode in ("passive", "told"):
            if not obj or verb in ("let", "ask", "make", "tell") or _ACTIVE.search(obj):
                return base
            must = say(_MUST_PLURAL if w.is_plural(obj) else _MUST)
            return f"{obj} {must} {w.past(verb)}{tail}"
        if mode == "please":
            return say("please {b}|please {b}|kindly {b}|could you {b}", b=base)
        if mode == "we":
            return say("we {b}|we need to {b}|we want to {b}|we have to {b}|somebody must {b}|I want to {b}", b=base)
        if mode == "system" and " and " not in obj:
            return f"{say('the system|the flow|it|the workflow')} {w.third(verb)}{space}{obj}{tail}"
        if mode == "want":
            return say("I want the flow to {b}|it should {b}|make it {b}|have the system {b}", b=base)
        return say("it must {b}|the flow must {b}|you should {b}|it should {b}", b=base)

    def step(self, node: Node, mode: str) -> None:
        if node.clause is not None:
            self.add(self.begun(self.clause(node.clause, mode)), node.order)

    def how(self) -> str:
        """The mode of the next sentence."""
        if self.style == "terse":
            return self.scene.say("do|do|do|note|note|told")
        return self.mode if self.scene.chance(0.6) else self.scene.pick(_MODES)

    # ---- flowing text --------------------------------------------------------------------------------------------

    def _flowing(self, plan: Plan) -> None:
        scene, start = self.scene, plan.start
        nodes = [n for n in plan.nodes if n.clause is not None or n.words]
        if start is not None and not start.headline and nodes and nodes[0].clause is not None and scene.chance(0.16):
            self.late = start.words
        elif start is not None:
            self._begin(start, loop=bool(nodes) and nodes[0].definition == "FOREACH")
        self.sequence(plan.nodes)

    def _begin(self, start: Start, *, loop: bool) -> None:
        """The trigger in front of the text."""
        scene = self.scene
        self.add(self.begun(start.words), 0)
        if start.headline:
            mark = scene.say(": |: |, |, | - |{a} |{a} |? |? |. |. |; ", a=f" {self.arrow}")
        elif self.style == "terse":
            mark = scene.say(": |, |, |, | - |{a} |. ", a=f" {self.arrow}")
        else:
            mark = scene.say(", |, |, |, |, |: | then | - " if not loop else ", |, |: | | |, ")
        self.add(mark)

    def sequence(self, nodes: list[Node]) -> None:
        """A block as sentences (or as parts of one terse line)."""
        place, after_block = 0, False
        said = [n for n in nodes if n.clause is not None or n.words]
        while place < len(said):
            node = said[place]
            if node.clause is not None:
                run = self._run(said, place)
                self._sentence(run, first=place == 0, after_block=after_block)
                place += len(run)
                after_block = False
            else:
                self._logic(node)
                place += 1
                after_block = node.definition in _LOGIC

    def _run(self, said: list[Node], place: int) -> list[Node]:
        """The steps that share a sentence."""
        most = 1 if self.scene.chance(0.52) else (2 if self.scene.chance(0.65) else 3)
        run: list[Node] = []
        while place < len(said) and len(run) < most and said[place].clause is not None:
            run.append(said[place])
            place += 1
        return run

    def _sentence(self, run: list[Node], first: bool, after_block: bool) -> None:
        scene, terse = self.scene, self.style == "terse"
        if not first:
            starter = scene.say(_ASIDE) if after_block and scene.chance(0.8) else ("" if terse else scene.say(_NEXT))
            if starter:
                self.add(f"{self.begun(starter.lower())}{',' if scene.chance(0.5) else ''} ")
        self.listed_steps(run, self.how())
        if self.late:
            self.add(" ")
            self.add(self.late, 0)
            self.late = ""
        if not terse and scene.chance(self.mix.negations * 0.5):
            self.add(". ")
            self.add(self.begun(retraction(scene)))
        self.add(self.stop())

    def stop(self) -> str:
        if self.style == "terse":
            return self.scene.say("; |, |, |. |. |, then |{a} | + ", a=f" {self.arrow}")
        return ". "

    def listed_steps(self, run: list[Node], mode: str) -> None:
        """Some steps in one sentence."""
        for number, node in enumerate(run):
            if number and run[number - 1].definition != "WAIT":
                last = number == len(run) - 1
                self.add(self.scene.say(" and | and | and then |, then | + |, | & " if self.style == "terse" else
                                        " and | and | and |, then | and then | and also |"
                                        ", ") if last else ", ")  # fmt: skip
            elif number:
                self.add(self.scene.say(", then | and then |, "))
            self.step(node, mode if number == 0 or mode in ("passive", "do", "told", "note") else "do")

    def _logic(self, node: Node) -> None:
        """A block of flow logic."""
        scene, kind = self.scene, node.definition
        if kind == "IF" and len(node.children) == 1 and node.children[0].clause is not None and scene.chance(0.15):
            self._condition_last(node)
            return
        words = node.words
        if kind == "IF" and words.startswith("if ") and scene.chance(0.12) and self.style in ("prose", "terse"):
            self.add(self.begun(words[3:]), node.order)
            self.add("? ")
            self._inside(node)
            return
        self.add(self.begun(words), node.order)
        if kind in ("SWITCH", "PARALLEL"):
            self.add(scene.say(": |: |, | - "))
            self._branches(node)
            return
        arrow = f" {self.arrow} " if self.style == "terse" else ", "
        mark = (
            " "
            if words.endswith((" to", ":"))
            else scene.say(", |, |, |: | |{a}|{t}", a=arrow, t=" then " if kind == "IF" else ", ")
        )
        if words.endswith(":") and mark.strip():
            mark = " "
        self.add(mark)
        self._inside(node)

    def _condition_last(self, node: Node) -> None:
        self.step(node.children[0], self.how())
        self.add(" ")
        self.add(node.words.replace("in case", "if"), node.order)
        self.add(". ")

    def _branches(self, node: Node) -> None:
        for number, branch in enumerate(node.children):
            if number:
                self.add(
                    self.scene.say("; | and |, |, ")
                    if number < len(node.children) - 1
                    else self.scene.say(" and |; |, and |, | + ")
                )
            if branch.words:
                self.add(branch.words, branch.order)
                self.add(" ")
            self.listed_steps([n for n in branch.children if n.clause is not None], self.scene.say("do|note|told"))
        self.add(". ")

    def _inside(self, node: Node) -> None:
        """The children of a block, in the same sentence where they are simple."""
        said = [n for n in node.children if n.clause is not None or n.words]
        if all(n.clause is not None for n in said):
            self.listed_steps(said, "do" if node.words.endswith((" to", ":")) or self.scene.chance(0.3) else self.how())
            self.add(self.stop())
        else:
            self.sequence(said)

    # ---- lists ---------------------------------------------------------------------------------------------------

    def _listed(self, plan: Plan) -> None:
        scene = self.scene
        if plan.start is not None:
            head = scene.say("{{}}:|{{}}:|{{}}|{{}}, please|Trigger: {{}}|Start: {{}}|{{}} {a}|{{}}:", a=self.arrow)
            before, _, behind = head.partition("{}")
            self.add(before)
            self.add(plan.start.words if before else self.capital(plan.start.words), 0)
            self.add(f"{behind}\n")
        mark = scene.say("- |- |* |• ")
        if self.style == "numbers":
            mark = scene.say("{n}. |{n}. |{n}) |({n}) ", n="{n}")
        self._lines(plan.nodes, 0, mark, [0])
        self.pieces[-1] = Piece(self.pieces[-1].text.rstrip("\n"), self.pieces[-1].order)

    def _lines(self, nodes: list[Node], depth: int, mark: str, count: list[int]) -> None:
        for node in nodes:
            if node.definition == "BRANCH" and not node.words:
                self._lines(node.children, depth, mark, count)
                continue
            if node.clause is None and not node.words:
                continue
            count[0] += 1
            self.add("  " * depth + ("" if self.style == "lines" else mark.format(n=count[0])))
            if node.clause is not None:
                self.step(node, self.scene.say("do|do|told|note|passive") if self.mode != "do" else "do")
                self.add("\n")
                continue
            self.add(node.words, node.order)
            inline = [n for n in node.children if n.clause is not None]
            if len(inline) == len(node.children) and len(inline) < 3 and self.scene.chance(0.6):
                self.add(
                    " " if node.words.endswith((":", " to")) else self.scene.say(": |, |, |{a} ", a=f" {self.arrow}")
                )
                self.listed_steps(inline, self.scene.say("do|told|note"))
                self.add("\n")
            else:
                self.add("\n" if node.words.endswith(":") else ":\n")
                self._lines(node.children, depth + 1, mark, count)

    # ---- the result ----------------------------------------------------------------------------------------------

    def finish(self, protected: set[str]) -> tuple[str, dict[int, str]]:
        """The requirement and the words of each component. Typos and dropped articles spare the `protected` words."""
        text: list[str] = []
        spans: dict[int, str] = {}
        for piece in self.pieces:
            shown = mistype(self.scene, piece.text, protected) if self.typos else piece.text
            shown = drop_articles(self.scene, shown) if self.accent else shown
            text.append(shown)
            if piece.order >= 0 and piece.order not in spans:
                spans[piece.order] = _STRIP.sub("", shown)
        whole = _TAIL.sub("", "".join(text).strip())
        if self.scene.chance(0.25) and whole.endswith("."):
            whole = whole[:-1]
        return whole, spans


_STRIP: Final = re.compile(r"^[ .,;:!?()\"'“”\n•*>=-]+|[ .,;:!?()\"'“”\n•*>=-]+$")
_TAIL: Final = re.compile(r"(,|;|->|→|=>|, then| -|:| \+| &)$")
