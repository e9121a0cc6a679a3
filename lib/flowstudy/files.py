"""Files that appear whole or stay as they were, and hashes of content."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import pandas as pd

#: How a formula begins; what is a number begins none.
_FORMULA: Final = re.compile(r"(?![+-]?[\d.,]+(?:[eE][+-]?\d+)?%?\Z)'*[=+\-@\t\r]")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A file to write instead of `path`, in its folder, which is made. It takes the place of `path` when the block ends
    and is deleted when that raises; then `path` is what it was."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.chmod(0o644)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_bytes(path: str | Path, data: bytes) -> Path:
    """Write atomically and durably, folders included; the same content leaves the file and its time untouched.

    Raises OSError with the name of `path`; then the file is what it was.
    """
    path = Path(path)
    if path.is_file() and path.read_bytes() == data:
        return path
    try:
        with replacing(path) as draft:
            draft.write_bytes(data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    return path


def write_text(path: str | Path, text: str) -> Path:
    """`write_bytes` of a text in UTF-8, line ends as they are."""
    return write_bytes(path, text.encode())


def write_json(path: str | Path, value: Any) -> Path:
    """`write_text` of JSON with sorted keys, so that equal values give equal files."""
    return write_text(path, json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, default=str) + "\n")


def defused(value: Any) -> Any:
    """A value for a cell of a CSV file: text that a spreadsheet would run as a formula gets an apostrophe in front
    (OWASP, CSV Injection); numbers stay.

    >>> defused("=cmd|' /C calc'!A0"), defused("-0.5"), defused(-0.5), fused(defused("=a"))
    ("'=cmd|' /C calc'!A0", '-0.5', -0.5, '=a')
    """
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def fused(text: str) -> str:
    """What `defused` was given."""
    return text[1:] if text[:1] == "'" and _FORMULA.match(text[1:]) else text


def write_csv(path: str | Path, table: pd.DataFrame) -> Path:
    """`write_text` of a table without its index, its texts `defused`."""
    safe = table.map(defused).rename(columns=defused)
    return write_text(path, safe.to_csv(index=False, lineterminator="\n"))


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_json(value: Any) -> str:
    """SHA-256 of a value as JSON with sorted keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
