"""Suggestions computed once per example and stored, so that every system of a run is offered the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.records import Suggestion
from flowstudy.systems.retrieval import Ranker, retrieve
from flowstudy.systems.uses import catalogue_hash

SUGGESTIONS_SCHEMA: Final = "flowstudy/suggestions/1"
Offers = dict[str, list[Suggestion]]


def suggest_all(
    retriever: str,
    examples: Sequence[Example],
    catalogues: Mapping[str, Catalogue],
    k: int = 20,
    seed: int = 0,
    *,
    path: str | Path | None = None,
    rankers: Mapping[str, Ranker] | None = None,
) -> Offers:
    """Suggestions by example id. `catalogues` (and `rankers`, for `trained`) are by domain.

    With `path` they are stored as JSON Lines and read back when examples, catalogues and arguments are the same
    (`trained` is always computed: its ranker may be another).
    Raises ValueError naming the example whose domain has no catalogue.
    """
    for example in examples:
        if example.domain not in catalogues:
            raise ValueError(f"example {example.id}: expected a domain of {sorted(catalogues)}, got {example.domain!r}")
    reusable = path is not None and retriever != "trained"
    made_from = _fingerprint(retriever, examples, catalogues, k, seed) if reusable else ""
    stored = _read(Path(path), made_from) if path is not None and made_from else None
    if stored is not None:
        return stored
    ranker = rankers or {}
    offers = {
        e.id: retrieve(retriever, e, catalogues[e.domain], k, seed, ranker=ranker.get(e.domain)) for e in examples
    }
    if path is not None:
        _write(Path(path), retriever, k, seed, made_from, offers)
    return offers


def _fingerprint(
    retriever: str, examples: Sequence[Example], catalogues: Mapping[str, Catalogue], k: int, seed: int
) -> str:
    shelves = {domain: catalogue_hash(catalogues[domain]) for domain in sorted({e.domain for e in examples})}
    flows = [e.model_dump(include={"id", "requirement", "references", "domain"}) for e in examples]
    return hashlib.sha256(json.dumps([retriever, k, seed, shelves, flows]).encode()).hexdigest()


def _read(path: Path, made_from: str) -> Offers | None:
    """What is stored, or None when it is absent, of other arguments, or cut short."""
    if not path.exists():
        return None
    try:
        head, *lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError:
        return None
    if head.get("made_from") != made_from or head.get("examples") != len(lines):
        return None
    return {line["example"]: [Suggestion.model_validate(s) for s in line["suggestions"]] for line in lines}


def _write(path: Path, retriever: str, k: int, seed: int, made_from: str, offers: Offers) -> None:
    head = {"schema": SUGGESTIONS_SCHEMA, "retriever": retriever, "k": k, "seed": seed, "made_from": made_from}
    lines = [json.dumps({**head, "examples": len(offers)})]
    lines += [
        json.dumps({"example": name, "suggestions": [s.model_dump() for s in offered]}, ensure_ascii=False)
        for name, offered in offers.items()
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
    draft.replace(path)
