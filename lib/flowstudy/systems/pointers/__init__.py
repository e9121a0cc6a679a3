"""The pointed outline: the outline of `flows.outline` in which a small model points instead of spelling.

The prompt numbers what can be pointed at: suggestions `<s4>`, their inputs `<i0>` and choices `<c1>`, and the words
of the requirement `<w7>`. The model then writes one short line per step:

    <w0><w4> <s0><i0><s3><i1><s5>=<c0>          trigger: words 0-4, suggestion 0, table = suggestion 3, condition ...
    1 <w6><w9> IF | condition = <s5>=<c1>       flow logic is spelled; so is everything that nothing points at
      2 <w10><w14> <s2><i0><w12><w14>           the value of the first input is the text of the words 12-14

`<wA><wB>` is the text from word A to word B. In front of a step it is the annotation. `resolve(point(flow))` is the
outline of the flow, always; text that looks like a pointer is escaped by a backslash (`<\\w3>`).
"""

from __future__ import annotations

from flowstudy.systems.pointers.reading import resolve, resolve_flow
from flowstudy.systems.pointers.showing import describe, echoes, number_words, suggestion_lines
from flowstudy.systems.pointers.targets import (
    MAX_CHOICES,
    MAX_INPUTS,
    MAX_SUGGESTIONS,
    MAX_WORDS,
    PointerError,
    Word,
    escape,
    words,
)
from flowstudy.systems.pointers.writing import point

__all__ = [
    "MAX_CHOICES",
    "MAX_INPUTS",
    "MAX_SUGGESTIONS",
    "MAX_WORDS",
    "PointerError",
    "Word",
    "describe",
    "echoes",
    "escape",
    "number_words",
    "point",
    "resolve",
    "resolve_flow",
    "suggestion_lines",
    "words",
]
