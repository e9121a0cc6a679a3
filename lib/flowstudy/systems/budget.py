"""A limit on money that holds at any concurrency: the worst case is set aside before sending, settled after."""

from __future__ import annotations

import asyncio


class BudgetStop(Exception):
    """What is left cannot pay for this call, even after everything in flight is settled."""


class Budget:
    """At most `max_usd` US dollars. `spent_usd` starts with what earlier runs of the same journal have spent.

    Use it from one event loop. A caller whose worst case does not fit waits as long as money is held by others.
    """

    def __init__(self, max_usd: float, spent_usd: float = 0.0) -> None:
        if not max_usd >= 0:
            raise ValueError(f"budget: expected max_cost_usd of 0 or more, got {max_usd}")
        self.max_usd, self.spent_usd, self.held_usd = max_usd, spent_usd, 0.0
        self._changed: list[asyncio.Future[None]] = []

    async def reserve(self, worst_usd: float) -> None:
        """Set `worst_usd` aside. Raises BudgetStop when it cannot fit."""
        while self.spent_usd + self.held_usd + worst_usd > self.max_usd:
            if self.held_usd <= 0:
                raise BudgetStop(
                    f"{self.spent_usd:.4f} of {self.max_usd:.4f} USD are spent and this call may cost "
                    f"{worst_usd:.4f} USD; raise max_cost_usd and run again"
                )
            change = asyncio.get_running_loop().create_future()
            self._changed.append(change)
            await change
        self.held_usd += worst_usd

    def settle(self, worst_usd: float, actual_usd: float) -> None:
        """Give back what was set aside and book what it cost."""
        self.held_usd = max(0.0, self.held_usd - worst_usd)
        if self.held_usd < 1e-12:
            self.held_usd = 0.0
        self.spent_usd += actual_usd
        waiting, self._changed = self._changed, []
        for change in waiting:
            if not change.done():
                change.set_result(None)
