"""Graded costs between input values: how unlike two free texts are, from 0 (equal) to 1.

Only free text is graded: text of at least `FREE_TEXT_WORDS` words, compared with free text that holds the same
`{{references}}` in the same order. Identifiers, choices, numbers, references, operators and fields are equal or not.
Costs are counted in steps of 1 / `STEPS`, rounded up, so that distances stay exact integers.

What is a metric: the default is the Indel distance d of rapidfuzz, normalised as 2 d / (|a| + |b| + d) (Li and Liu
2007), which, unlike d / (|a| + |b|), keeps the triangle inequality; rounding up keeps it too. As the class of a text
depends on that text alone, and costs between classes are 1, the tree edit distance built on these costs is a metric.
The similarity `1 - distance / size` is not claimed to be one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from rapidfuzz.distance import Indel

#: Steps in one unit of edit cost; a power of two, so that costs and their sums are exact as floats.
STEPS: Final = 1 << 14
FREE_TEXT_WORDS: Final = 3
_REFERENCE: Final = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_WORD: Final = re.compile(r"[^\W\d_]{2,}")
#: Longer texts are compared as equal or not: their alignment would take too long.
MAX_GRADED_CHARS: Final = 20_000

#: Steps between two free texts of the same class: 0 if equal, 1..`STEPS` otherwise; symmetric.
TextCost: TypeAlias = Callable[[str, str], int]


def free_text_class(text: str) -> tuple[str, ...] | None:
    """The references in a free text, in order; None for a value that must match exactly.

    >>> free_text_class("Send mail to {{trigger.record.caller}} today")
    ('{{trigger.record.caller}}',)
    >>> free_text_class("in progress") is None
    True
    """
    if len(text) > MAX_GRADED_CHARS or len(text.split()) < FREE_TEXT_WORDS:
        return None
    if len(_WORD.findall(_REFERENCE.sub(" ", text))) < FREE_TEXT_WORDS:
        return None
    return tuple(_REFERENCE.findall(text))


def text_cost(first: str, second: str) -> int:
    """Steps between two free texts, from 0 (equal) to `STEPS` (no common letter).

    >>> text_cost("Send mail to Bob", "Send an email to Bob") / STEPS
    0.20001220703125
    """
    distance = Indel.distance(first, second)
    total = len(first) + len(second) + distance
    return -(-2 * distance * STEPS // total) if total else 0
