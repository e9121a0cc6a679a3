"""Suggestions computed once per example and stored, so that every system of a run is offered the same."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from flowstudy.corpus.example import Example
from flowstudy.files import write_text
from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.records import Suggestion
from flowstudy.systems.retrieval import Ranker, retrieve
from flowstudy.systems.uses import makings_hash

SUGGESTIONS_SCHEMA: Final = "flowstudy/suggestions/2"
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
    """Suggestions by example id. `catalogues` (and `rankers`, for `trained` and `oracle`) are by domain.

    With `path` they are stored as JSON Lines and read back when examples, catalogues, arguments and rankers are the
    same. Raises ValueError naming the example whose domain has no catalogue.
    """
    for example in examples:
        if example.domain not in catalogues:
            raise ValueError(f"example {example.id}: expected a domain of {sorted(catalogues)}, got {example.domain!r}")
    by_domain = rankers if rankers is not None and retriever in ("trained", "oracle") else {}
    head = {"schema": SUGGESTIONS_SCHEMA, "retriever": retriever, "k": k, "seed": seed, "examples": len(examples)}
    head["rankers"] = sorted({ranker.fingerprint() for ranker in by_domain.values()})

    def ask() -> Offers:
        return {
            e.id: retrieve(retriever, e, catalogues[e.domain], k, seed, ranker=by_domain.get(e.domain))
            for e in examples
        }

    if path is None:
        return ask()
    head["made_from"] = makings_hash(head, examples, catalogues)
    with alone(Path(path)):
        stored = _read(Path(path), head)
        if stored is None:
            stored = ask()
            _write(Path(path), head, stored)
    return stored


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """One process at a time: who comes second (another cell of a sweep) finds what the first has stored."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(f".{path.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(path: Path, wanted: Mapping[str, Any]) -> Offers | None:
    """What is stored, or None when it is absent, of other arguments, or cut short."""
    if not path.exists():
        return None
    try:
        found, *lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except ValueError:
        return None
    if found != wanted or len(lines) != wanted["examples"]:
        return None
    return {line["example"]: [Suggestion.model_validate(s) for s in line["suggestions"]] for line in lines}


def _write(path: Path, head: Mapping[str, Any], offers: Offers) -> None:
    lines = [json.dumps(head)]
    lines += [
        json.dumps({"example": name, "suggestions": [s.model_dump() for s in offered]}, ensure_ascii=False)
        for name, offered in offers.items()
    ]
    write_text(path, "\n".join(lines) + "\n")
