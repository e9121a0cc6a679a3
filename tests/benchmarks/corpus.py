"""How fast examples are loaded, made, checked and imported: `python tests/benchmarks/corpus.py [FOLDER]`.

One process, CPU time, so that other work on the machine counts little. With a FOLDER of workflow files the import is
measured too: 10,000 records, the files again and again, and the memory after 1,000 and after all of them.
"""

from __future__ import annotations

import itertools
import resource
import sys
import time
from pathlib import Path

from flowstudy.corpus import check_corpus, shipped_catalogue, shipped_corpus
from flowstudy.corpus.importers import load_workflows
from flowstudy.corpus.synthesis import generate, invent_catalogue


def main() -> None:
    started = time.process_time()
    examples = shipped_corpus()
    print(f"load the shipped corpus: {time.process_time() - started:.1f} s for {len(examples)} examples")
    started = time.process_time()
    check_corpus()
    print(f"check it: {time.process_time() - started:.1f} s")
    for catalogue in (shipped_catalogue("it_service"), shipped_catalogue("facilities"), invent_catalogue(3)):
        started = time.process_time()
        count = sum(1 for _ in generate(catalogue, 5000, seed=9))
        print(f"generate from {catalogue.name}: {count / (time.process_time() - started):,.0f} examples/s")
    if len(sys.argv) > 1:
        imports(Path(sys.argv[1]))


def imports(folder: Path, most: int = 10_000) -> None:
    """Files a second and peak memory of the importers."""
    count, started = 0, time.process_time()
    for record in itertools.islice((r for _ in itertools.count() for r in load_workflows(folder)), most):
        count += record is not None
        if count in (most // 10, most):
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(f"import {count:,}: {count / (time.process_time() - started):,.0f} records/s, peak {peak:.0f} MiB")


if __name__ == "__main__":
    main()
