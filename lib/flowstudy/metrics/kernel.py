"""Exact tree edit distance of encoded trees: numba where it is installed, plain Python otherwise, with equal results.

Importing numba takes longer than comparing a few flows, so a process starts in plain Python and imports numba once it
has `FEW_CELLS` table cells to compute. The machine code is kept on disk between processes.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from types import ModuleType
from typing import Any, Final

from flowstudy.metrics import _plain_kernels
from flowstudy.metrics.limits import MAX_CELLS, too_many_cells

#: Most table cells of one comparison in plain Python (about a minute), where numba is missing.
MAX_PLAIN_CELLS: Final = 200_000_000
#: Table cells that a process computes in plain Python (about half a second) before it imports numba.
FEW_CELLS: Final = 1_000_000
_PART: Final = 250
_cells_done = 0


@cache
def fast_kernels() -> ModuleType | None:
    """The numba kernels, or None where numba cannot be imported."""
    try:
        from flowstudy.metrics import _numba_kernels
    except ImportError:
        return None
    return _numba_kernels


def tree_distance(encoded_a: array[int], encoded_b: array[int], record: str = "the pair") -> int:
    """Edit distance of two encoded trees, an integer >= 0; `FlowTooLarge` names `record` if it would take too long.

    Insertions and deletions cost 1, relabelling 0, 1 or 2 by code (see `trees`). Symmetric, and a metric.
    """
    distance = _few_cells(encoded_a, encoded_b)
    if distance is None:
        distance = _any_cells(encoded_a, encoded_b)
    if distance < 0:
        raise too_many_cells(record)
    return distance


def tree_distance_pair(
    trees_a: tuple[array[int], array[int]], trees_b: tuple[array[int], array[int]], record: str = "the pair"
) -> tuple[int, int]:
    """`tree_distance` of the first and of the second trees of two flows, in one call."""
    fast = fast_kernels() if _cells_done > FEW_CELLS else None
    if fast is None:
        return tree_distance(trees_a[0], trees_b[0], record), tree_distance(trees_a[1], trees_b[1], record)
    import numpy as np

    encoded = np.frombuffer(trees_a[0] + trees_b[0] + trees_a[1] + trees_b[1], np.int64)
    first, second = fast.two_distances(
        encoded, len(trees_a[0]), len(trees_b[0]), len(trees_a[1]), len(trees_b[1]), MAX_CELLS
    )
    if first < 0 or second < 0:
        raise too_many_cells(record)
    return first, second


def _few_cells(encoded_a: array[int], encoded_b: array[int]) -> int | None:
    """The distance in plain Python, or None when it is time for numba."""
    global _cells_done
    if _cells_done > FEW_CELLS or len(encoded_a) * len(encoded_b) > FEW_CELLS:
        return None
    a, b = _plain_kernels.postorder(encoded_a), _plain_kernels.postorder(encoded_b)
    _cells_done += _plain_kernels.cells(a.left, b.left)
    return None if _cells_done > FEW_CELLS else _plain_kernels.postorder_distance(a, b)


def _any_cells(encoded_a: array[int], encoded_b: array[int]) -> int:
    fast = fast_kernels()
    if fast is None:
        return _plain_kernels.pair_distance(encoded_a, encoded_b, MAX_PLAIN_CELLS)
    import numpy as np

    return int(fast.pair_distance(np.frombuffer(encoded_a, np.int64), np.frombuffer(encoded_b, np.int64), MAX_CELLS))


def warm_up() -> None:
    """Load the batch kernel now, e.g. before processes are forked."""
    fast = fast_kernels()
    if fast is not None:
        _on_all_cores(fast, [array("q", [1, -1])], [(0, 0)])


def tree_distances(trees: Sequence[array[int]], pairs: Sequence[tuple[int, int]]) -> list[int | None]:
    """Edit distances of many pairs of `trees`, given by their indices, on all cores; None where a pair is too large."""
    work = sum(len(trees[a]) * len(trees[b]) for a, b in pairs)
    fast = fast_kernels() if work > FEW_CELLS else None
    if fast is None:
        found = [_plain_kernels.pair_distance(trees[a], trees[b], MAX_PLAIN_CELLS) for a, b in pairs]
    else:
        found = _on_all_cores(fast, trees, pairs)
    return [None if distance < 0 else distance for distance in found]


def _on_all_cores(fast: ModuleType, trees: Sequence[array[int]], pairs: Sequence[tuple[int, int]]) -> Any:
    import numpy as np

    starts = np.zeros(len(trees) + 1, np.int64)
    np.cumsum([len(tree) for tree in trees], out=starts[1:])
    joined = array("q")
    for tree in trees:
        joined.extend(tree)
    encoded = np.frombuffer(joined, np.int64)
    numbers = np.array(pairs, np.int64)
    distances = np.empty(len(numbers), np.int64)
    workers = os.cpu_count() or 1
    with ThreadPoolExecutor(workers) as pool:
        parts = [
            pool.submit(fast.many_distances, encoded, starts, numbers[part], MAX_CELLS, distances[part])
            for part in (slice(k, k + _PART) for k in range(0, len(numbers), _PART))
        ]
    for part in parts:
        part.result()
    return distances.tolist()
