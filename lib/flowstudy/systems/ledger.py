"""Money that several processes spend from one limit: set aside before a call, settled after it, in one locked file.

`ledger.jsonl` has one line per step of any process: its holder, what it set aside (or gave back) and what it spent.
Every step reads what others added and appends its own line under an exclusive lock, so no two processes, on one host
or on several that share the folder, can promise the same money. A holder keeps a lock on a file of its own; when the
file is free and money is still set aside for it, the process was killed with calls in flight: they count as spent.

It needs a file system with working flock (local disks; NFS from version 4; Lustre and GPFS mounted with locks).
"""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import secrets
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

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

    def settle(self, held_usd: float, spent_usd: float) -> None:
        """Give back what was set aside and book what was spent."""
        with self._locked():
            self._append(self.name, -held_usd, spent_usd)

    def close(self) -> None:
        """Let go; what is still set aside counts as spent from now on."""
        self._alive.close()
        if self._held[self.name] <= _NOTHING_USD:
            self._holder(self.name).unlink(missing_ok=True)

    def _fits(self, usd: float) -> bool:
        return self.spent_usd + self.held_usd + usd <= self.max_usd + _NOTHING_USD

    def _book_the_dead(self) -> None:
        for name, usd in list(self._held.items()):
            if usd > _NOTHING_USD and name != self.name and self._is_dead(name):
                self._append(name, -usd, usd)
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
            self.spent_usd += step["spent_usd"]

    def _append(self, holder: str, held_usd: float, spent_usd: float) -> None:
        step = {"holder": holder, "held_usd": held_usd, "spent_usd": spent_usd}
        line = json.dumps(step).encode() + b"\n"
        self._file.write(line)
        self._file.flush()
        self._read += len(line)
        self._count(line)


def spent_usd(path: Path) -> float:
    """What a ledger says was spent so far; 0 where there is none. Takes no lock and changes nothing."""
    lines = path.read_bytes().splitlines() if path.is_file() else []
    return sum(step["spent_usd"] for line in lines if (step := _load(line)) is not None)


def _load(line: bytes) -> dict[str, Any] | None:
    """One step; None for a line cut short by a kill, whose money stays set aside for a dead holder or was not sent."""
    try:
        step = json.loads(line)
    except ValueError:
        return None
    return step if isinstance(step, dict) else None
