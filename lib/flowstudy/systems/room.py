"""Room for prompt and answer: how long an answer may be, how many shots fit, and what cannot be asked or written."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from flowstudy.corpus.example import Example
from flowstudy.systems import schemas, wire
from flowstudy.systems.calls import Request
from flowstudy.systems.capabilities import family_of
from flowstudy.systems.llm import prompt_texts, tokens_beyond
from flowstudy.systems.prices import price_of
from flowstudy.systems.prompts import Reads, Shot, Stage, load_prompt, stage_answer, written
from flowstudy.systems.records import SystemSpec
from flowstudy.systems.tasks import Task, prompted, some

#: Bytes of a flow that no family of models makes more than one token of, in the mean over the flow.
BYTES_PER_TOKEN: Final = 2.5
#: Tokens for what a model thinks before its answer, beside the answer.
THINKING_TOKENS: Final = 8192


def sized(spec: SystemSpec, examples: Iterable[Example]) -> SystemSpec:
    """The system with its `max_tokens`: as set, or room for the longest reference of these examples in the format of
    its prompt (JSON also on many lines), rounded up to a power of two so that further examples seldom change it, and
    room for thinking where its model does that first."""
    family = family_of(spec.model, spec.base_model)
    if spec.max_tokens is not None or family is None:
        return spec
    reads = load_prompt(spec.prompt).reads
    longest = max((len(text.encode()) for example in examples for text in _answers(example, reads)), default=0)
    most = 1 << max(9, (int(longest / BYTES_PER_TOKEN) - 1).bit_length())
    return spec.model_copy(update={"max_tokens": most + (THINKING_TOKENS if family.thinks else 0)})


def _answers(example: Example, reads: Reads, indent: int | None = 2) -> list[str]:
    if reads == "json":
        plain = (written(flow.without_annotations()) for flow in example.references)
        return [json.dumps(flow, ensure_ascii=False, indent=indent) for flow in plain]
    return [stage_answer(reads, "whole", Shot(example))]


def fitted(task: Task) -> Task:
    """The task with as many of its shots as its prompt has room for; the nearest ones stay."""
    while task.shots and not _fits(task):
        task = task._replace(shots=task.shots[1:], dropped_shots=task.dropped_shots + 1)
    return task


def _fits(task: Task) -> bool:
    """Whether the first prompt and the longest answer fit into what the model reads; True where that is not known."""
    price = price_of(task.spec.known_as)
    context = (price.context if price is not None else None) or wire.context_of(task.spec.model)
    if context is None:
        return True
    stage: Stage = "whole" if task.spec.strategy == "whole" else "outline"
    texts = prompt_texts(Request(stage, prompted(task, stage).messages, {}))
    return tokens_beyond(texts, context - task.spec.most_tokens) is None


def notices(tasks: Sequence[Task], examples: Mapping[str, Example]) -> list[str]:
    """What is not fair in asking these tasks, a line each: prompts that do not fit or lost shots, references that are
    longer than an answer may be, references that no answer under the JSON Schema can equal. Empty when all is well."""
    spec = tasks[0].spec if tasks else None
    if spec is None:
        return []
    first = [task for task in tasks if task.repeat == 0]
    found = {
        f"the prompt does not fit into the context of {spec.model}, also without shots, for": (
            task.example for task in first if not task.shots and not _fits(task)
        ),
        "shots were left out of the prompt, which has no room for them, for": (
            task.example for task in first if task.dropped_shots
        ),
        f"max_tokens {spec.most_tokens} is too short for a reference of": _cut(spec, first, examples),
        "the JSON Schema of what is offered rules out every reference of": (
            task.example
            for task in first
            if spec.decoding == "schema" and schemas.rules_out(examples[task.example], task.suggestions, task.catalogue)
        ),
    }
    named = {what: list(ids) for what, ids in found.items()}
    return [f"{spec.name}: {what} {some(ids)} of {len(first)} requirements" for what, ids in named.items() if ids]


def _cut(spec: SystemSpec, tasks: Sequence[Task], examples: Mapping[str, Example]) -> Iterator[str]:
    """Examples whose shortest reference, as the prompt asks for it, has more tokens than an answer may have."""
    reads = load_prompt(spec.prompt).reads
    for task in tasks:
        shortest = min(_answers(examples[task.example], reads, indent=None), key=len)
        if tokens_beyond([shortest], spec.most_tokens) is not None:
            yield task.example
