"""Append-only JSON Lines files that survive a kill: one writer, whole lines, fsync in a thread of its own.

A line cut short by a kill is dropped when the file is opened again. Two processes cannot write one journal. When the
disk is full, the lines that did not fit stay in memory, and `flush` raises JournalError naming the file.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from pydantic import ValidationError

from flowstudy.systems.records import Prediction
from flowstudy.systems.secrets import redact

#: Lines are made durable (fsync, against the loss of power) at most this often.
SYNC_S: Final = 0.5


class JournalError(OSError):
    """A journal that cannot be read or written; the message names the file and the remedy."""


def journal_file(folder: Path, system: str) -> Path:
    """The journal of a system in a folder; the name is made safe for a file."""
    safe = "".join(letter if letter.isalnum() or letter in "-_." else "-" for letter in system).strip(".")
    return folder / f"{safe or 'system'}.jsonl"


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
    """Appends records to one file. Use it as a context manager; `append` never waits for the disk to sync."""

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
        self._lock, self._dirty, self._closing = threading.Lock(), threading.Event(), threading.Event()
        self._unwritten: list[bytes] = []
        self._fault: OSError | None = None
        self._thread = threading.Thread(target=self._sync_forever, name=f"journal {self.path.name}", daemon=True)
        self._thread.start()

    def append(self, record: dict[str, Any]) -> None:
        """Write one record, which no kill of this process can take back; raises JournalError when an earlier one
        could not be written."""
        self._check()
        line = redact(json.dumps(record, ensure_ascii=False, allow_nan=False)).encode(errors="replace") + b"\n"
        with self._lock:
            self._write(line)
        self._dirty.set()

    def flush(self) -> None:
        """Make everything appended durable, and try again what could not be written."""
        with self._lock:
            self._fault, again, self._unwritten = None, self._unwritten, []
            for line in again:
                self._write(line)
        with contextlib.suppress(OSError):
            os.fsync(self._file)
        self._check()

    def close(self) -> None:
        """Flush and let go of the file. What a full disk refused is saved in the temporary folder, and said."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._dirty.set()
        self._thread.join()
        with contextlib.suppress(JournalError):
            self.flush()
        os.close(self._file)
        if self._fault is not None and self._unwritten:
            raise self._full(self._fault, f" ({_save_elsewhere(self.path, self._unwritten)})") from None

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

    def _sync_forever(self) -> None:
        """Make lines durable at most every SYNC_S seconds, away from the thread that appends."""
        while not self._closing.is_set():
            self._dirty.wait()
            self._dirty.clear()
            with contextlib.suppress(OSError):
                os.fsync(self._file)
            self._closing.wait(SYNC_S)

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
