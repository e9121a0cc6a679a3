"""Requirements in words that a model does not know, as most words that people use are not known to a small one.

An invented requirement can be read to the last word, and a model that learns from nothing else has no need of a draft
or of the order of suggestions. With strange words it has to weigh what it can read against what it is shown.
"""

from __future__ import annotations

import random
import re
from typing import Final

from flowstudy.corpus.example import Example
from flowstudy.corpus.synthesis.words import invented_word
from flowstudy.flows.schema import Flow

_PLAIN: Final = re.compile(r"[^\W\d_]{3,}")


def with_strange_words(example: Example, share: float, rng: random.Random) -> Example:
    """The example with about `share` (0..1) of the plain words of its requirement exchanged for invented ones.

    What stands in an input value stays, be it inside a word (`nameLIKEcolumn`); annotations change with the
    requirement, so that everything is still where it was.
    """
    values = " ".join(item.value for step in (example.flow.trigger, *example.flow.components) if step
                      for item in step.inputs).lower()  # fmt: skip
    plain = sorted({word for word in _PLAIN.findall(example.requirement) if word.lower() not in values})
    new = {word: invented_word(rng) for word in plain if rng.random() < share}

    def told(text: str) -> str:
        return _PLAIN.sub(lambda found: new.get(found[0], found[0]), text)

    steps = [
        c if c.annotation is None else c.model_copy(update={"annotation": told(c.annotation)})
        for c in example.flow.components
    ]
    flow: Flow = example.flow.model_copy(update={"components": steps})
    return example.with_flow(flow).model_copy(update={"requirement": told(example.requirement)})
