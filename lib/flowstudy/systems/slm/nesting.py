"""Where flow logic may stand in an outline that is being written: an ELSE only after its IF, a BRANCH only inside
PARALLEL. Follows the rules of `flows.schema.structure_faults`, line by line."""

from __future__ import annotations

from typing import Final

from flowstudy.flows.schema import FLOW_LOGIC, FOLLOWS, INSIDE

#: The block around the steps that no flow logic encloses.
_TOP: Final = 0


class Nesting:
    """The steps of an outline so far, as `flows.outline.from_outline` reads their indentation."""

    def __init__(self) -> None:
        self._open: list[tuple[int, int]] = [(-1, _TOP)]
        self._names: dict[int, str] = {_TOP: ""}
        self._last: dict[int, str] = {}

    def add(self, indent: int, name: str) -> None:
        """Take note of a step: by how many spaces it is indented, and its flow logic, or any other text."""
        while self._open[-1][0] >= indent:
            self._open.pop()
        block = self._open[-1][1]
        self._last[block] = name
        if name in FLOW_LOGIC:
            block = len(self._names)
            self._names[block] = name
        self._open.append((indent, block))

    def refused(self, indent: int) -> frozenset[str]:
        """The flow logic that may not begin a step with this indentation."""
        block = next(block for level, block in reversed(self._open) if level < indent)
        before, around = self._last.get(block, ""), self._names[block]
        alone = [name for name, openers in FOLLOWS.items() if before not in openers]
        return frozenset([*alone, *(name for name, outer in INSIDE.items() if around not in outer)])
