"""Tables of a run on disk: Parquet with a `flowstudy.schema` entry in the file's metadata, written atomically."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Final

import pandas as pd

_KEY: Final = b"flowstudy.schema"


class TableError(ValueError):
    """A table file that is missing, damaged or of another schema; the message names the file and what to do."""


def save_table(table: pd.DataFrame, path: str | Path, *, schema: str) -> Path:
    """Write `table` so that a reader sees the old file or the whole new one, never a half; returns the path."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), _KEY: schema.encode()})
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            pq.write_table(arrow, file)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
    return path


def load_table(path: str | Path, *, schema: str) -> pd.DataFrame:
    """Read what `save_table` wrote. Raises TableError naming the file when it is absent, damaged or another schema."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    try:
        arrow = pq.read_table(path)
    except FileNotFoundError:
        raise TableError(f"table {path}: expected a file, got none; run the notebook that writes it first") from None
    except (pa.ArrowInvalid, OSError) as error:
        raise TableError(f"table {path}: expected Parquet, got {error}; delete it and score again") from None
    found = (arrow.schema.metadata or {}).get(_KEY, b"none").decode()
    if found != schema:
        raise TableError(f"table {path}: expected schema {schema!r}, got {found!r}; score again with this version")
    return arrow.to_pandas()
