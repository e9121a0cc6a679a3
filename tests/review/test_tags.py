"""The tag store never loses or doubles a verdict, and says in words what is wrong with a file."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from flowstudy.review.tags import Tag, TagStore, TagStoreError, standing


def tag(**over) -> Tag:
    return Tag(**({"annotator": "ana", "system": "s", "example": "e1"} | over))


WRITER = """
import sys
from flowstudy.review.tags import Tag, TagStore
path, name = sys.argv[1:]
store = TagStore(path)
for n in range(1000):
    store.add(Tag(annotator=name, system="s", example=f"e{n}", id=f"{name}-{n}"))
"""


@pytest.mark.slow
def test_three_writers_of_1000_tags_lose_none_and_double_none(tmp_path):
    path = str(tmp_path / "tags.sqlite")
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, path, name]) for name in ("ana", "bo", "cy")]
    assert [writer.wait(timeout=300) for writer in writers] == [0, 0, 0]
    history = TagStore(path).history()
    assert len(history) == len({t.id for t in history}) == 3000
    assert {t.annotator for t in history} == {"ana", "bo", "cy"}


def test_later_verdict_supersedes_and_undo_takes_it_back(tmp_path):
    store = TagStore(tmp_path / "tags.sqlite")
    first, second = tag(categories=["wrong_trigger"]), tag(categories=["missing_step"])
    store.add(first)
    store.add(second, tag(annotator="bo"))
    assert {t.annotator: t.categories for t in store.current()} == {"ana": ["missing_step"], "bo": []}
    table = store.table().set_index("annotator")
    assert table["categories"].to_dict() == {"ana": ("missing_step",), "bo": ()} and table["answer"].isna().all()
    store.add(tag(state="undo", supersedes=second.id))
    assert next(t for t in store.current() if t.annotator == "ana") == first
    store.add(tag(state="undo", supersedes=first.id))
    assert [t.annotator for t in store.current()] == ["bo"]
    assert len(store.history()) == 5  # nothing is ever deleted


def test_two_tabs_keep_each_others_work(tmp_path):
    one, other = TagStore(tmp_path / "tags.sqlite"), TagStore(tmp_path / "tags.sqlite")
    one.add(tag(example="e1"))
    other.add(tag(example="e2"))
    one.add(tag(example="e3"))
    assert [t.example for t in other.current()] == ["e1", "e2", "e3"]


def test_adding_twice_changes_nothing(tmp_path):
    store, verdict = TagStore(tmp_path / "tags.sqlite"), tag()
    store.add(verdict, verdict)
    store.add(verdict)
    assert store.history() == [verdict]


def test_tags_survive_the_process_and_odd_names(tmp_path):
    odd = "O'Neil\"; DROP TABLE tags; <script>alert(1)</script>"
    store = TagStore(tmp_path / "tags.sqlite")
    store.add(tag(annotator=odd, note="ünï\n\"'"))
    store.close()
    assert TagStore(tmp_path / "tags.sqlite").current()[0].annotator == odd


def test_adjudicators_and_annotators_do_not_supersede_each_other(tmp_path):
    store = TagStore(tmp_path / "tags.sqlite")
    own, last = tag(categories=["wrong_step"]), tag(categories=["wrong_order"], role="adjudicator")
    store.add(own, last)
    assert store.current() == [own, last] and store.on(("s", "e1", 0)) == [own, last]
    assert [store.states("ana", role) for role in ("annotator", "adjudicator")] == [{own.place: ("done", None)}] * 2


def test_a_store_of_another_version_is_refused(tmp_path):
    path = tmp_path / "tags.sqlite"
    TagStore(path).add(tag())
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE tags_version SET version = 99")
    for read_only in (False, True):
        with pytest.raises(TagStoreError, match="version 2, got version 99"):
            TagStore(path, read_only=read_only)


def test_damaged_file_is_moved_aside_and_the_backup_kept(tmp_path):
    path = tmp_path / "tags.sqlite"
    store = TagStore(path)
    store.add(tag())
    store.close()
    TagStore(path).close()  # opening makes the backup
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(TagStoreError, match=r"moved to tags\.sqlite\.damaged.*copy .*backup"):
        TagStore(path)
    assert len(TagStore(tmp_path / "tags.sqlite.backup").history()) == 1
    assert list(tmp_path.glob("*.damaged-*"))


def test_a_file_that_was_emptied_is_damage_when_there_is_a_backup(tmp_path):
    path = tmp_path / "tags.sqlite"
    store = TagStore(path)
    store.add(tag())
    store.close()
    TagStore(path).close()
    path.write_bytes(b"")
    with pytest.raises(TagStoreError, match="empty file where tags were before"):
        TagStore(path)
    (tmp_path / "tags.sqlite.backup").rename(path)
    assert len(TagStore(path).history()) == 1


def test_a_stale_log_is_not_played_into_a_restored_file(tmp_path):
    path = tmp_path / "tags.sqlite"
    for _ in range(2):  # the second opening makes the backup
        store = TagStore(path)
        store.add(tag())
        store.close()
    path.write_bytes(b"rubbish" * 1000)
    (tmp_path / "tags.sqlite-wal").write_bytes(b"more rubbish")
    with pytest.raises(TagStoreError, match="moved to"):
        TagStore(path)
    assert not (tmp_path / "tags.sqlite-wal").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody who may not write")
def test_a_folder_that_may_not_be_written_is_read_and_says_so_when_written(tmp_path):
    folder = Path(tempfile.mkdtemp(prefix="flowstudy-"))  # pytest's own folders are closed to others
    path = folder / "tags.sqlite"
    store = TagStore(path)
    store.add(tag())
    store.close()
    folder.chmod(0o755)
    code = f"""
import os
from flowstudy.review.tags import TagStore, TagStoreError
TagStore({str(tmp_path / "other.sqlite")!r}).current()  # everything is imported before this becomes nobody
os.setgid(65534); os.setuid(65534)
print(len(TagStore({str(path)!r}, read_only=True).current()))
try: TagStore({str(path)!r})
except TagStoreError as error: print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    shutil.rmtree(folder)
    assert done.stdout.startswith("1\n") and "change its permissions" in done.stdout, done.stdout + done.stderr


def test_locked_file_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("flowstudy.review.tags.WAIT_S", 0.2)
    path = tmp_path / "tags.sqlite"
    store = TagStore(path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(TagStoreError, match="close the program that holds it"):
        store.add(tag())
    holder.execute("ROLLBACK")
    store.add(tag())
    assert len(store.history()) == 1


def test_read_only_store_reads_and_refuses_to_write(tmp_path):
    path = tmp_path / "tags.sqlite"
    TagStore(path).add(tag())
    store = TagStore(path, read_only=True)
    assert len(store.current()) == 1
    with pytest.raises(TagStoreError, match="read-only"):
        store.add(tag())
    with pytest.raises(TagStoreError, match="got none"):
        TagStore(tmp_path / "absent.sqlite", read_only=True)


def test_a_password_in_a_url_is_never_shown():
    with pytest.raises(TagStoreError) as error:
        TagStore("sqlite://user:hunter2@/nowhere/at/all.db")
    assert "hunter2" not in str(error.value)


def test_standing_of_nothing_is_nothing():
    assert standing([]) == []
