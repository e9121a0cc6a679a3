"""How many calls to one provider are in flight: fewer after it says "too many", slowly more again after answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Limiter:
    """At most `limit` calls at once, 1..`cap`. Halved when the provider throttles, one more after `limit` answers."""

    def __init__(self, cap: int) -> None:
        self.cap = max(1, cap)
        self.limit = float(self.cap)
        self.busy = 0
        self._cut_at = float("-inf")
        self._waiting: list[asyncio.Future[None]] = []

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Wait for a free place and hold it."""
        while self.busy >= int(self.limit):
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn in self._waiting:
                    self._waiting.remove(turn)
                else:
                    self._wake()
                raise
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1
            self._wake()

    def answered(self) -> None:
        """The provider took a call: grow again."""
        self.limit = min(self.cap, self.limit + 1 / max(1.0, self.limit))
        self._wake()

    def throttled(self, sent_at: float) -> None:
        """The provider said "too many" to a call sent at `sent_at` (monotonic): halve, once per wave of calls."""
        if sent_at >= self._cut_at:
            self.limit = max(1.0, self.limit / 2)
            self._cut_at = time.monotonic()

    def _wake(self) -> None:
        free = int(self.limit) - self.busy
        while free > 0 and self._waiting:
            turn = self._waiting.pop(0)
            if not turn.done():
                turn.set_result(None)
                free -= 1


class Meter:
    """Shares the time of one machine among the calls that it works on at once: the shares add up to the busy time."""

    def __init__(self) -> None:
        self._busy, self._share, self._since = 0, 0.0, 0.0

    def start(self) -> float:
        """A call begins; keep the mark for `stop`."""
        self._advance()
        self._busy += 1
        return self._share

    def stop(self, mark: float) -> float:
        """The call ends; its share of the machine's time in seconds."""
        self._advance()
        self._busy -= 1
        return self._share - mark

    def _advance(self) -> None:
        now = time.monotonic()
        if self._busy:
            self._share += (now - self._since) / self._busy
        self._since = now
