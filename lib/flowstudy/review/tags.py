"""Where annotators' verdicts live: an append-only table in SQLite, or behind any SQLAlchemy URL.

Nothing is ever changed or deleted. A verdict on the same prediction by the same annotator supersedes the earlier
one, an `undo` row takes the row it names back. So two tabs, or three people, never lose each other's work, and
every state of the past can be read again.
"""

from __future__ import annotations

import json
import operator
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

TAGS_SCHEMA: Final = "flowstudy/tags/1"
#: draft: clicked, not yet confirmed. done: confirmed. skipped: looked at, no verdict. undo: takes `supersedes` back.
State = Literal["draft", "done", "skipped", "undo"]
_WAIT_S: Final = 30
_LISTS: Final = ("categories", "proposed")


class TagStoreError(RuntimeError):
    """A tag store that cannot be read or written; the message names it and what to do."""


class Tag(BaseModel):
    """One annotator's verdict on one prediction: every error category that applies (none: the answer is right)."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(default_factory=lambda: uuid.uuid4().hex, min_length=1, max_length=64)
    annotator: str = Field(min_length=1, max_length=200)
    system: str = Field(min_length=1)
    example: str = Field(min_length=1)
    repeat: int = 0
    state: State = "done"
    categories: list[str] = Field(default_factory=list)
    proposed: list[str] = Field(default_factory=list)
    note: str = ""
    seconds: float | None = None
    supersedes: str | None = None
    created_at: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="milliseconds"))

    @property
    def place(self) -> tuple[str, str, int]:
        """The prediction that is tagged."""
        return self.system, self.example, self.repeat


class TagStore:
    """Tags in a database. `where` is a file (SQLite) or an SQLAlchemy URL such as `postgresql+psycopg://host/db`.

    Opening creates the table. A SQLite file is copied to `<name>.backup` when it is opened for writing, and a
    damaged one is moved aside (`<name>.damaged-<time>`) with a TagStoreError that names both: nothing is deleted.
    """

    def __init__(self, where: str | Path, *, read_only: bool = False) -> None:
        import sqlalchemy as sa

        self.where = str(where)
        self.read_only = read_only
        self._file = None if "://" in self.where else Path(self.where)
        if self._file is not None:
            _look_after(self._file, read_only)
        url = self.where if self._file is None else f"sqlite:///{self._file}"
        options = {"connect_args": {"timeout": _WAIT_S}} if url.startswith("sqlite") else {"pool_pre_ping": True}
        with self._guard():
            self._engine = sa.create_engine(url, **options)
        if self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _pragmas_read_only if read_only else _pragmas)
        self._table = _table(sa.MetaData())
        if not read_only:
            with self._guard(), self._engine.begin() as connection:
                connection.execute(sa.schema.CreateTable(self._table, if_not_exists=True))
                for index in self._table.indexes:
                    connection.execute(sa.schema.CreateIndex(index, if_not_exists=True))

    def add(self, *tags: Tag) -> None:
        """Append tags in one transaction; on return they are on disk. A tag whose id is there already is left alone."""
        import sqlalchemy as sa

        if self.read_only:
            raise TagStoreError(f"tag store {self.where}: expected to write, got a read-only one; open it again")
        with self._guard(), self._engine.begin() as connection:
            ids = [tag.id for tag in tags]
            column = self._table.c.id
            known: set[str] = set()
            for start in range(0, len(ids), 500):
                known |= set(connection.scalars(sa.select(column).where(column.in_(ids[start : start + 500]))))
            rows = {tag.id: _row(tag) for tag in tags if tag.id not in known}
            if rows:
                connection.execute(self._table.insert(), list(rows.values()))

    def history(self) -> list[Tag]:
        """Every row ever written, oldest first."""
        return [_tag(row) for row in self._rows()]

    def current(self) -> list[Tag]:
        """The verdicts that stand: one per annotator and prediction, in the order they were given."""
        return [_tag(row) for row in standing(self._rows())]

    def table(self) -> pd.DataFrame:
        """`current()` as a table, one row per verdict, in the fields of `Tag` without id and supersedes."""
        columns = [name for name in Tag.model_fields if name not in ("id", "supersedes")]
        pick = operator.attrgetter(*columns)
        table = pd.DataFrame([pick(row) for row in standing(self._rows())], columns=columns)
        return table.assign(**{name: table[name].map(json.loads) for name in _LISTS})

    def verdict(self, annotator: str, place: tuple[str, str, int]) -> Tag | None:
        """What stands of one annotator on one prediction (system, example, repeat); None when there is nothing."""
        columns = self._table.c
        system, example, repeat = place
        mine = (columns.annotator == annotator) & (columns.system == system)
        found = standing(self._rows(mine & (columns.example == example) & (columns.repeat == repeat)))
        return _tag(found[0]) if found else None

    def _rows(self, where: Any = None) -> list[Any]:
        import sqlalchemy as sa

        query = sa.select(self._table).order_by(self._table.c.seq)
        with self._guard(), self._engine.connect() as connection:
            return list(connection.execute(query if where is None else query.where(where)))

    def close(self) -> None:
        """Give the connections back; a SQLite file folds its write-ahead log in."""
        self._engine.dispose()

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Database errors in words that name the store and the way out."""
        import sqlalchemy.exc as exc

        try:
            yield
        except (exc.SQLAlchemyError, ModuleNotFoundError) as error:
            raise TagStoreError(f"tag store {_no_secret(self.where)}: {_advice(error)}") from None


AnyTag = TypeVar("AnyTag", bound=Any)


def standing(history: Iterable[AnyTag]) -> list[AnyTag]:
    """What stands after `history` (oldest first): per annotator and prediction the latest verdict not undone.

    Takes tags, or database rows with the same fields.
    """
    stacks: dict[tuple[str, str, str, int], list[AnyTag]] = {}
    for tag in history:
        stack = stacks.setdefault((tag.annotator, tag.system, tag.example, tag.repeat), [])
        if tag.state == "undo":
            stack[:] = [kept for kept in stack if kept.id != tag.supersedes]
        else:
            stack.append(tag)
    return sorted((stack[-1] for stack in stacks.values() if stack), key=lambda tag: tag.created_at)


def orphans(tags: Iterable[Tag], places: Iterable[tuple[str, str, int]]) -> list[Tag]:
    """Tags whose prediction is not among `places` (it was made again, or another run): kept, not counted."""
    known = set(places)
    return [tag for tag in tags if tag.place not in known]


def _table(metadata: Any) -> Any:
    import sqlalchemy as sa

    return sa.Table(
        "tags",
        metadata,
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("schema", "annotator", "system", "example")),
        sa.Column("repeat", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        *(sa.Column(name, sa.Text, nullable=False, comment="JSON list") for name in _LISTS),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("seconds", sa.Float),
        sa.Column("supersedes", sa.String(64)),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Index("tags_of_a_prediction", "example", "system", "annotator"),
    )


def _row(tag: Tag) -> dict[str, Any]:
    lists = {name: json.dumps(getattr(tag, name), ensure_ascii=False) for name in _LISTS}
    return {"schema": TAGS_SCHEMA, **tag.model_dump(), **lists}


def _tag(row: Any) -> Tag:
    lists = {name: json.loads(getattr(row, name)) for name in _LISTS}
    return Tag.model_validate({name: getattr(row, name) for name in Tag.model_fields} | lists)


def _pragmas(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={_WAIT_S * 1000}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _pragmas_read_only(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    for pragma in ("query_only=ON", f"busy_timeout={_WAIT_S * 1000}"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _look_after(path: Path, read_only: bool) -> None:
    """A damaged file is moved aside, a sound one backed up, before anything is written."""
    if not path.exists():
        if read_only:
            raise TagStoreError(f"tag store {path}: expected a file, got none; tag something first (notebook 05)")
        path.parent.mkdir(parents=True, exist_ok=True)
        return
    fault = _fault(path)
    if fault and not read_only:
        aside = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
        path.replace(aside)
        backup = path.with_name(f"{path.name}.backup")
        way_out = f"copy {backup} to {path}" if backup.exists() else "open the store again to start an empty one"
        what = f"expected a SQLite database, got {fault}"
        raise TagStoreError(f"tag store {path}: {what}; moved to {aside.name}; {way_out}")
    if fault:
        raise TagStoreError(f"tag store {path}: expected a SQLite database, got {fault}; restore its .backup")
    if not read_only and path.stat().st_size:
        _back_up(path)


def _fault(path: Path) -> str:
    if not path.stat().st_size:
        return ""
    try:
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=_WAIT_S) as connection:
            verdict = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
        connection.close()
    except sqlite3.OperationalError:
        return ""  # locked or not readable: not damage; opening it says so in its own words
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if verdict == "ok" else verdict


def _back_up(path: Path) -> None:
    """A consistent copy through SQLite's own backup, complete before it replaces the previous one."""
    backup = path.with_name(f"{path.name}.backup")
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    try:
        with sqlite3.connect(path, timeout=_WAIT_S) as source, sqlite3.connect(part) as copy:
            source.backup(copy)
        source.close()
        copy.close()
        shutil.move(part, backup)
    except (sqlite3.Error, OSError):
        part.unlink(missing_ok=True)  # read-only folder or locked file: writing itself will say so


def _advice(error: Exception) -> str:
    what = str(getattr(error, "orig", None) or error).splitlines()[0]
    hints = {
        "locked": f"expected to write within {_WAIT_S} s, got a lock; close the program that holds it, nothing is lost",
        "readonly": "expected to write, got a read-only file or folder; change its permissions or copy it elsewhere",
        "unable to open": "expected a file that can be opened, got none; check the folder and its permissions",
        "full": "expected room on the disk, got none; free some space, what is stored stays",
    }
    known = next((hint for word, hint in hints.items() if word in what.lower()), None)
    return f"{known} ({what})" if known else f"expected a working database, got: {what}"


def _no_secret(where: str) -> str:
    import re

    return re.sub(r"(//[^/:@]*:)[^@]*@", r"\1***@", where)
