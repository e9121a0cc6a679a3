"""The table of the tag store and its version."""

from __future__ import annotations

from typing import Any, Final

VERSION: Final = 2
TAGS_SCHEMA: Final = f"flowstudy/tags/{VERSION}"
#: Columns that hold a JSON list.
LISTS: Final = ("categories", "proposed")
#: Any number will do, as long as every process that opens a store on a server takes the same.
_SERVER_LOCK: Final = 20_260_721


class OtherVersionError(ValueError):
    """The store was written by another version of this program."""


def tag_table() -> Any:
    """The `tags` table."""
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


def holds_tags(connection: Any) -> bool:
    """Whether the store behind `connection` has its table; OtherVersionError for that of another version."""
    import sqlalchemy as sa

    names = set(sa.inspect(connection).get_table_names())
    if "tags" not in names:
        return False
    found = connection.scalar(sa.text("SELECT version FROM tags_version")) if "tags_version" in names else 1
    if found != VERSION:
        what = f"expected a store of version {VERSION}, got version {found}"
        raise OtherVersionError(f"{what}; use the program that wrote it, or start another store")
    return True


def create_table(connection: Any) -> None:
    """Create the table where there is none, in the transaction of `connection`; of many openers one does."""
    import sqlalchemy as sa

    if holds_tags(connection):
        return
    _lock(connection)
    if holds_tags(connection):
        return
    tag_table().metadata.create_all(connection)
    connection.execute(sa.text("CREATE TABLE IF NOT EXISTS tags_version (version INTEGER NOT NULL)"))
    connection.execute(sa.text("DELETE FROM tags_version"))
    connection.execute(sa.text("INSERT INTO tags_version VALUES (:version)"), {"version": VERSION})


def _lock(connection: Any) -> None:
    """One opener at a time: SQLite's write lock, or an advisory lock of PostgreSQL until the transaction ends."""
    import sqlalchemy as sa

    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    elif connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _SERVER_LOCK})
