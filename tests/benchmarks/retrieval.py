"""Recall at 8 of the retrievers on the shipped corpus, with and without each part of the trained one.

python tests/benchmarks/retrieval.py            # fits one encoder (about a minute), prints the table
python tests/benchmarks/retrieval.py --splits validation --layers 6 --epochs 1   # to choose a setting
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from flowstudy.corpus import shipped_catalogue, shipped_corpus, shipped_domains
from flowstudy.systems import recall_at_k, run_rankers
from flowstudy.systems.encoder import Tuning
from flowstudy.systems.retrieval import SHELVES, entries, limits, needed, top
from flowstudy.systems.trained import WEIGHTS

#: Weights of cosine similarity, votes and BM25 in each arm.
ARMS = {
    "BM25 alone (`lexical`)": (0, 0, 1),
    "encoder alone": (1, 0, 0),
    "encoder and BM25": (WEIGHTS[0], 0, WEIGHTS[2]),
    "votes alone": (0, 1, 0),
    "votes and BM25": (0, *WEIGHTS[1:]),
    "encoder and votes": (*WEIGHTS[:2], 0),
    "all three (`trained`)": WEIGHTS,
}
KINDS = ("trigger", "step", "table", "column")


def average_precision(scores: np.ndarray, wanted: np.ndarray, most: int) -> float:
    """Mean, over what is wanted, of the share of wanted entries down to it; 0 for what is not among the best."""
    hits = wanted[np.argsort(-scores, kind="stable")[:most]]
    return float((hits * np.cumsum(hits) / np.arange(1, len(hits) + 1)).sum() / min(most, wanted.sum()))


def measure(parts, examples, catalogues, weights) -> tuple[list[float], list[float]]:
    """Recall at 8 and mean average precision at 8 for KINDS, of the examples that need the kind."""
    offers, precision = {}, {kind: [] for kind in KINDS}
    for example in examples:
        found, scores = entries(catalogues[example.domain]), parts[example.id] @ np.array(weights, dtype=float)
        offers[example.id] = top(found, list(scores), 8)
        use = needed(example, catalogues[example.domain])
        for kind, shelf, most in zip(KINDS, SHELVES, limits(8).values(), strict=True):
            places = [n for n, entry in enumerate(found) if entry.kind in shelf]
            wanted = np.array([(found[n].kind, found[n].name) in use for n in places], dtype=float)
            if wanted.any():
                precision[kind].append(average_precision(scores[places], wanted, most))
    recall = recall_at_k(offers, examples, catalogues)
    return [recall[kind] for kind in KINDS], [float(np.mean(precision[kind])) for kind in KINDS]


def main() -> None:
    """Print one row per arm: recall at 8 of triggers, steps, tables and columns on each split."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--splits", nargs="+", default=["dev", "dev_ood"])
    parser.add_argument("--encoder", default="minilm")
    parser.add_argument("--weights", nargs=3, type=float, action="append", default=[], help="one more arm")
    parser.add_argument("--folder", help="where the fit is kept and found again")
    for name, usual in Tuning._field_defaults.items():
        parser.add_argument(f"--{name}", type=type(usual), default=usual)
    asked = parser.parse_args()
    catalogues, corpus = {domain: shipped_catalogue(domain) for domain in shipped_domains()}, shipped_corpus()
    examples = {split: [e for e in corpus if e.split == split] for split in asked.splits}
    tuning = Tuning(**{name: getattr(asked, name) for name in Tuning._fields})
    settings = {"seed": 7, "encoder": asked.encoder}
    arms = ARMS | {str(tuple(one)): tuple(one) for one in asked.weights}
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or temporary
        for name, how in (("untuned", tuning._replace(epochs=0)), ("fine-tuned", tuning)):
            rankers = run_rankers(["trained"], Path(folder), corpus, catalogues, **settings, tuning=how)
            started, used = time.monotonic(), time.process_time()
            rankers[next(iter(rankers))].model.encoder(0)
            print(f"{name}: {time.monotonic() - started:.0f} s, {time.process_time() - used:.0f} s of CPU", flush=True)
            every = [example for some in examples.values() for example in some]
            parts = {e.id: rankers[e.domain].parts(e.requirement) for e in every}
            for arm, weights in arms.items():
                if name == "untuned" and not weights[0]:
                    continue
                shown = [measure(parts, some, catalogues, weights) for some in examples.values()]
                cells = [" ".join(f"{value:.3f}" for value in recall) for recall, _ in shown]
                cells += [f"(AP {' '.join(f'{value:.3f}' for value in ap)})" for _, ap in shown]
                print(f"{name:10} {arm:26} | {' | '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
