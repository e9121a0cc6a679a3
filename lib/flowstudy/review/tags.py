"""Where annotators' verdicts live: an append-only table in SQLite, or behind any SQLAlchemy URL.

Nothing is ever changed or deleted. A verdict on the same prediction by the same annotator supersedes the earlier
one, an `undo` row takes the row it names back. So two tabs, or three people, never lose each other's work, and
every state of the past can be read again.
"""

from __future__ import annotations

import json
import operator
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from flowstudy.review.tag_files import WAIT_S, TagStoreError, advice, file_url, prepare_file, without_password
from flowstudy.review.tag_schema import LISTS, TAGS_SCHEMA, OtherVersionError, create_table, holds_tags, tag_table

__all__ = ["LONGEST_NAME", "Role", "State", "Tag", "TagStore", "TagStoreError", "standing"]

#: draft: clicked, not yet confirmed. done: confirmed. skipped: looked at, no verdict. undo: takes `supersedes` back.
State = Literal["draft", "done", "skipped", "undo"]
#: annotator: an opinion of one's own. adjudicator: the last word where annotators differ; it is kept beside theirs.
Role = Literal["annotator", "adjudicator"]
LONGEST_NAME: Final = 200


class Tag(BaseModel):
    """One person's verdict on one prediction: every error category that applies (none: the answer is right).

    `answer` is the fingerprint of the prediction that was judged (`analysis.verdicts.fingerprint`): when the system
    answers again and differently, the tag no longer speaks of what is there. None where it is not known.
    """

    model_config = ConfigDict(extra="forbid")

    id: str = Field(default_factory=lambda: uuid.uuid4().hex, min_length=1, max_length=64)
    annotator: str = Field(min_length=1, max_length=LONGEST_NAME)
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
    role: Role = "annotator"
    answer: str | None = None

    @property
    def place(self) -> tuple[str, str, int]:
        """The prediction that is tagged."""
        return self.system, self.example, self.repeat


class TagStore:
    """Tags in a database. `where` is a file (SQLite) or an SQLAlchemy URL such as `postgresql+psycopg://host/db`.

    Opening creates the table. A SQLite file is looked after first (see `tag_files`). Every trouble is a TagStoreError
    that says what to do; nothing is deleted.
    """

    def __init__(self, where: str | Path, *, read_only: bool = False) -> None:
        import sqlalchemy as sa

        self.where, self.read_only = str(where), read_only
        url: Any = self.where
        if "://" not in self.where:
            prepare_file(Path(self.where), read_only=read_only)
            url = file_url(Path(self.where), read_only=read_only)
        with self._guard():
            self._engine = sa.create_engine(url, pool_pre_ping="://" in self.where)
            if self._engine.dialect.name == "sqlite":
                pragmas = ["query_only=ON"] if read_only else ["journal_mode=WAL", "synchronous=FULL"]
                sa.event.listen(self._engine, "connect", lambda connection, _record: _set(connection, pragmas))
            self._table = tag_table()
            if not read_only:
                with self._engine.begin() as connection:
                    create_table(connection)
            with self._engine.connect() as connection:
                self._has_table = holds_tags(connection)

    def add(self, *tags: Tag) -> None:
        """Append tags in one transaction; on return they are on disk. A tag that is there already is left alone; one
        with a known id and another verdict, not older, is appended as a correction under an id of its own."""
        import sqlalchemy as sa

        if self.read_only:
            raise TagStoreError(f"tag store {self.where}: expected to write, got a read-only one; open it again")
        with self._guard(), self._engine.begin() as connection:
            known: dict[str, Tag] = {}
            tags = tuple(tag for given in tags for tag in (given, _correction(given)))
            for start in range(0, len(tags), 500):
                ids = [tag.id for tag in tags[start : start + 500]]
                found = sa.select(*(self._table.c[name] for name in Tag.model_fields)).where(self._table.c.id.in_(ids))
                known |= {row.id: _tag(row) for row in connection.execute(found)}
            rows: dict[str, dict[str, Any]] = {}
            for given, correction in zip(tags[::2], tags[1::2], strict=True):
                before = known.get(given.id)
                if before is None:
                    rows[given.id] = _row(given)
                elif _verdict(before) != _verdict(given) and given.created_at >= before.created_at:
                    rows |= {correction.id: _row(correction)} if correction.id not in known else {}
            if rows:
                connection.execute(self._table.insert(), list(rows.values()))

    def history(self) -> list[Tag]:
        """Every row ever written, oldest first."""
        return [_tag(row) for row in self._rows()]

    def current(self) -> list[Tag]:
        """The verdicts that stand: one per person, role and prediction, in the order they were given."""
        return [_tag(row) for row in standing(self._rows())]

    def known_as(self, annotator: str) -> str:
        """A name as it was written first: names are compared without case and outer space."""
        import sqlalchemy as sa

        name, columns = annotator.strip(), self._table.c
        if not self._has_table:
            return name
        by_age = sa.select(columns.annotator).group_by(columns.annotator).order_by(sa.func.min(columns.seq))
        with self._guard(), self._engine.connect() as connection:
            known = connection.scalars(by_age)
            return next((other for other in known if other.casefold() == name.casefold()), name)

    def states(self, annotator: str, role: Role = "annotator") -> dict[tuple[str, str, int], tuple[State, str | None]]:
        """How far one person is: prediction to the state of what stands, and the fingerprint it was given to."""
        mine = [row for row in standing(self._rows(self._table.c.annotator == annotator)) if row.role == role]
        return {(row.system, row.example, row.repeat): (row.state, row.answer) for row in mine}

    def table(self) -> pd.DataFrame:
        """`current()` as a table, one row per verdict, in `TABLE_COLUMNS`; lists are tuples."""
        rows = list(map(operator.attrgetter(*TABLE_COLUMNS), standing(self._rows())))
        table = pd.DataFrame(rows, columns=TABLE_COLUMNS, dtype=object).astype({"repeat": int, "seconds": float})
        for name in LISTS:
            table[name] = _lists(table[name])
        return table

    def on(self, place: tuple[str, str, int]) -> list[Tag]:
        """What stands on one prediction (system, example, repeat), of everybody."""
        system, example, repeat = place
        columns = self._table.c
        here = (columns.example == example) & (columns.system == system) & (columns.repeat == repeat)
        return [_tag(row) for row in standing(self._rows(here))]

    def _rows(self, where: Any = None) -> list[Any]:
        import sqlalchemy as sa

        if not self._has_table:
            return []
        query = sa.select(*(self._table.c[name] for name in Tag.model_fields)).order_by(self._table.c.seq)
        with self._guard(), self._engine.connect() as connection:
            return list(connection.execute(query if where is None else query.where(where)).all())

    def close(self) -> None:
        """Give the connections back; a SQLite file folds its write-ahead log in."""
        self._engine.dispose()

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Database errors in words that name the store and the way out."""
        import sqlalchemy.exc as exc

        try:
            yield
        except OtherVersionError as error:
            raise TagStoreError(f"tag store {without_password(self.where)}: {error}") from None
        except (exc.SQLAlchemyError, ModuleNotFoundError) as error:
            raise TagStoreError(f"tag store {without_password(self.where)}: {advice(error)}") from None


#: Columns of a table of standing tags: the fields of `Tag` without what only the history needs.
TABLE_COLUMNS = [name for name in Tag.model_fields if name not in ("id", "supersedes")]

#: What a person has one standing verdict for.
_STACK: Final = ["role", "annotator", "system", "example", "repeat"]

AnyTag = TypeVar("AnyTag", bound=Any)


def standing(history: Iterable[AnyTag]) -> list[AnyTag]:
    """What stands after `history` (oldest first): per person, role and prediction the latest verdict not undone.

    Takes tags, or database rows with the same fields.
    """
    rows = list(history)
    undone = {row.supersedes for row in rows if row.state == "undo"}
    key = operator.attrgetter(*_STACK)
    latest = {key(row): row for row in rows if row.state != "undo" and row.id not in undone}
    return sorted(latest.values(), key=lambda row: row.created_at)


def _verdict(tag: Tag) -> list[Any]:
    return [tag.annotator, *tag.place, tag.role, tag.state, sorted(tag.categories), tag.note]


def _correction(tag: Tag) -> Tag:
    """The same verdict under an id made of it."""
    made = uuid.uuid5(uuid.NAMESPACE_OID, json.dumps([tag.id, _verdict(tag)], ensure_ascii=False))
    return tag.model_copy(update={"id": made.hex})


def _row(tag: Tag) -> dict[str, Any]:
    lists = {name: json.dumps(getattr(tag, name), ensure_ascii=False) for name in LISTS}
    return {"schema": TAGS_SCHEMA, **tag.model_dump(), **lists}


def _tag(row: Any) -> Tag:
    lists = {name: json.loads(getattr(row, name)) for name in LISTS}
    return Tag.model_validate({name: getattr(row, name) for name in Tag.model_fields} | lists)


def _lists(column: pd.Series) -> pd.Series:
    """JSON lists of a column as tuples; few different ones stand in many rows."""
    return column.map({text: tuple(json.loads(text)) for text in column.unique()}).astype(object)


def _set(connection: Any, pragmas: list[str]) -> None:
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={WAIT_S * 1000}", *pragmas):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
