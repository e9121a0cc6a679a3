"""Constrained decoding for pointed outlines: a pointer that points at nothing is never written.

What exists is read from the prompt itself: the numbered suggestions with their inputs and choices, and the numbered
words. Works for a tokenizer that has every pointer as one token; others are not guided.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from flowstudy.systems.pointers import MAX_CHOICES, MAX_INPUTS, MAX_SUGGESTIONS, MAX_WORDS

_ITEM: Final = re.compile(r"<([sic])(\d+)>(?:<w\d+>)*(?: (trigger|action|subflow|table|column)\b)?")
_BLOCK: Final = re.compile(r"((?:^<s\d+>.*\n)*)^Requirement: ((?:(?!^Requirement: ).*\n)*?)^Flow:\n?\Z", re.MULTILINE)
_MOST: Final = {"s": MAX_SUGGESTIONS, "w": MAX_WORDS, "i": MAX_INPUTS, "c": MAX_CHOICES}


class Offer(NamedTuple):
    """One suggestion in the prompt: its kind, the number of choices of each input, and of its own choices."""

    kind: str
    inputs: list[int]
    choices: int


class Vocabulary:
    """The ids of all pointers of a tokenizer, by kind and number, and the other way round."""

    def __init__(self, tokenizer: Any) -> None:
        self.ids = {kind: self._ids(tokenizer, kind, most) for kind, most in _MOST.items()}
        self.pointers = {i: (kind, n) for kind, ids in self.ids.items() for n, i in enumerate(ids)}
        self.complete = all(self.ids.values())

    @staticmethod
    def _ids(tokenizer: Any, kind: str, most: int) -> list[int]:
        found = [tokenizer.convert_tokens_to_ids(f"<{kind}{n}>") for n in range(most)]
        return [] if any(i is None or i == tokenizer.unk_token_id for i in found) else found


class Guide:
    """Follows one answer token by token and says which pointers may not come next."""

    def __init__(self, prompt: str, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        match = _BLOCK.search(prompt)
        self.offers = read_offers(match[1]) if match else []
        self.words = len(set(re.findall(r"<w\d+>", match[2]))) if match else 0
        self.active = bool(match) and vocabulary.complete
        self.lines = 0
        self._new_line()

    def _new_line(self) -> None:
        self.head: Offer | None = None
        self.fresh, self.input, self.choices, self.first = True, -1, 0, -1

    def wrote(self, token: int, text: str) -> None:
        """Take note of the token that was chosen."""
        kind, number = self.vocabulary.pointers.get(token, ("", 0))
        if "\n" in text:
            self.lines += 1
            self._new_line()
        elif kind == "s" and number < len(self.offers):
            offer = self.offers[number]
            if self.fresh:
                self.head, self.fresh = offer, False
            else:
                self.choices = offer.choices if offer.kind == "column" else 0
        elif kind == "i":
            self.input = number
            self.choices = self.head.inputs[number] if self.head and number < len(self.head.inputs) else 0
        elif not kind and text.strip() and not text.strip().isdigit():
            self.fresh = False
        self.first = number if kind == "w" and self.first < 0 else -1

    def blocked(self) -> list[int]:
        """Ids of the pointers that would point at nothing, or at the wrong kind of thing, here."""
        if not self.active:
            return []
        ids = self.vocabulary.ids
        inputs = len(self.head.inputs) if self.head else 0
        lowest = max(self.first, 0)
        return [
            *(i for n, i in enumerate(ids["s"]) if not self._fits(n)),
            *ids["w"][:lowest],
            *ids["w"][self.words :],
            *ids["i"][: self.input + 1],
            *ids["i"][inputs:],
            *ids["c"][self.choices :],
        ]

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
