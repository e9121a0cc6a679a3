"""The trained ranker of one run: made once from its training split, kept in the run folder, read back until its
makings change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue
from flowstudy.systems.offers import alone
from flowstudy.systems.ranker_training import train_ranker
from flowstudy.systems.retrieval import Ranker
from flowstudy.systems.trained import RankerModel
from flowstudy.systems.uses import makings_hash

#: Raise it when the same examples would give another ranker.
RANKER_VERSION: Final = 3


def run_rankers(
    retrievers: Iterable[str],
    folder: Path,
    examples: Sequence[Example],
    catalogues: Mapping[str, Catalogue],
    *,
    k: int,
    seed: int,
) -> dict[str, Ranker]:
    """Rankers by domain for the retriever `trained`; none when it is not among `retrievers`.

    Trained on the split `train` of `examples`, tuned on `validation` for `k` suggestions; other splits are not looked
    at. The model lies in `folder/retriever.npz`. Raises RetrieverError without training examples.
    """
    if "trained" not in set(retrievers):
        return {}
    train, validation = ([e for e in examples if e.split == split] for split in ("train", "validation"))
    made_from = makings_hash([RANKER_VERSION, k, seed, len(train)], [*train, *validation], catalogues)
    path = folder / "retriever.npz"
    with alone(path):
        model = RankerModel.load(path) if path.is_file() else None
        if model is None or model.made_from != made_from:
            model = train_ranker(train, catalogues, validation=validation, k=k, seed=seed)
            model.made_from = made_from
            model.save(path)
    return {domain: model.ranker(catalogue) for domain, catalogue in catalogues.items()}
