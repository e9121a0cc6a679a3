"""Append-only JSON Lines files that survive a kill: one writer thread, whole lines, fsync off the hot path.

A line cut short by a kill is dropped when the file is opened again. Two processes cannot write one journal. When the
disk is full, the lines that did not fit stay in memory, and `flush` raises JournalError naming the file.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import queue
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from pydantic import ValidationError

from flowstudy.systems.records import Prediction
from flowstudy.systems.secrets import redact

#: The writer thread waits at most this long before it makes lines durable (fsync).
SYNC_S: Final = 0.5


class JournalError(OSError):
    """A journal that cannot be read or written; the message names the file and the remedy."""


def read_lines(path: str | Path, *, with_place: bool = False) -> Iterator[dict[str, Any]]:
    """The records of a journal in file order; none when there is no file. A torn last line is left out.

    `with_place` adds the byte at which each line starts as `_place`.

    Raises JournalError naming the line when any other line is not a JSON object.
    """
    path = Path(path)
    if not path.exists():
        return
    place = 0
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            record = _load(line)
            if record is not None:
                yield {**record, "_place": place} if with_place else record
            elif line.endswith(b"\n"):
                raise JournalError(
                    f"journal {path}:{number}: expected one JSON object per line, got {line[:60]!r}; "
                    "delete that line, and what it held is computed again"
                )
            place += len(line)


def _load(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def read_predictions(path: str | Path, *, latest: bool = True) -> list[Prediction]:
    """Predictions of a journal; with `latest` the last one of each (system, example, repeat), in order of first seen.

    Raises JournalError naming the line that holds no prediction.
    """
    found: dict[tuple[str, str, int, int], Prediction] = {}
    for number, record in enumerate(read_lines(path), start=1):
        try:
            one = Prediction.model_validate(record)
        except ValidationError as error:
            raise JournalError(f"journal {path}: record {number}: expected a prediction, got: {error}") from None
        found[one.system, one.example, one.repeat, 0 if latest else number] = one
    return list(found.values())


class Journal:
    """Appends records to one file. Use it as a context manager; `append` never blocks on the disk."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise JournalError(
                f"journal {self.path}: expected one writer, got a second; another run is writing it: "
                "wait for that run, stop it, or choose another run folder"
            ) from None
        _drop_torn_line(self._file)
        self._end = os.fstat(self._file).st_size
        self._queue: queue.SimpleQueue[str | threading.Event | None] = queue.SimpleQueue()
        self._unwritten: list[bytes] = []
        self._fault: OSError | None = None
        self._thread = threading.Thread(target=self._write_forever, name=f"journal {self.path.name}", daemon=True)
        self._thread.start()

    def append(self, record: dict[str, Any]) -> None:
        """Queue one record; raises JournalError when an earlier one could not be written."""
        self._check()
        self._queue.put(json.dumps(record, ensure_ascii=False, allow_nan=False))

    def flush(self) -> None:
        """Wait until everything appended is in the file and durable."""
        done = threading.Event()
        self._queue.put(done)
        done.wait()
        self._check()

    def close(self) -> None:
        """Flush and let go of the file. What a full disk refused is saved in the temporary folder, and said."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
            fault, lines = self._fault, self._unwritten
            os.close(self._file)
            if fault is not None and lines:
                raise self._full(fault, f" ({_save_elsewhere(self.path, lines)})") from None

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            self.close()
        else:
            with contextlib.suppress(JournalError):
                self.close()

    def _check(self) -> None:
        if self._fault is not None:
            raise self._full(self._fault, "") from None

    def _full(self, fault: OSError, more: str) -> JournalError:
        return JournalError(
            f"journal {self.path}: cannot write, {fault.strerror or fault}; make room on that disk and run the same "
            f"command again: what is in the file is kept and not paid for again{more}"
        )

    def _write_forever(self) -> None:
        dirty = False
        while True:
            try:
                item = self._queue.get(timeout=SYNC_S if dirty else None)
            except queue.Empty:
                with contextlib.suppress(OSError):
                    os.fsync(self._file)
                dirty = False
                continue
            if isinstance(item, str):
                self._write(redact(item).encode(errors="replace") + b"\n")
                dirty = True
                continue
            if self._unwritten:
                self._fault, again, self._unwritten = None, self._unwritten, []
                for line in again:
                    self._write(line)
            with contextlib.suppress(OSError):
                os.fsync(self._file)
            dirty = False
            if item is None:
                return
            item.set()

    def _write(self, line: bytes) -> None:
        if self._fault is None:
            try:
                written = 0
                while written < len(line):
                    written += os.write(self._file, line[written:])
                self._end += len(line)
                return
            except OSError as error:
                self._fault = error
                with contextlib.suppress(OSError):
                    os.ftruncate(self._file, self._end)
        self._unwritten.append(line)


def _drop_torn_line(file: int) -> None:
    """Cut off what follows the last line end, unless it is a whole record; then end it."""
    size, tail, place = os.fstat(file).st_size, b"", os.fstat(file).st_size
    while place > 0 and b"\n" not in tail:
        step = min(65536, place)
        place -= step
        tail = os.pread(file, step, place) + tail
    torn = tail.rpartition(b"\n")[2]
    if torn and _load(torn) is not None:
        os.write(file, b"\n")
    elif torn:
        os.ftruncate(file, size - len(torn))


def _save_elsewhere(path: Path, lines: list[bytes]) -> str:
    try:
        handle, name = tempfile.mkstemp(prefix=f"{path.stem}-", suffix=".jsonl")
        with os.fdopen(handle, "wb") as file:
            file.writelines(lines)
    except OSError:
        return f"the {len(lines)} answers that did not fit are lost: no other disk has room"
    return f"the {len(lines)} answers that did not fit are in {name}: append them with `cat {name} >> {path}`"
