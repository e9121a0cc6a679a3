"""Money that several processes spend from one limit: set aside before a call, settled after it, in one locked file.

`ledger.jsonl` has one line per step of any process: its holder, what it set aside (or gave back) and what it spent.
Every step reads what others added and appends its own line under an exclusive lock, so no two processes, on one host
or on several that share the folder, can promise the same money. A line of its own precedes each request body. A holder
keeps a lock on a file of its own; when the file is free and money is still set aside for it, the process was killed
with calls in flight: what had gone out counts as spent, the rest is given back. A correction is a line with a reason.

It needs a file system with working flock (local disks; NFS from version 4; Lustre and GPFS mounted with locks).
"""

from __future__ import annotations

import atexit
import fcntl
import json
import math
import os
import secrets
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from flowstudy.systems.secrets import redact

#: Amounts below this are rounding.
_NOTHING_USD: Final = 1e-9


class LedgerError(OSError):
    """A ledger that cannot be read or locked; the message names the file and the remedy."""


class Ledger:
    """At most `max_usd` US dollars over everybody who opens this `path`, over all runs until the file is deleted."""

    def __init__(self, path: str | Path, max_usd: float) -> None:
        self.path, self.max_usd = Path(path), max_usd
        self.name = f"{os.uname().nodename}-{os.getpid()}-{secrets.token_hex(4)}"
        self.spent_usd = 0.0
        self._held: defaultdict[str, float] = defaultdict(float)
        self._sent: defaultdict[str, float] = defaultdict(float)
        self._read = 0
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._alive = self._holder(self.name).open("w")
        fcntl.flock(self._alive, fcntl.LOCK_EX)
        atexit.register(self.close)

    @property
    def held_usd(self) -> float:
        """What is set aside by all holders, as of the last step."""
        return sum(usd for usd in self._held.values() if usd > _NOTHING_USD)

    def reserve(self, usd: float) -> bool:
        """Set `usd` aside; False when it does not fit beside what is spent and set aside."""
        with self._locked():
            if not self._fits(usd):
                self._book_the_dead()
            if not self._fits(usd):
                return False
            self._append(self.name, usd, 0.0)
        return True

    def sent(self, usd: float) -> None:
        """Note that a request for which `usd` is set aside goes out now."""
        with self._locked():
            self._append(self.name, 0.0, 0.0, usd)

    def settle(self, held_usd: float, spent_usd: float, sent_usd: float | None = None) -> None:
        """Give back what was set aside, and of it noted as sent (None: all of it), and book what was spent."""
        with self._locked():
            self._append(self.name, -held_usd, spent_usd, -held_usd if sent_usd is None else -sent_usd)

    def correct(self, spent_usd: float, reason: str) -> None:
        """Say what was really spent so far, in US dollars, and why."""
        with self._locked():
            self._book_the_dead()
            at = datetime.now(UTC).isoformat(timespec="seconds")
            self._append(self.name, 0.0, spent_usd - self.spent_usd, reason=redact(reason), at=at)

    def close(self) -> None:
        """Let go; what had gone out and is still set aside counts as spent from now on."""
        self._alive.close()
        if self._held[self.name] <= _NOTHING_USD:
            self._holder(self.name).unlink(missing_ok=True)

    def _fits(self, usd: float) -> bool:
        return self.spent_usd + self.held_usd + usd <= self.max_usd + _NOTHING_USD

    def _book_the_dead(self) -> None:
        for name, usd in list(self._held.items()):
            if usd > _NOTHING_USD and name != self.name and self._is_dead(name):
                gone = min(usd, max(0.0, self._sent[name]))
                self._append(name, -usd, gone, -self._sent[name])
                self._holder(name).unlink(missing_ok=True)

    def _is_dead(self, name: str) -> bool:
        try:
            with self._holder(name).open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except FileNotFoundError:
            return True
        return True

    def _holder(self, name: str) -> Path:
        return self.path.with_name(f".{self.path.stem}-{name}")

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with self.path.open("a+b") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX)
            except OSError as error:
                raise LedgerError(
                    f"ledger {self.path}: expected a file system with file locks, got: {error.strerror}; "
                    "put the run folder on another one"
                ) from None
            self._file = file
            self._catch_up()
            yield

    def _catch_up(self) -> None:
        """Read what others added; a line cut short by a kill is ended, so that the next one stands alone."""
        self._file.seek(self._read)
        added = self._file.read()
        if added and not added.endswith(b"\n"):
            self._file.write(b"\n")
            self._file.flush()
            added += b"\n"
        for line in added.splitlines():
            self._count(line)
        self._read += len(added)

    def _count(self, line: bytes) -> None:
        step = _load(line)
        if step is not None:
            self._held[step["holder"]] += step["held_usd"]
            self._sent[step["holder"]] += step.get("sent_usd", step["held_usd"])
            self.spent_usd += step["spent_usd"]

    def _append(self, holder: str, held_usd: float, spent_usd: float, sent_usd: float = 0.0, **more: str) -> None:
        step = {"holder": holder, "held_usd": held_usd, "spent_usd": spent_usd, "sent_usd": sent_usd, **more}
        line = json.dumps(step).encode() + b"\n"
        self._file.write(line)
        self._file.flush()
        self._read += len(line)
        self._count(line)


def spent_usd(path: Path) -> float:
    """What a ledger says was spent so far; 0 where there is none. Takes no lock and changes nothing."""
    return sum(step["spent_usd"] for step in _steps(path))


def account(path: Path) -> str:
    """A ledger in words: spent and set aside in US dollars, and every correction with its time and reason."""
    steps = _steps(path)
    held = sum(step["held_usd"] for step in steps)
    lines = [f"ledger {path}: {spent_usd(path):.4f} USD spent, {max(0.0, held):.4f} USD set aside for calls in flight"]
    lines += [f"  {step['at']} corrected by {step['spent_usd']:+.4f} USD: {step['reason']}"
              for step in steps if "reason" in step]  # fmt: skip
    return "\n".join(lines)


def correct(path: Path, spent_usd: float, reason: str) -> None:
    """Make a ledger say that `spent_usd` US dollars are spent so far, with a reason that is kept.

    Raises ValueError for an amount below 0, without a reason, or without a ledger.
    """
    if not 0 <= spent_usd < math.inf or not reason.strip() or not path.is_file():
        raise ValueError(
            f"ledger {path}: expected a ledger, an amount of 0 or more and a reason, got {spent_usd} and "
            f"{redact(reason)!r}; take the amount from the page on which the provider says what it charged"
        )
    ledger = Ledger(path, math.inf)
    ledger.correct(spent_usd, reason.strip())
    ledger.close()


def _steps(path: Path) -> list[dict[str, Any]]:
    lines = path.read_bytes().splitlines() if path.is_file() else []
    return [step for line in lines if (step := _load(line)) is not None]


def _load(line: bytes) -> dict[str, Any] | None:
    """One step; None for a line cut short by a kill, whose money stays set aside for a dead holder or was not sent."""
    try:
        step = json.loads(line)
    except ValueError:
        return None
    return step if isinstance(step, dict) else None
