"""The journal keeps what was appended, whatever ends the process, and lets one writer in."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from flowstudy.systems.journal import Journal, JournalError, read_lines, read_predictions


def test_lines_come_back_in_order(tmp_path):
    path = tmp_path / "a" / "b.jsonl"
    with Journal(path) as journal:
        for number in range(500):
            journal.append({"number": number, "text": "ä\n\ud800"})
    assert [record["number"] for record in read_lines(path)] == list(range(500))


@pytest.mark.parametrize("torn", ['{"number": 2, "te', '{"number": 2', "x", '{"number": 2}'])
def test_a_torn_last_line_is_dropped_and_a_whole_one_kept(tmp_path, torn):
    path = tmp_path / "b.jsonl"
    path.write_text('{"number": 1}\n' + torn)
    whole = torn.endswith("}")
    assert len(list(read_lines(path))) == 1 + whole
    with Journal(path) as journal:
        journal.append({"number": 3})
    assert [record["number"] for record in read_lines(path)] == ([1, 2, 3] if whole else [1, 3])


def test_a_broken_line_in_the_middle_is_named(tmp_path):
    path = tmp_path / "b.jsonl"
    path.write_text('{"number": 1}\nbroken\n{"number": 3}\n')
    with pytest.raises(JournalError, match=r"b\.jsonl:2: expected one JSON object.*delete that line"):
        list(read_lines(path))
    path.write_text('{"number": 1}\n')
    with pytest.raises(JournalError, match=r"record 1: expected a prediction"):
        read_predictions(path)


def test_a_second_writer_is_refused_and_let_in_after(tmp_path):
    path = tmp_path / "b.jsonl"
    with Journal(path):
        code = f"from flowstudy.systems.journal import Journal\nJournal({str(path)!r})"
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert "another run is writing it" in second.stderr and "JournalError" in second.stderr
    Journal(path).close()


def test_a_full_disk_is_named_and_loses_nothing(tmp_path):
    """A file size limit stands for the full disk: the kernel refuses the write in the same place."""
    path, spill = tmp_path / "b.jsonl", tmp_path / "tmp"
    spill.mkdir()
    code = textwrap.dedent(f"""
        import resource, signal, sys, time
        from flowstudy.systems.journal import Journal, JournalError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        journal = Journal({str(path)!r})
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        try:
            for number in range(100):
                journal.append({{"number": number, "text": "x" * 50}})
                time.sleep(0.002)
        except JournalError as error:
            print(number, error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        try:
            journal.close()
        except JournalError as error:
            print(error)
    """)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    env = {**os.environ, "TMPDIR": str(spill)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert "b.jsonl: cannot write, File too large; make room" in done.stdout, done.stderr
    stopped_at = int(done.stdout.split()[0])
    kept = [record["number"] for record in read_lines(path)]
    assert kept == list(range(len(kept))) and len(kept) >= stopped_at, "room came back: the rest was written at close"


def test_a_disk_that_stays_full_saves_the_rest_elsewhere(tmp_path):
    path = tmp_path / "b.jsonl"
    code = textwrap.dedent(f"""
        import resource, signal, time
        import flowstudy.systems.journal as j
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        journal = j.Journal({str(path)!r})
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
        journal.append({{"number": 0, "text": "x" * 50}})
        journal.append({{"number": 1, "text": "x" * 40}})
        save, j._save_elsewhere = j._save_elsewhere, lambda path, lines: (
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2), save(path, lines))[1]
        try:
            journal.close()
        except j.JournalError as error:
            print(error)
    """)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "the 1 answers that did not fit are in" in done.stdout, done.stderr
    saved = Path(done.stdout.split("cat ")[1].split(" >>")[0])
    assert [json.loads(line)["number"] for line in saved.read_text().splitlines()] == [1]
    saved.unlink()
    assert [record["number"] for record in read_lines(path)] == [0]
