"""From a plan to a requirement: sentences, bullets or a terse line, and which words belong to which component."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from flowstudy.corpus.synthesis import words as w
from flowstudy.corpus.synthesis.plan import Mix, Node, Plan, a_negation
from flowstudy.corpus.synthesis.scene import Scene
from flowstudy.corpus.synthesis.steps import Clause

_STYLES: Final = ("prose", "prose", "prose", "prose", "terse", "terse", "bullets", "bullets", "numbers", "lines")
_MODES: Final = ("do", "do", "do", "please", "should", "should", "passive", "passive", "we", "system", "want", "must")
_NEXT: Final = (
    "Then",
    "After that",
    "Next",
    "Also",
    "Afterwards",
    "And",
    "Then",
    "Finally",
    "In addition",
    "Once done",
    "",
    "",
    "",
    "",
    "",
)
_ASIDE: Final = (
    "Either way",
    "In any case",
    "Independent of that",
    "After all this",
    "Regardless",
    "At the end",
    "And always",
    "Finally",
)
_HELLO: Final = (
    "Hi,",
    "Hello,",
    "Hi team,",
    "Good morning,",
    "Hey,",
    "Request:",
    "Hi all -",
    "Dear colleagues,",
    "New automation:",
    "Requirement:",
    "Idea:",
    "We need a flow.",
    "Can somebody build this?",
    "Small one:",
)
_THANKS: Final = (
    "Thanks!",
    "Thank you.",
    "Many thanks",
    "thx",
    "Cheers",
    "That would help a lot.",
    "That is all.",
    "Should be quick.",
    "Today we do this by hand.",
    "This takes us hours every week.",
    "Thank you in advance!",
)
_WE: Final = ("we", "we need to", "we want to", "we have to", "somebody must", "I want to", "it would be nice to")
_ORDER: Final = re.compile(r"[A-Za-z]")


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
        self.typos = scene.chance(mix.typos)

    def write(self, plan: Plan) -> None:
        scene = self.scene
        if scene.chance(self.mix.chatter * 0.5):
            self.add(scene.pick(_HELLO) + " ")
        start = plan.start.words if plan.start else ""
        if self.style in ("prose", "terse"):
            self._flowing(plan, start)
        else:
            self._listed(plan, start)
        if scene.chance(self.mix.negations):
            self.add(" " + a_negation(scene))
        if scene.chance(self.mix.chatter * 0.5):
            self.add(" " + scene.pick(_THANKS))

    def add(self, text: str, order: int = -1) -> None:
        self.pieces.append(Piece(text, order))

    # ---- one step ------------------------------------------------------------------------------------------------

    def clause(self, clause: Clause, mode: str) -> str:
        """The step in the given mode, without a capital and without a full stop."""
        verb, obj, tail = clause
        if not verb:
            return obj + tail if mode != "passive" or not obj.startswith("let ") else f"please {obj}{tail}"
        space = " " if obj else ""
        base = f"{verb}{space}{obj}{tail}"
        if mode in ("do", "short"):
            return base
        if mode == "please":
            return self.scene.pick((f"please {base}", f"please {base}", f"kindly {base}", f"could you {base}"))
        if mode == "passive" and obj and verb not in ("wait", "run"):
            must = self.scene.pick(("should be", "must be", "is", "has to be", "needs to be", "gets", "will be"))
            must = "are" if must == "is" and obj.startswith("all ") else must
            return f"{obj} {must} {w.past(verb)}{tail}"
        if mode == "we":
            return f"{self.scene.pick(_WE)} {base}"
        if mode == "system":
            return (
                f"{self.scene.pick(('the system', 'the flow', 'it', 'the workflow'))} {w.third(verb)}{space}{obj}{tail}"
            )
        if mode == "want":
            return f"{self.scene.pick(('I want the flow to', 'it should', 'make it', 'have the system'))} {base}"
        return f"{self.scene.pick(('it must', 'the flow must', 'you should', 'it should'))} {base}"

    def step(self, node: Node, mode: str) -> None:
        if node.clause is not None:
            self.add(self.clause(node.clause, mode), node.order)

    # ---- flowing text --------------------------------------------------------------------------------------------

    def _flowing(self, plan: Plan, start: str) -> None:
        scene, terse = self.scene, self.style == "terse"
        after = start and not terse and scene.chance(0.18) and plan.nodes[0].clause is not None and len(plan.nodes) == 1
        if start and not after:
            self.add(start if terse and scene.chance(0.7) else _capital(start), 0)
            self.add(
                scene.pick((" -> ", ": ", " - ", ", ", " => ", ". "))
                if terse
                else scene.pick((", ", ", ", ", ", ": ", " then ", ", then "))
            )
        self.sequence(plan.nodes, fresh=not start or bool(after))
        if after:
            self.cut_stop()
            self.add(f" {start}", 0)
            self.add(".")

    def cut_stop(self) -> None:
        """Take the full stop off the end."""
        if self.pieces and self.pieces[-1].text in (".", ". "):
            self.pieces.pop()

    def sequence(self, nodes: list[Node], fresh: bool) -> None:
        """A block as sentences (or as parts of one terse line). `fresh`: a new sentence begins here."""
        place, after_block = 0, False
        said = [n for n in nodes if n.clause is not None or n.words]
        while place < len(said):
            node = said[place]
            if node.clause is not None:
                run = self._run(said, place)
                self._sentence(run, fresh, first=place == 0, after_block=after_block)
                place += len(run)
                after_block = False
            else:
                self._logic(node, fresh)
                place += 1
                after_block = node.definition in ("IF", "ELSE", "ELSEIF", "FOREACH", "CATCH", "DOUNTIL", "PARALLEL")
            fresh = True

    def _run(self, said: list[Node], place: int) -> list[Node]:
        """The steps that share a sentence."""
        most = 1 if self.scene.chance(0.4) else (2 if self.scene.chance(0.6) else 3)
        run: list[Node] = []
        while place < len(said) and len(run) < most and said[place].clause is not None:
            run.append(said[place])
            place += 1
        return run

    def _sentence(self, run: list[Node], fresh: bool, first: bool, after_block: bool) -> None:
        scene, terse = self.scene, self.style == "terse"
        mode = (
            "do"
            if terse or (not fresh and scene.chance(0.3))
            else (self.mode if scene.chance(0.8) else scene.pick(_MODES))
        )
        if fresh and not first:
            starter = scene.pick(_ASIDE) if after_block and scene.chance(0.7) else ("" if terse else scene.pick(_NEXT))
            if starter:
                self.add(f"{starter}{',' if scene.chance(0.6) else ''} ")
                fresh = False
        begin = len(self.pieces)
        self.listed_steps(run, mode)
        if fresh and not terse:
            self.pieces[begin] = Piece(_capital(self.pieces[begin].text), self.pieces[begin].order)
        self.add(self.stop())

    def stop(self) -> str:
        if self.style == "terse":
            return self.scene.pick(("; ", ", then ", " -> ", ". ", ", "))
        return ". "

    def listed_steps(self, run: list[Node], mode: str) -> None:
        for number, node in enumerate(run):
            if number:
                last = number == len(run) - 1
                self.add(self.scene.pick((" and ", " and then ", ", then ", " and ", " and also ")) if last else ", ")
            self.step(node, mode if number == 0 or mode in ("passive", "do") else "do")

    def _logic(self, node: Node, fresh: bool) -> None:
        """A block of flow logic."""
        scene, kind = self.scene, node.definition
        if (
            kind == "IF"
            and len(node.children) == 1
            and node.children[0].clause is not None
            and self.style == "prose"
            and scene.chance(0.22)
        ):
            begin = len(self.pieces)
            self.step(node.children[0], self.mode)
            if fresh:
                self.pieces[begin] = Piece(_capital(self.pieces[begin].text), self.pieces[begin].order)
            self.add(" ")
            self.add(node.words.replace("in case", "if"), node.order)
            self.add(". ")
            return
        self.add(_capital(node.words) if fresh and self.style == "prose" else node.words, node.order)
        if kind in ("SWITCH", "PARALLEL"):
            self.add(scene.pick((": ", ", ", " - ")))
            self._branches(node)
            return
        self.add(
            " "
            if node.words.endswith((" to", ":"))
            else scene.pick((", ", ", ", ": ", " ", " then " if kind == "IF" else ", "))
        )
        self._inside(node)

    def _branches(self, node: Node) -> None:
        for number, branch in enumerate(node.children):
            if number:
                self.add(
                    self.scene.pick(("; ", " and ", ", "))
                    if number < len(node.children) - 1
                    else self.scene.pick((" and ", "; ", ", and "))
                )
            if branch.words:
                self.add(branch.words, branch.order)
                self.add(" ")
            self.listed_steps([n for n in branch.children if n.clause is not None], "do")
        self.add(". ")

    def _inside(self, node: Node) -> None:
        """The children of a block, in the same sentence where they are simple."""
        said = [n for n in node.children if n.clause is not None or n.words]
        simple = [n for n in said if n.clause is not None]
        if len(simple) == len(said):
            self.listed_steps(simple, "do" if self.scene.chance(0.5) or node.words.endswith(" to") else self.mode)
            self.add(self.stop())
        else:
            self.sequence(said, fresh=False)

    # ---- lists ---------------------------------------------------------------------------------------------------

    def _listed(self, plan: Plan, start: str) -> None:
        scene = self.scene
        if start:
            head = scene.pick(("{}:", "{}", "{}:", "{} do this:", "{}, please", "Trigger: {}", "Start: {}", "{} ->"))
            before, _, behind = head.partition("{}")
            self.add(before)
            self.add(start if before else _capital(start), 0)
            self.add(f"{behind}\n")
        mark = scene.pick(("- ", "* ", "- ", "• "))
        self._lines(plan.nodes, 0, mark, [0])
        self.pieces[-1] = Piece(self.pieces[-1].text.rstrip("\n"), self.pieces[-1].order)

    def _lines(self, nodes: list[Node], depth: int, mark: str, count: list[int]) -> None:
        for node in nodes:
            if node.clause is None and not node.words and not node.children:
                continue
            if node.definition == "BRANCH" and not node.words:
                self._lines(node.children, depth, mark, count)
                continue
            if node.clause is None and not node.words:
                continue
            count[0] += 1
            bullet = {"numbers": f"{count[0]}. ", "lines": ""}.get(self.style, mark)
            self.add(f"{'  ' * depth}{bullet}")
            if node.clause is not None:
                self.step(node, self.mode if self.mode in ("do", "passive") else "do")
                self.add("\n")
                continue
            self.add(node.words, node.order)
            inline = [n for n in node.children if n.clause is not None]
            if len(inline) == len(node.children) and len(inline) < 3 and self.scene.chance(0.55):
                self.add(" " if node.words.endswith((":", " to")) else self.scene.pick((": ", ", ", " -> ")))
                self.listed_steps(inline, "do")
                self.add("\n")
            else:
                self.add("\n" if node.words.endswith(":") else ":\n")
                self._lines(node.children, depth + 1, mark, count)

    # ---- the result ----------------------------------------------------------------------------------------------

    def finish(self, protected: set[str]) -> tuple[str, dict[int, str]]:
        """The requirement and the words of each component. Typos spare the words in `protected`."""
        text: list[str] = []
        spans: dict[int, str] = {}
        for piece in self.pieces:
            shown = self._mistype(piece.text, protected) if self.typos else piece.text
            text.append(shown)
            if piece.order >= 0 and piece.order not in spans:
                spans[piece.order] = shown.strip(" .,;:!?()\"'“”\n-•*>=")
        whole = "".join(text).strip()
        for ending in (",", ";", "->", ", then", " -", ":"):
            whole = whole.removesuffix(ending).rstrip()
        return whole, spans

    def _mistype(self, text: str, protected: set[str]) -> str:
        rng = self.scene.rng
        if rng.random() < 0.6 or "http" in text:
            return text
        tokens = text.split(" ")
        place = int(rng.random() * len(tokens))
        word = tokens[place]
        if len(word) < 5 or not word.isalpha() or not word.islower() or word in protected:
            return text
        at = int(rng.random() * (len(word) - 2)) + 1
        swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
        tokens[place] = rng.choice((swapped, word[:at] + word[at + 1 :], word[:at] + word[at] + word[at:]))
        return " ".join(tokens)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:] if _ORDER.match(text) else text
