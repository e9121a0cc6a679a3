"""One progress line for long work: rewritten in place in a terminal, a plain line every few seconds elsewhere.

Inside a run the lines go to the run's log (`FLOWSTUDY_LOG`), which the runner shows, and not into the notebook.
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

#: Control characters other than tab and line feed, and marks that change the writing direction.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


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
    count, spoke, words = 0, False, ""

    def line(now: float) -> str:
        done, spent = count, now - started
        left = spent / done * (total - done) if done else float("nan")
        eta = f", about {left:.0f} s left" if done and done < total else f" in {spent:.0f} s"
        return f"{title}: {done} of {total}{eta}{f' ({words})' if words else ''}"

    def tick(done: int = 1, note: str = "") -> None:
        nonlocal count, spoke, last, words
        count, words, now = count + done, note or words, time.monotonic()
        if now - started > quiet_s and (not spoke or now - last > every_s):
            spoke, last = True, now
            _say(line(now), end=False)

    yield tick
    if spoke:
        _say(line(time.monotonic()), end=True)


def say(*values: object, **options: Any) -> None:
    """`print`, with control codes and marks of writing direction shown instead of obeyed: names and texts come from
    anywhere."""
    print(*(_visible(str(value)) for value in values), **options)


def _visible(text: str) -> str:
    """The text with such characters as escapes.

    >>> print(_visible("a" + chr(27) + "[2Jb"))
    a\\x1b[2Jb
    """
    return _CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _say(text: str, *, end: bool) -> None:
    log, text = os.environ.get("FLOWSTUDY_LOG"), _visible(text)
    if log:
        with Path(log).open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%H:%M:%S')}   {text}\n")
    elif sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="\n" if end else "", file=sys.stderr, flush=True)
    else:
        print(text, file=sys.stderr, flush=True)
