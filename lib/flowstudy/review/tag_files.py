"""Care for a SQLite file of tags: damage is moved aside, a copy is kept, errors are told in words.

Nothing is ever deleted. `<name>.backup` is the state when the store was last opened for writing,
`<name>.damaged-<time>` a file that could not be read.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
import uuid
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

WAIT_S: Final = 30


class TagStoreError(OSError):
    """A tag store that cannot be read or written; the message names it and what to do."""


def prepare_file(path: Path, *, read_only: bool) -> None:
    """Before a file is opened: a damaged one is moved aside, a sound one backed up. Raises TagStoreError."""
    backup = path.with_name(f"{path.name}.backup")
    if not path.exists():
        if read_only:
            raise TagStoreError(f"tag store {path}: expected a file, got none; tag something first (notebook 05)")
        path.parent.mkdir(parents=True, exist_ok=True)
        return
    fault = _fault(path, backup)
    if fault:
        what = f"tag store {path}: expected a SQLite database, got {fault}"
        way_out = f"copy {backup} to {path}" if backup.exists() else "open the store again to start an empty one"
        if read_only:
            raise TagStoreError(f"{what}; {way_out}" if backup.exists() else f"{what}; restore it from a copy")
        raise TagStoreError(f"{what}; moved to {_move_aside(path)}; {way_out}")
    if not read_only and path.stat().st_size:
        _copy(path, backup)


def file_url(path: Path, *, read_only: bool) -> Any:
    """The SQLAlchemy URL of a file. Read only, a folder where SQLite cannot keep its lock file is read as it lies."""
    from sqlalchemy import URL

    if not read_only:
        return URL.create("sqlite", database=str(path))
    beside = [path.with_name(f"{path.name}-{kind}") for kind in ("wal", "shm")]
    still = not os.access(path.parent, os.W_OK) and not any(p.exists() and p.stat().st_size for p in beside)
    query = {"mode": "ro", "uri": "true", **({"immutable": "1"} if still else {})}
    return URL.create("sqlite", database=f"file:{quote(str(path.resolve()))}", query=query)


def advice(error: Exception) -> str:
    """What a database error means, and the way out."""
    what = str(getattr(error, "orig", None) or error).splitlines()[0]
    hints = {
        "locked": f"expected to write within {WAIT_S} s, got a lock; close the program that holds it, nothing is lost",
        "readonly": "expected to write, got a read-only file or folder; change its permissions or copy it elsewhere",
        "unable to open": "expected a file that can be opened, got none; check the folder and its permissions",
        "full": "expected room on the disk, got none; free some space, what is stored stays",
    }
    known = next((hint for word, hint in hints.items() if word in what.lower()), None)
    return f"{known} ({what})" if known else f"expected a working database, got: {what}"


def without_password(where: str) -> str:
    """A URL that can be shown."""
    return re.sub(r"(//[^/:@]*:)[^@]*@", r"\1***@", where)


def _fault(path: Path, backup: Path) -> str:
    """What is wrong with a file; empty when nothing is. An empty file is a new store, unless tags were there before."""
    if not path.stat().st_size:
        return "an empty file where tags were before" if backup.exists() else ""
    try:
        verdict = str(_ask(path, "PRAGMA quick_check(1)"))
    except sqlite3.OperationalError:
        return ""  # locked or not readable: not damage; opening it says so in its own words
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if verdict == "ok" else verdict


def _ask(path: Path, question: str) -> object:
    connection = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=WAIT_S)
    try:
        return connection.execute(question).fetchone()[0]
    finally:
        connection.close()


def _copy(path: Path, target: Path) -> None:
    """A consistent copy through SQLite's own backup, complete before it replaces the previous one."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        source, copy = sqlite3.connect(path, timeout=WAIT_S), sqlite3.connect(part)
        source.backup(copy)
        source.close()
        copy.close()
        part.replace(target)
    except (sqlite3.Error, OSError):
        part.unlink(missing_ok=True)  # read-only folder or locked file: writing itself will say so


def _move_aside(path: Path) -> str:
    """Move a damaged file and its write-ahead log, which would otherwise be played into the restored one."""
    aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
    for suffix in ("-wal", "-shm", ""):
        old = path.with_name(path.name + suffix)
        if old.exists():
            old.replace(aside.with_name(aside.name + suffix))
    return aside.name
