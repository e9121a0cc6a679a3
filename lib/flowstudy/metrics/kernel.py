"""Exact tree edit distance of encoded trees: numba where it is installed, plain Python otherwise, with equal results.

numba is imported at the first comparison, not at import; its machine code is kept on disk between processes.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import cache
from types import ModuleType
from typing import Any, Final

from flowstudy.metrics import _plain_kernels
from flowstudy.metrics.limits import MAX_CELLS, too_many_cells

#: Most table cells of one comparison in plain Python (about a minute).
MAX_PLAIN_CELLS: Final = 200_000_000


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
    fast = fast_kernels()
    if fast is None:
        distance = _plain_kernels.pair_distance(encoded_a, encoded_b, MAX_PLAIN_CELLS)
    else:
        import numpy as np

        distance = fast.pair_distance(np.frombuffer(encoded_a, np.int64), np.frombuffer(encoded_b, np.int64), MAX_CELLS)
    if distance < 0:
        raise too_many_cells(record)
    return int(distance)


def tree_distances(trees: Sequence[array[int]], pairs: Sequence[tuple[int, int]]) -> list[int | None]:
    """Edit distances of many pairs of `trees`, given by their indices, on all cores; None where a pair is too large."""
    fast = fast_kernels()
    if fast is None or not pairs:
        found = [_plain_kernels.pair_distance(trees[a], trees[b], MAX_PLAIN_CELLS) for a, b in pairs]
    else:
        found = _on_all_cores(fast, trees, pairs)
    return [None if distance < 0 else distance for distance in found]


def _on_all_cores(fast: ModuleType, trees: Sequence[array[int]], pairs: Sequence[tuple[int, int]]) -> Any:
    import numpy as np

    starts = np.zeros(len(trees) + 1, np.int64)
    np.cumsum([len(tree) for tree in trees], out=starts[1:])
    encoded = np.concatenate([np.frombuffer(tree, np.int64) for tree in trees])
    return fast.many_distances(encoded, starts, np.array(pairs, np.int64), MAX_CELLS).tolist()
