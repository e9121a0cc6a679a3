"""A limit on money that holds at any concurrency: the worst case is set aside before sending, settled after."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from flowstudy.systems.ledger import Ledger

#: How often a caller looks again whether another process has settled.
_LOOK_AGAIN_S: Final = 0.5


class BudgetStop(Exception):
    """What is left cannot pay for this call, even after everything in flight is settled."""


class Budget:
    """At most `max_usd` US dollars. `spent_usd` starts with what earlier runs of the same journal have spent.

    With a `ledger` (a file) the limit is one for every process that names it, now and in later runs. Use it from one
    event loop. A caller whose worst case does not fit waits as long as money is held by others.
    """

    def __init__(self, max_usd: float, spent_usd: float = 0.0, ledger: str | Path | None = None) -> None:
        if not max_usd >= 0:
            raise ValueError(f"budget: expected max_cost_usd of 0 or more, got {max_usd}")
        self.max_usd, self._spent_usd, self._held_usd = max_usd, spent_usd, 0.0
        self._ledger = Ledger(ledger, max_usd) if ledger is not None else None
        self._changed: list[asyncio.Future[None]] = []

    @property
    def spent_usd(self) -> float:
        """What was spent, by every process with the same ledger as of the last step."""
        return self._spent_usd if self._ledger is None else self._ledger.spent_usd

    @property
    def held_usd(self) -> float:
        """What is set aside for calls in flight."""
        return self._held_usd if self._ledger is None else self._ledger.held_usd

    async def reserve(self, worst_usd: float) -> None:
        """Set `worst_usd` aside. Raises BudgetStop when it cannot fit."""
        while not self._set_aside(worst_usd):
            if self.held_usd <= 0:
                raise BudgetStop(
                    f"{self.spent_usd:.4f} of {self.max_usd:.4f} USD are spent and this call may cost "
                    f"{worst_usd:.4f} USD; raise max_cost_usd and run again"
                )
            change = asyncio.get_running_loop().create_future()
            self._changed.append(change)
            await asyncio.wait([change], timeout=None if self._ledger is None else _LOOK_AGAIN_S)

    def _set_aside(self, worst_usd: float) -> bool:
        if self._ledger is not None:
            return self._ledger.reserve(worst_usd)
        if self._spent_usd + self._held_usd + worst_usd > self.max_usd:
            return False
        self._held_usd += worst_usd
        return True

    def sent(self, usd: float) -> None:
        """A request for which `usd` is set aside goes out now: whatever ends this process, it counts as spent."""
        if self._ledger is not None:
            self._ledger.sent(usd)

    def settle(self, worst_usd: float, actual_usd: float, sent_usd: float | None = None) -> None:
        """Give back what was set aside, and of it noted as sent (None: all of it), and book what it cost."""
        if self._ledger is not None:
            self._ledger.settle(worst_usd, actual_usd, sent_usd)
        else:
            self._held_usd = max(0.0, self._held_usd - worst_usd)
            if self._held_usd < 1e-12:
                self._held_usd = 0.0
            self._spent_usd += actual_usd
        waiting, self._changed = self._changed, []
        for change in waiting:
            if not change.done():
                change.set_result(None)
