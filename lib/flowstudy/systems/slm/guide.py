"""Constrained decoding for pointed outlines: a pointer that points at nothing is never written, nor a wrong number.

What exists is read from the prompt itself: the numbered suggestions with their inputs and choices, and the numbered
words. Steps count 1, 2, 3, ..., each followed by what it does. Flow logic stands where it may (see `nesting`). An
answer that goes round in circles ends (see `ALIKE`). Works for a tokenizer that has every pointer and every digit as
one token; others are not guided.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from flowstudy.flows.schema import FOLLOWS, INSIDE
from flowstudy.systems.pointers import MAX_CHOICES, MAX_INPUTS, MAX_SUGGESTIONS, MAX_WORDS
from flowstudy.systems.slm.nesting import Nesting

_ITEM: Final = re.compile(r"<([sic])(\d+)>(?:<w\d+>)*(?: (trigger|action|subflow|table|column)\b)?")
_BLOCK: Final = re.compile(r"((?:^<s\d+>.*\n)*)^Requirement: ((?:(?!^Requirement: ).*\n)*?)^Flow:\n?\Z", re.MULTILINE)
#: A line of a step: its indentation, number and words, and how it begins.
_STEP: Final = re.compile(r"( *)(?:\d+ ?)?(?:<w\d+>)* *(\S+)")
_NONE: Final = np.zeros(0, dtype=np.int64)
#: How often a flow may have the same line, inputs included: none of 716 hand-written examples has one more than three
#: times, and of 200 synthetic flows of 20 to 60 steps two have one four times.
ALIKE: Final = 4
_MOST: Final = {"s": MAX_SUGGESTIONS, "w": MAX_WORDS, "i": MAX_INPUTS, "c": MAX_CHOICES}


class Offer(NamedTuple):
    """One suggestion in the prompt: its kind, the number of choices of each input, and of its own choices."""

    kind: str
    inputs: list[int]
    choices: int


class Vocabulary:
    """The ids of all pointers of a tokenizer, by kind and number, and the other way round, and of the digits.

    And what is blocked at times: for each digit all but this digit, indentation and the end (`all_but`) and all but
    this digit (`others`), after the number of a step what begins no step (`no_head`), and all but the end.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.ids = {kind: self._ids(tokenizer, [f"<{kind}{n}>" for n in range(most)]) for kind, most in _MOST.items()}
        self.pointers = {i: (kind, n) for kind, ids in self.ids.items() for n, i in enumerate(ids)}
        self.digits = self._ids(tokenizer, list("0123456789"))
        self.complete = all(self.ids.values()) and bool(self.digits)
        free = {tokenizer.eos_token_id, *self._blanks(tokenizer)} if self.complete else set()
        ids = range(len(tokenizer)) if self.complete else ()
        self.all_but = [np.array([i for i in ids if i != digit and i not in free]) for digit in self.digits]
        after = {*self.ids["s"], *self.ids["w"], *self._spaced(tokenizer)} if self.complete else set()
        self.no_head = np.array([i for i in ids if i not in after])
        self.all_but_end = np.array([i for i in ids if i != tokenizer.eos_token_id])
        self.others = [np.array([i for i in ids if i != digit]) for digit in self.digits]
        found = {name: self._ids(tokenizer, [name]) for name in {*FOLLOWS, *INSIDE}}
        self.logic = {name: ids[0] for name, ids in found.items() if ids}

    @staticmethod
    def _ids(tokenizer: Any, tokens: list[str]) -> list[int]:
        found = [tokenizer.convert_tokens_to_ids(token) for token in tokens]
        return [] if any(i is None or i == tokenizer.unk_token_id for i in found) else found

    @staticmethod
    def _blanks(tokenizer: Any) -> list[int]:
        """Deep indentation takes more than one token; byte-level tokenizers write a space as another sign."""
        return [i for token, i in tokenizer.get_vocab().items() if token and set(token) <= {" ", "\u0120"}]

    @staticmethod
    def _spaced(tokenizer: Any) -> list[int]:
        return [i for token, i in tokenizer.get_vocab().items() if token[:1] in (" ", "\u0120")]


class Guide:
    """Follows one answer token by token and says which pointers may not come next."""

    def __init__(self, prompt: str, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        match = _BLOCK.search(prompt)
        self.offers = read_offers(match[1]) if match else []
        self.words = len(set(re.findall(r"<w\d+>", match[2]))) if match else 0
        self.active = bool(match) and vocabulary.complete
        self.lines = self.steps = 0
        self.counted = self.circling = False
        self._line, self._written, self._nesting = "", Counter[str](), Nesting()
        self._seen: dict[tuple[bool | int | frozenset[str], ...], npt.NDArray[np.int64]] = {}
        self._new_line()

    def _new_line(self) -> None:
        self.head: Offer | None = None
        self.fresh, self.input, self.choices, self.first = True, -1, 0, -1
        self.number = ""

    def wrote(self, token: int, text: str) -> None:
        """Take note of the token that was chosen."""
        kind, number = self.vocabulary.pointers.get(token, ("", 0))
        self._line += text
        if "\n" in text:
            self.lines += 1
            line, _, self._line = self._line.rpartition("\n")
            self._count(line)
            self._new_line()
        elif kind == "s" and number < len(self.offers):
            offer = self.offers[number]
            if self.fresh:
                self.head, self.fresh, self.counted = offer, False, True
            else:
                self.choices = offer.choices if offer.kind == "column" else 0
        elif kind == "i":
            self.input = number
            self.choices = self.head.inputs[number] if self.head and number < len(self.head.inputs) else 0
        elif self.fresh and text.isdigit():
            self.steps, self.counted = self.steps + (not self.number), True
            self.number += text
        elif not kind and text.strip():
            self.fresh = False
        self.first = number if kind == "w" and self.first < 0 else -1

    def _count(self, line: str) -> None:
        if (step := _STEP.match(line)) is not None:
            self._nesting.add(len(step[1]), step[2])
        text = line.strip().lstrip("0123456789 ")
        self._written[text] += "<i" in text or "=" in text
        self.circling = self.circling or self._written[text] > ALIKE

    def blocked(self) -> npt.NDArray[np.int64]:
        """Ids of pointers that would point at nothing or at the wrong kind of thing, of wrong digits, and of flow logic
        that may not stand here."""
        if not self.active:
            return _NONE
        if self.circling:
            return self.vocabulary.all_but_end
        number = self._number_left()
        if number and self.counted:
            begun = self.vocabulary.others if self.number else self.vocabulary.all_but
            return begun[int(number[0])]
        inputs = len(self.head.inputs) if self.head else 0
        numbered = self.fresh and self._line[-1:].isdigit()
        indent = len(self._line) - len(self._line.lstrip(" "))
        refused = self._nesting.refused(indent) if self.fresh else frozenset()
        state = (
            self.fresh, self.lines == 0, bool(self.number), numbered, self.input, inputs, self.choices,
            max(self.first, 0), refused,
        )  # fmt: skip
        if state not in self._seen:
            self._seen[state] = np.array(self._blocked(inputs, numbered, refused), dtype=np.int64)
        return self._seen[state]

    def _blocked(self, inputs: int, numbered: bool, refused: frozenset[str]) -> list[int]:
        ids = self.vocabulary.ids
        return [
            *(i for n, i in enumerate(ids["s"]) if not self._fits(n)),
            *ids["w"][: max(self.first, 0)],
            *ids["w"][self.words :],
            *ids["i"][: self.input + 1],
            *ids["i"][inputs:],
            *ids["c"][self.choices :],
            *(self.vocabulary.digits if self.fresh and self.number else ()),
            *(self.vocabulary.no_head if numbered else ()),
            *(self.vocabulary.logic[name] for name in refused if name in self.vocabulary.logic),
        ]

    def _number_left(self) -> str:
        """The digits still to be written of the number that begins a line of a step; steps are counted once the
        trigger or the first of them is written."""
        if not self.fresh or self.lines == 0:
            return ""
        return str(self.steps if self.number else self.steps + 1)[len(self.number) :]

    def _fits(self, number: int) -> bool:
        if number >= len(self.offers):
            return False
        kind = self.offers[number].kind
        if not self.fresh:
            return kind in ("table", "column")
        return kind in ("action", "subflow") or (kind == "trigger" and self.lines == 0)


def read_offers(block: str) -> list[Offer]:
    """The suggestions in a block of suggestion lines, by number."""
    offers: dict[int, Offer] = {}
    for line in block.splitlines():
        current, place = Offer("", [], 0), 0
        for kind, number, what in _ITEM.findall(line):
            if kind == "s":
                place = int(number)
                current = offers[place] = Offer(what or "column", [], 0)
            elif kind == "i":
                current.inputs.append(0)
            elif current.inputs:
                current.inputs[-1] += 1
            else:
                current = offers[place] = current._replace(choices=current.choices + 1)
    return [offers.get(n, Offer("", [], 0)) for n in range(max(offers, default=-1) + 1)]
