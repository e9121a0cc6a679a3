"""The hand-written examples: one folder per domain, compact YAML to author (see data/README.md)."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from flowstudy.corpus import features
from flowstudy.corpus.environments import DATA, shipped_catalogue, shipped_domains
from flowstudy.corpus.example import Example, Split
from flowstudy.flows.outline import OutlineError, from_outline
from flowstudy.flows.schema import Flow, structure_faults

LICENCE: Final = "CC-BY-4.0"
#: The splits of the shipped corpus that are answered once, in the reference run.
SEALED: Final = frozenset({"test", "ood"})
_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Alternative(BaseModel):
    """Another acceptable flow and why it is acceptable."""

    model_config = ConfigDict(extra="forbid")

    why: str = Field(min_length=5)
    flow: str


class Written(BaseModel):
    """One entry of an authoring file.

    `implicit_step` and `implicit_condition`: what the text leaves unsaid, and at which component.
    `derived`: input values that stand neither in the text nor in the catalogue, each with how it follows.
    """

    model_config = ConfigDict(extra="forbid")

    id: str
    split: Split
    text: str
    flow: str
    also: list[Alternative] = Field(default_factory=list)
    implicit_step: list[str] = Field(default_factory=list)
    implicit_condition: list[str] = Field(default_factory=list)
    derived: dict[str, str] = Field(default_factory=dict)


def read_written(path: str | Path, domain: str) -> list[Example]:
    """The examples of one authoring file. Raises ValueError naming file, id and what is wrong."""
    try:
        raw = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=_LOADER)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"examples {path}: expected a YAML list, got: {error}") from None
    if not isinstance(raw, list):
        raise ValueError(f"examples {path}: expected a YAML list of examples, got {type(raw).__name__}")
    return [_example(path, domain, entry) for entry in raw]


def _example(path: str | Path, domain: str, raw: Any) -> Example:
    name = raw.get("id") if isinstance(raw, dict) else raw
    try:
        entry = Written.model_validate(raw)
        flows = [_flow(text) for text in (entry.flow, *(a.flow for a in entry.also))]
    except (ValidationError, ValueError) as error:
        raise ValueError(f"example {name!r} in {path}: expected an entry as in data/README.md, got: {error}") from None
    labels: dict[str, Any] = {
        "implicit_step": entry.implicit_step or False,
        "implicit_condition": entry.implicit_condition or False,
        "derived": entry.derived,
        "reasons": [a.why for a in entry.also],
    }
    example = Example(
        id=entry.id, requirement=entry.text.strip(), references=flows, domain=domain, split=entry.split,
        source="written", licence=LICENCE, features=labels,
    )  # fmt: skip
    example.features = features.compute(example, shipped_catalogue(domain))
    return example


def _flow(text: str) -> Flow:
    try:
        flow = from_outline(text)
    except OutlineError as error:
        raise ValueError(str(error)) from None
    faults = structure_faults(flow)
    if faults:
        raise ValueError("; ".join(faults))
    return flow


@functools.cache
def _all() -> tuple[Example, ...]:
    return tuple(
        example
        for domain in shipped_domains()
        for path in sorted((DATA / "examples" / domain).glob("*.yaml"))
        for example in read_written(path, domain)
    )


def shipped_corpus() -> list[Example]:
    """The hand-written examples of every shipped domain in all splits, features computed."""
    return [example.model_copy(deep=True) for example in _all()]


def sealed_hash(examples: Sequence[Example]) -> str:
    """SHA-256 over id, requirement and references of the sealed examples (`test` and `ood`), whatever their order. It
    was committed in `data/sealed.json` before any system had answered them."""
    rows = [[e.id, e.requirement, [flow.to_dict() for flow in e.references]] for e in examples if e.split in SEALED]
    return hashlib.sha256(json.dumps(sorted(rows), sort_keys=True).encode()).hexdigest()
