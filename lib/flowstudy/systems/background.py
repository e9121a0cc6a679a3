"""One event loop in a background thread, so that notebooks (which run their own) call plain functions."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
_lock = threading.Lock()
_running: tuple[int, asyncio.AbstractEventLoop] | None = None


def loop() -> asyncio.AbstractEventLoop:
    """The loop of this process, started on first use; it lives as long as the process, and so do its connections."""
    global _running
    with _lock:
        if _running is None or _running[0] != os.getpid():
            started = asyncio.new_event_loop()
            threading.Thread(target=started.run_forever, name="flowstudy calls", daemon=True).start()
            _running = (os.getpid(), started)
        return _running[1]


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run `work` on the background loop and return its result. An interrupt cancels it, lets it clean up, and is
    passed on."""
    ended = threading.Event()

    async def run() -> T:
        try:
            return await work
        finally:
            ended.set()

    future = asyncio.run_coroutine_threadsafe(run(), loop())
    try:
        return future.result()
    except KeyboardInterrupt:
        future.cancel()
        ended.wait(timeout=10)
        raise
