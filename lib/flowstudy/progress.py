"""One progress line for long work: a bar in a terminal or notebook, a plain line every few seconds in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Tick(Protocol):
    """Call it after each piece of work; `note` replaces the words at the end of the line."""

    def __call__(self, done: int = 1, note: str = "") -> None: ...


@contextmanager
def progress(title: str, total: int, *, every_s: float = 5.0, quiet_s: float = 2.0) -> Iterator[Tick]:
    """Report work on stderr: nothing when it ends within `quiet_s`, else a line at most every `every_s` seconds.

    >>> with progress("scoring", 3) as tick:
    ...     for _ in range(3):
    ...         tick(note="fine")
    """
    started = last = time.monotonic()
    state = {"done": 0, "last": started, "spoke": False, "note": ""}

    def line(now: float) -> str:
        done, spent = int(state["done"]), now - started
        left = spent / done * (total - done) if done else float("nan")
        eta = f", about {left:.0f} s left" if done and done < total else f" in {spent:.0f} s"
        note = f" ({state['note']})" if state["note"] else ""
        return f"{title}: {done} of {total}{eta}{note}"

    def tick(done: int = 1, note: str = "") -> None:
        state["done"] = int(state["done"]) + done
        state["note"] = note or state["note"]
        now = time.monotonic()
        if now - started > quiet_s and (not state["spoke"] or now - float(state["last"]) > every_s):
            state.update(spoke=True, last=now)
            _say(line(now), end=False)

    del last
    yield tick
    if state["spoke"]:
        _say(line(time.monotonic()), end=True)


def _say(text: str, *, end: bool) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="\n" if end else "", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)
