"""Is the measure of behaviour true? Pairs of references that authors call equivalent, edits with a known verdict, time.

    python -m tests.benchmarks.behaviour [--edits N] [--pairs-only | --edits-only | --readings-only]

Reads the shipped corpus without its sealed splits; prints Markdown. `--edits` is the number of references per kind of
edit, drawn with a seed. Times are processor time of one thread, so that other work on the machine counts little.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import yaml
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from flowstudy.corpus import shipped_catalogue
from flowstudy.corpus.environments import DATA
from flowstudy.corpus.written import SEALED
from flowstudy.flows import from_outline
from flowstudy.metrics import behaviour, flow_similarity
from tests.metrics.behaviour_edits import CHANGING, PRESERVING, edited

SEED = 7
HERE = Path(__file__).parent


def open_examples():
    """(id, domain, references) of every example outside the sealed splits; sealed files are not opened."""
    for path in sorted((DATA / "examples").glob("*/*.yaml")):
        if path.stem not in SEALED:
            for row in yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader):
                if row["split"] not in SEALED:
                    texts = [row["flow"], *(also["flow"] for also in row.get("also", []))]
                    yield row["id"], path.parent.name, [from_outline(text) for text in texts]


def timed(candidate, reference, catalogue):
    """The verdict and its time in ms."""
    started = time.process_time()
    found = behaviour(candidate, reference, catalogue)
    return found, (time.process_time() - started) * 1000


def spread(times):
    """Median, mean and worst in words, and what 10,000 such pairs take."""
    mean = statistics.mean(times)
    return (
        f"{len(times)} pairs: median {statistics.median(times):.1f} ms, mean {mean:.1f} ms, worst {max(times):.0f} ms; "
        f"10,000 such pairs {mean * 10:.0f} s on one thread"
    )


def pairs(examples):
    """Every pair of references of one example: counts, each pair that is not the same, times."""
    counts, times, rest = Counter(), [], []
    for name, domain, references in examples:
        for (i, first), (j, second) in itertools.combinations(enumerate(references, start=1), 2):
            found, spent = timed(second, first, shipped_catalogue(domain))
            counts[found.verdict] += 1
            times.append(spent)
            if not found.same:
                reason = (found.unknown or found.counterexample or "").replace("|", "/")
                rest.append(
                    f"| {name} {i}/{j} | {found.verdict} | {found.agree:.2f} | {found.f1:.2f} | {reason[:160]} |"
                )
                print(rest[-1], flush=True)
    print(f"\n{sum(counts.values())} pairs: {dict(counts)}\n{spread(times)}\n", flush=True)


def edits(examples, most):
    """Edits of main references: share judged as labelled, per kind, and times."""
    times = []
    print("| edit | wanted | n | as wanted | unknown | others |\n|---|---|---|---|---|---|")
    for edit, wanted in [*((e, True) for e in PRESERVING), *((e, False) for e in CHANGING)]:
        wrong, unknown, count = [], 0, 0
        for name, domain, references in random.Random(SEED).sample(examples, len(examples)):
            candidate = edited(edit, references[0]) if count < most else None
            if candidate is not None:
                found, spent = timed(candidate, references[0], shipped_catalogue(domain))
                times.append(spent)
                count += 1
                unknown += found.unknown is not None
                wrong += [name] if found.same != wanted else []
        says = "same" if wanted else "not"
        rate = f"{(count - len(wrong)) / count:.1%}" if count else "-"
        print(f"| {edit.__name__} | {says} | {count} | {rate} | {unknown} | {' '.join(wrong[:6])} |", flush=True)
    print(f"\n{spread(times)}", flush=True)


def readings():
    """How each measure agrees with two readings of `readings.jsonl`, made apart and without the measures in sight: an
    answer, who wrote it (a system, another author, an author with one fault put in), and right, wrong or unsure."""
    rows = [json.loads(line) for line in (HERE / "readings.jsonl").read_text(encoding="utf-8").splitlines()]
    known = {name: (domain, references) for name, domain, references in open_examples()}
    made = []
    for row in rows:
        domain, references = known[row["example"]]
        flow = from_outline(row["answer"])
        against = [one for number, one in enumerate(references) if number != row.get("reference")]
        found = behaviour(flow, against, shipped_catalogue(domain))
        made.append(
            {"kind": row["kind"], "first": row["first"], "second": row["second"], "same": float(found.same),
             "agree": found.agree, "strict FlowSim": flow_similarity(flow, against),
             "published FlowSim": flow_similarity(flow, against, convention="published"),
             "unknown": found.unknown is not None, "example": row["example"]}
        )  # fmt: skip
    table = pd.DataFrame(made)
    alike = table["first"] == table["second"]
    counts, kappa = table.loc[alike, "first"].value_counts(), cohen_kappa_score(table["first"], table["second"])
    print(f"{len(table)} answers; both readings say the same of {alike.sum()} (Cohen's kappa {kappa:.2f}):", end=" ")
    print(", ".join(f"{number} {word}" for word, number in counts.items()), end="\n\n")
    sure = table[alike & (table["first"] != "unsure")]
    right = sure["first"] == "right"
    print("| measure | area under the curve | right ones above every wrong one |\n|---|---|---|")
    for name in ("same", "agree", "strict FlowSim", "published FlowSim"):
        above = (sure.loc[right, name] > sure.loc[~right, name].max()).mean()
        print(f"| {name} | {roc_auc_score(right, sure[name]):.3f} | {above:.0%} |")
    print(f"\n`same`: {(sure['same'] > 0)[right].sum()} of {right.sum()} right ones, ", end="")
    print(f"{(sure['same'] > 0)[~right].sum()} of {(~right).sum()} wrong ones; unknown {sure['unknown'].sum()}\n")
    print("| written by | answers | read as right | same |\n|---|---|---|---|")
    for kind, some in sure.groupby("kind"):
        print(f"| {kind} | {len(some)} | {(some['first'] == 'right').sum()} | {(some['same'] > 0).sum()} |")
    print("\nNot as read:", ", ".join(sure.loc[right != (sure["same"] > 0), ["example", "kind"]].agg(" ".join, axis=1)))


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=200, help="references per kind of edit")
    parser.add_argument("--pairs-only", action="store_true")
    parser.add_argument("--edits-only", action="store_true")
    parser.add_argument("--readings-only", action="store_true")
    given = parser.parse_args()
    readings()
    if given.readings_only:
        return
    examples = list(open_examples())
    if not given.edits_only:
        pairs(examples)
    if not given.pairs_only:
        edits(examples, given.edits)


if __name__ == "__main__":
    main()
