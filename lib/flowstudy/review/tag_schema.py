"""The table of the tag store, its versions, and how an older store is brought up to date.

Version 1 had no `role` (annotator or adjudicator) and no `answer` (fingerprint of what was judged). A store without a
version table is of version 1. Each step upwards is one transaction; a SQLite file is copied first (see `tag_files`).
"""

from __future__ import annotations

from typing import Any, Final

VERSION: Final = 2
TAGS_SCHEMA: Final = f"flowstudy/tags/{VERSION}"
#: Columns that hold a JSON list.
LISTS: Final = ("categories", "proposed")
#: What a column added since version 1 holds for older rows, by the version that added it; ALTER statements from them.
_ADDED: Final[dict[int, dict[str, tuple[str, str | None]]]] = {
    2: {"role": ("VARCHAR(16) DEFAULT 'annotator' NOT NULL", "annotator"), "answer": ("VARCHAR(64)", None)},
}
#: Any number will do, as long as every process that opens a store on a server takes the same.
_SERVER_LOCK: Final = 20_260_721


class NewerStoreError(ValueError):
    """The store was written by a later version of this program."""


def tag_table() -> Any:
    """The `tags` table of today."""
    import sqlalchemy as sa

    return sa.Table(
        "tags",
        sa.MetaData(),
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("schema", "annotator", "system", "example")),
        sa.Column("repeat", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        *(sa.Column(name, sa.Text, nullable=False, comment="JSON list") for name in LISTS),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("seconds", sa.Float),
        sa.Column("supersedes", sa.String(64)),
        sa.Column("created_at", sa.String(40), nullable=False),
        sa.Column("role", sa.String(16), nullable=False, server_default="annotator"),
        sa.Column("answer", sa.String(64)),
        sa.Index("tags_of_a_prediction", "example", "system", "annotator"),
    )


def stored_version(connection: Any) -> int | None:
    """The version of the store behind `connection`; None when it holds no tags yet.

    Raises NewerStoreError for a version that this program does not know.
    """
    import sqlalchemy as sa

    names = set(sa.inspect(connection).get_table_names())
    if "tags" not in names:
        return None
    found = connection.scalar(sa.text("SELECT version FROM tags_version")) if "tags_version" in names else None
    if (found or 1) > VERSION:
        what = f"expected a store of version {VERSION} or older, got version {found}"
        raise NewerStoreError(f"{what}; use the program that wrote it, or a later one")
    return found or 1


def bring_up_to_date(connection: Any) -> None:
    """Create the table, or add what later versions added, in the transaction of `connection`."""
    import sqlalchemy as sa

    if stored_version(connection) == VERSION:
        return
    _lock(connection)
    version = stored_version(connection)
    if version == VERSION:
        return
    if version is None:
        tag_table().metadata.create_all(connection)
    for step in range((version or VERSION) + 1, VERSION + 1):
        for name, (definition, _) in _ADDED[step].items():
            connection.execute(sa.text(f"ALTER TABLE tags ADD COLUMN {name} {definition}"))
    connection.execute(sa.text("CREATE TABLE IF NOT EXISTS tags_version (version INTEGER NOT NULL)"))
    connection.execute(sa.text("DELETE FROM tags_version"))
    connection.execute(sa.text("INSERT INTO tags_version VALUES (:version)"), {"version": VERSION})


def readable_columns(table: Any, version: int) -> list[Any]:
    """What to select from a `table` of an older version: columns it lacks come with the value they would be given."""
    import sqlalchemy as sa

    later = {name: default for step in range(version + 1, VERSION + 1) for name, (_, default) in _ADDED[step].items()}
    return [sa.literal(later[c.name]).label(c.name) if c.name in later else c for c in table.columns]


def _lock(connection: Any) -> None:
    """One opener at a time: SQLite's write lock, or an advisory lock of PostgreSQL until the transaction ends."""
    import sqlalchemy as sa

    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SERVER_LOCK})
