"""Exact tree edit distance of encoded trees: numba where it is installed, plain Python otherwise, with equal results.

Importing numba takes longer than comparing a few flows, so a process starts in plain Python and imports numba once it
has `FEW_CELLS` table cells to compute. The machine code is kept on disk between processes.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import accumulate
from types import ModuleType
from typing import Any, Final, TypeAlias

from flowstudy.metrics import _plain_kernels
from flowstudy.metrics.limits import MAX_CELLS, too_many_cells
from flowstudy.metrics.trees import FREE_CODE, NODE

#: Most table cells of one comparison in plain Python (about a minute), where numba is missing.
MAX_PLAIN_CELLS: Final = 200_000_000
#: Table cells that a process computes in plain Python (about half a second) before it imports numba.
FEW_CELLS: Final = 1_000_000
_PART: Final = 250
#: Numbers on a shelf before a new one is started (160 MB).
_MOST_NUMBERS: Final = 20_000_000
#: A distance to compute: the numbers of two trees on a shelf, and 1 with inputs or 0 without.
Job: TypeAlias = tuple[int, int, int]
_cells_done = 0


@cache
def fast_kernels() -> ModuleType | None:
    """The numba kernels, or None where numba cannot be imported."""
    try:
        from flowstudy.metrics import _numba_kernels
    except ImportError:
        return None
    return _numba_kernels


def tree_distance(encoded_a: bytes, encoded_b: bytes, *, inputs: bool = True, record: str = "the pair") -> int:
    """Edit distance of two encoded trees, an integer >= 0; `FlowTooLarge` names `record` if it would take too long.

    Insertions and deletions cost 1, relabelling 0, 1 or 2 by code; `inputs=False` leaves out marked nodes (see
    `trees`). Symmetric, and a metric.
    """
    distance = _few_cells(encoded_a, encoded_b, inputs)
    if distance is None:
        distance = _any_cells(encoded_a, encoded_b, inputs)
    if distance < 0:
        raise too_many_cells(record)
    return distance


def both_distances(encoded_a: bytes, encoded_b: bytes, record: str = "the pair") -> tuple[int, int]:
    """`tree_distance` without and with inputs, in one call."""
    fast = fast_kernels() if _cells_done > FEW_CELLS else None
    if fast is None:
        bare = tree_distance(encoded_a, encoded_b, inputs=False, record=record)
        return bare, tree_distance(encoded_a, encoded_b, record=record)
    found: tuple[int, int] = fast.two_distances(_ints(encoded_a + encoded_b), len(encoded_a) // 8, MAX_CELLS)
    if min(found) < 0:
        raise too_many_cells(record)
    return found


def _ints(values: bytes | array[int]) -> Any:
    import numpy as np

    return np.frombuffer(values, np.int64)


def _few_cells(encoded_a: bytes, encoded_b: bytes, inputs: bool) -> int | None:
    """The distance in plain Python, or None when it is time for numba."""
    global _cells_done
    if _cells_done > FEW_CELLS or len(encoded_a) * len(encoded_b) // NODE.size**2 > FEW_CELLS:
        return None
    a, b = _plain_kernels.postorder(encoded_a, inputs), _plain_kernels.postorder(encoded_b, inputs)
    _cells_done += _plain_kernels.cells(a.left, b.left)
    return None if _cells_done > FEW_CELLS else _plain_kernels.postorder_distance(a, b)


def _any_cells(encoded_a: bytes, encoded_b: bytes, inputs: bool) -> int:
    fast = fast_kernels()
    if fast is None:
        return _plain_kernels.pair_distance(encoded_a, encoded_b, inputs, MAX_PLAIN_CELLS)
    return int(fast.pair_distance(_ints(encoded_a), _ints(encoded_b), inputs, MAX_CELLS))


class Shelf:
    """Encoded trees side by side, each known by its number, for many comparisons at once."""

    def __init__(self) -> None:
        self._trees = array("q")
        self._starts = array("q", [0])

    @property
    def is_large(self) -> bool:
        """True when it is time to start a new shelf."""
        return len(self._trees) > _MOST_NUMBERS

    def put(self, encoded: bytes) -> int:
        """Keep a tree; returns its number."""
        self._trees.frombytes(encoded)
        self._starts.append(len(self._trees))
        return len(self._starts) - 2

    def distances(self, jobs: Sequence[Job], threads: int) -> list[int | None]:
        """The distances of the jobs, by so many threads; None where a pair is too large."""
        fast = fast_kernels() if self._is_much(jobs) else None
        if fast is None:
            trees = ((self._tree(a), self._tree(b), inputs == 1) for a, b, inputs in jobs)
            found = [_plain_kernels.pair_distance(*each, MAX_PLAIN_CELLS) for each in trees]
        else:
            found = self._by(fast, jobs, threads)
        return [None if distance < 0 else distance for distance in found]

    def _is_much(self, jobs: Sequence[Job]) -> bool:
        work = accumulate(self._length(a) * self._length(b) for a, b, _ in jobs)
        return any(done > FEW_CELLS for done in work)

    def _length(self, number: int) -> int:
        return self._starts[number + 1] - self._starts[number]

    def _tree(self, number: int) -> bytes:
        return self._trees[self._starts[number] : self._starts[number + 1]].tobytes()

    def _by(self, fast: ModuleType, jobs: Sequence[Job], threads: int) -> Any:
        import numpy as np

        trees, starts, numbers = _ints(self._trees), _ints(self._starts), np.array(jobs, np.int64)
        distances = np.empty(len(jobs), np.int64)
        parts = [slice(k, k + _PART) for k in range(0, len(jobs), _PART)]
        with ThreadPoolExecutor(threads) as pool:
            for done in [
                pool.submit(fast.many_distances, trees, starts, numbers[part], MAX_CELLS, distances[part])
                for part in parts
            ]:
                done.result()
        return distances.tolist()


def warm_up() -> None:
    """Load the batch kernel now, e.g. before processes are forked."""
    fast = fast_kernels()
    if fast is not None:
        shelf = Shelf()
        shelf.put(NODE.pack(FREE_CODE, 0))
        shelf._by(fast, [(0, 0, 1)], 1)
