"""Exact tree edit distance of encoded trees: numba where it is installed, plain Python otherwise, with equal results.

Importing numba takes longer than comparing a few flows, so a process starts in plain Python and imports numba once it
has `FEW_CELLS` table cells to compute. The machine code is kept on disk between processes.
"""

from __future__ import annotations

from functools import cache
from types import ModuleType
from typing import Any, Final

from flowstudy.metrics import _plain_kernels
from flowstudy.metrics.limits import MAX_CELLS, too_many_cells
from flowstudy.metrics.trees import NODE

#: Most table cells of one comparison in plain Python (about a minute), where numba is missing.
MAX_PLAIN_CELLS: Final = 200_000_000
#: Table cells that a process computes in plain Python (about half a second) before it imports numba.
FEW_CELLS: Final = 1_000_000
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


def _ints(values: bytes) -> Any:
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
