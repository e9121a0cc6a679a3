"""The requirement and the suggestions with their numbers, as a prompt shows them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.pointers.targets import (
    MAX_CHOICES,
    MAX_INPUTS,
    MAX_SUGGESTIONS,
    choices_of,
    escape,
    step_def,
    words,
)
from flowstudy.systems.records import Suggestion
from flowstudy.systems.words import words as stems

#: Words of the requirement named beside a suggestion.
MAX_ECHOES: Final = 3


def number_words(requirement: str) -> str:
    """The requirement with its words numbered.

    >>> number_words("Notify Ann, please.")
    'Notify<w0> Ann<w1>, please<w2>.'
    """
    pieces, last = [], 0
    for number, word in enumerate(words(requirement)):
        pieces += [escape(requirement[last : word.end]), f"<w{number}>"]
        last = word.end
    return "".join([*pieces, escape(requirement[last:])])


def suggestion_lines(
    suggestions: Sequence[Suggestion], catalogue: Catalogue | None = None, requirement: str = ""
) -> str:
    """The numbered list of suggestions as the prompt shows it: kind, name in words, description, inputs, choices.

    The columns of a suggested table stand in its line; other columns have lines of their own. With a requirement,
    the number of a suggestion is followed by the words of the requirement that speak of it (see `echoes`).
    """
    shown = list(enumerate(suggestions[:MAX_SUGGESTIONS]))
    tables = {s.name for _, s in shown if s.kind == "table"}
    heads = [f"<s{n}>{heard}" for n, heard in enumerate(echoes([s for _, s in shown], catalogue, requirement))]
    lines = []
    for number, item in shown:
        if item.kind == "column" and item.name.rpartition(".")[0] in tables:
            continue
        line = f"{heads[number]} {item.kind} {describe(item, catalogue)}"
        if item.kind == "table":
            own = [(n, s) for n, s in shown if s.kind == "column" and s.name.rpartition(".")[0] == item.name]
            line += "".join(f" {heads[n]} {_column_text(s.name, catalogue, short=True)}" for n, s in own)
        lines.append(line)
    return "\n".join(lines)


def echoes(suggestions: Sequence[Suggestion], catalogue: Catalogue | None, requirement: str) -> list[str]:
    """For each suggestion the pointers at the words of the requirement that share a stem with it, at most
    MAX_ECHOES: words that few other suggestions share come first, then the order of the requirement. A reader that
    only has to look a number up finds its place sooner than one that must compare words.
    """
    heard = [frozenset(stems(_spoken(item, catalogue))) for item in suggestions]
    if not any(heard) or not requirement:
        return [""] * len(heard)
    spread = Counter(stem for stems_ in heard for stem in stems_)
    said = [
        (n, stem) for n, word in enumerate(words(requirement)) for stem in stems(requirement[word.start : word.end])
    ]
    found = []
    for own in heard:
        rarest: dict[int, int] = {}
        for number, stem in said:
            if stem in own:
                rarest[number] = min(spread[stem], rarest.get(number, len(heard)))
        chosen = sorted(sorted(rarest, key=lambda n: (rarest[n], n))[:MAX_ECHOES])
        found.append("".join(f"<w{n}>" for n in chosen))
    return found


def _spoken(suggestion: Suggestion, catalogue: Catalogue | None) -> str:
    """What a suggestion is about, in words: name and description of a step, label and choices of a column."""
    if suggestion.kind == "column":
        table, _, name = suggestion.name.rpartition(".")
        known = catalogue.tables.get(table) if catalogue else None
        column = known.columns.get(name) if known else None
        return " ".join([name, column.label, *column.choices.values()] if column else [name])
    step = step_def(suggestion, catalogue)
    return f"{suggestion.name} {step.description}" if step else suggestion.name


def describe(suggestion: Suggestion, catalogue: Catalogue | None = None) -> str:
    """One suggestion in words. Names are split into words, since the model points and need not spell them; a
    description that only repeats the name is left out."""
    name = _in_words(suggestion.name)
    if suggestion.kind == "column":
        return _column_text(suggestion.name, catalogue)
    step = step_def(suggestion, catalogue)
    if step is None:
        return name
    about = " ".join(step.description.split()[:8]).rstrip(".,;:")
    extra = [w for w in about.lower().split() if len(w) > 3 and w[:4] not in name.lower()]
    inputs = [
        f"<i{n}> {_in_words(key)}{_choice_list(item.choices)}"
        for n, (key, item) in enumerate(step.inputs.items())
        if n < MAX_INPUTS
    ]
    return " ".join([f"{name}: {escape(about)}" if extra else name, *inputs])


def _in_words(name: str) -> str:
    return escape(re.sub(r"[._]+", " ", name).strip())


def _column_text(name: str, catalogue: Catalogue | None, *, short: bool = False) -> str:
    choices = choices_of(name, catalogue)
    return _in_words(name.rpartition(".")[2] if short else name) + _choice_list(list(choices.values()))


def _choice_list(choices: Sequence[str]) -> str:
    return "".join(f" <c{n}> {escape(label)}" for n, label in enumerate(choices[:MAX_CHOICES]))
