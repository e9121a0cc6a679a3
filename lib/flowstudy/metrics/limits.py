"""How large a flow may be, and the errors for flows that cannot be compared.

Both limits are far above real workflows (the longest published ones have a few hundred nodes). They exist because
repeated orders can double a published tree with every component, and because the time of a tree edit distance grows
with up to the fourth power of the number of nodes.
"""

from __future__ import annotations

from typing import Final

#: Most nodes that one flow's tree may have.
MAX_NODES: Final = 5_000
#: Most table cells that one comparison may compute (some seconds with numba).
MAX_CELLS: Final = 4_000_000_000


class UnreadableFlow(ValueError):
    """A text or value that cannot be read as a flow where one is needed; the message names the record."""


class FlowTooLarge(ValueError):
    """A flow or a pair of flows beyond `MAX_NODES` or `MAX_CELLS`; the message names the record."""


def too_many_nodes(record: str) -> FlowTooLarge:
    """The error for a tree that grew beyond `MAX_NODES`."""
    return FlowTooLarge(
        f"flow too large for {record}: expected at most {MAX_NODES} tree nodes, got more; "
        "check for repeated orders, or compare the flow in parts"
    )


def too_many_cells(record: str) -> FlowTooLarge:
    """The error for a comparison that would need more than `MAX_CELLS` table cells."""
    return FlowTooLarge(
        f"pair too large for {record}: expected at most {MAX_CELLS} table cells, got more; compare the flows in parts"
    )
