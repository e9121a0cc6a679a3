"""The tag store never loses or doubles a verdict, and says in words what is wrong with a file."""

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstudy.review.exchange import (
    ExchangeError,
    export_tags,
    from_label_studio,
    import_tags,
    save_label_studio,
)
from flowstudy.review.tags import Tag, TagStore, TagStoreError, orphans, standing


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


def test_locked_file_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr("flowstudy.review.tags._WAIT_S", 0.2)
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


def test_orphans_are_found():
    assert [t.example for t in orphans([tag(), tag(example="gone")], [("s", "e1", 0)])] == ["gone"]


texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), max_size=20)
words = st.from_regex(r"[a-z_]{1,12}", fullmatch=True)
tags = st.builds(
    Tag, annotator=texts.filter(bool), system=words, example=words, repeat=st.integers(0, 3), note=texts,
    categories=st.lists(words, max_size=3), proposed=st.lists(words, max_size=2),
    state=st.sampled_from(["draft", "done", "skipped"]), seconds=st.none() | st.floats(0, 999),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(tags, max_size=5), st.sampled_from(["jsonl", "csv"]))
def test_export_and_import_give_back_the_same(tmp_path_factory, batch, kind):
    path = tmp_path_factory.mktemp("x") / f"tags.{kind}"
    assert import_tags(export_tags(batch, path)) == batch


def test_label_studio_round_trip(tmp_path):
    batch = [tag(categories=["a", "b"], note="why", seconds=2.5), tag(annotator="bo", state="skipped")]
    text = save_label_studio(batch, tmp_path / "ls.json").read_text()
    assert from_label_studio(text) == batch
    with pytest.raises(ExchangeError, match="task 0"):
        from_label_studio('[{"data": {}}]')


def test_broken_lines_are_named(tmp_path):
    path: Path = tmp_path / "tags.jsonl"
    path.write_text(tag().model_dump_json() + '\n{"annotator": ""}\nnonsense\n')
    with pytest.raises(ExchangeError, match=r"(?s)tags\.jsonl:2: annotator.*tags\.jsonl:3"):
        import_tags(path)
    with pytest.raises(ExchangeError, match=r"\.jsonl or \.csv"):
        import_tags(tmp_path / "tags.xlsx")


def test_standing_of_nothing_is_nothing():
    assert standing([]) == []


@pytest.mark.slow
def test_100_000_tags_aggregate_in_two_seconds(tmp_path):
    store = TagStore(tmp_path / "tags.sqlite")
    store.add(*(tag(id=str(n), annotator=f"a{n % 3}", example=f"e{n // 6}", created_at=str(n)) for n in range(100_000)))
    started = time.process_time()
    assert len(store.table()) == 50_001
    assert time.process_time() - started < 2
