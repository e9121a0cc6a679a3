"""One event loop in a background thread, so that notebooks (which run their own) call plain functions."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

S = TypeVar("S")
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


def stop() -> None:
    """End the loop while Python is still whole, its connections closed without a word; a later call starts another."""
    global _running
    with _lock:
        running, _running = _running, None
    if running is None or running[0] != os.getpid():
        return
    with contextlib.suppress(TimeoutError, RuntimeError):
        asyncio.run_coroutine_threadsafe(_clean_up(), running[1]).result(timeout=3)
    running[1].call_soon_threadsafe(running[1].stop)


def stop_at_exit() -> None:
    """Register `stop` now. LiteLLM registers its own clean-up when imported: call this after, to come first."""
    atexit.register(stop)


async def _clean_up() -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    module = sys.modules.get("litellm")
    if module is not None:
        await module.close_litellm_async_clients()
        module.in_memory_llm_clients_cache.cache_dict.clear()


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


async def each(items: Sequence[S], work: Callable[[S], Coroutine[Any, Any, T]], at_once: int) -> list[T]:
    """What `work` makes of each item, in order, at most `at_once` at a time. The first error, or a cancellation, ends
    the others before it is passed on."""
    found, rest = dict[int, T](), iter(enumerate(items))

    async def take() -> None:
        for place, item in rest:
            found[place] = await work(item)

    workers = [asyncio.create_task(take()) for _ in range(min(len(items), at_once))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return [found[place] for place in range(len(items))]
