"""One runner per run folder, and notebooks that never outlive it.

The runner holds a lock on `.lock` in the run folder; the system lets go of it however the process ends, SIGKILL
included. A notebook process looks at the lock every second, on the same machine or on another one that sees the
folder, and ends itself and everything it started when the lock is free. It also stops a kernel that would take the
last memory of the machine. The file system must support flock: local disks do, NFS from version 4, Lustre with
-o flock.
"""

from __future__ import annotations

import fcntl
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from flowstudy.study import StudyError

LOCK: Final = ".lock"
#: Least memory that stays free on the machine, as a share and in GiB; `FLOWSTUDY_MEMORY_GIB` limits a notebook further.
SPARE_SHARE: Final = 0.02
SPARE_GIB: Final = 0.25
_LOOK_EVERY_S: Final = 1.0
_GIB: Final = 2**30


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the lock of a run folder. Raises StudyError when another runner has it or the folder cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("a")
    except OSError as error:
        raise StudyError(
            f"run folder {folder}: expected one that can be written, got: {error.strerror}; RUN= names another"
        ) from None
    with lock:
        for attempt in range(3):  # a notebook that looks at the lock holds it for a moment
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if attempt == 2:
                    raise StudyError(
                        f"run {folder.name}: expected no other run in this folder, got one at work; "
                        "wait for it or use RUN=name"
                    ) from None
                time.sleep(0.1)
            except OSError as error:
                raise StudyError(
                    f"run folder {folder}: expected a file system with file locks, got: {error.strerror}; "
                    "use another folder, or mount it with locks"
                ) from None
        yield


def is_at_work(folder: Path) -> bool:
    """Whether a runner holds the lock of this run folder."""
    try:
        with (folder / LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def memory_limit_gib() -> float:
    """What `FLOWSTUDY_MEMORY_GIB` allows a notebook; infinite when it is not set. Raises StudyError for no number."""
    given = os.environ.get("FLOWSTUDY_MEMORY_GIB") or "inf"
    try:
        return float(given)
    except ValueError:
        raise StudyError(f"FLOWSTUDY_MEMORY_GIB: expected a number of GiB, as in 8, got {given!r}") from None


class Watch:
    """Looks after this process from a thread; `reason` says in words why it stopped a kernel, or is None.

    `folder` is the run whose runner must be alive; None watches the memory only.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self.reason: str | None = None
        self.limit_gib = memory_limit_gib()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: end(128 + number))
        threading.Thread(target=self._look, daemon=True, name="lifeline").start()

    def _look(self) -> None:
        while True:
            if self.folder is not None and not is_at_work(self.folder):
                end(137)
            self._look_at_memory()
            time.sleep(_LOOK_EVERY_S)

    def _look_at_memory(self) -> None:
        machine = psutil.virtual_memory()
        total, free = machine.total / _GIB, machine.available / _GIB
        used = sum(_resident_gib(process) for process in descendants())
        if used > self.limit_gib or (used > 1.0 and free < max(SPARE_GIB, SPARE_SHARE * total)):
            self.reason = (
                f"the kernel was stopped: it used {used:.1f} GiB of memory (limit {self.limit_gib:g} GiB) and "
                f"{free:.1f} of {total:.0f} GiB were left on this machine; use fewer examples or smaller batches"
            )
            kill(descendants())


def end(status: int) -> None:
    """End this process at once, and before it everything that it started."""
    kill(descendants())
    os._exit(status)


def kill(processes: list[psutil.Process]) -> None:
    """SIGKILL; processes that are gone already do not matter."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def descendants(of: int | None = None) -> list[psutil.Process]:
    """Every process below `of` (default: this one); none when that one is gone."""
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(of).children(recursive=True)
    return []


def _resident_gib(process: psutil.Process) -> float:
    with suppress(psutil.Error):
        return float(process.memory_info().rss / _GIB)
    return 0.0
