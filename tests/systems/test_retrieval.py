"""Suggestions: deterministic, of every kind, the same for every system; the oracle offers what is needed."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstudy.flows.catalogue import Catalogue, StepDef
from flowstudy.systems import RetrieverError, nearest_examples, recall_at_k, retrieve, suggest_all
from flowstudy.systems.baselines import commonest_flow
from flowstudy.systems.retrieval import entries, limits, needed
from flowstudy.systems.words import WordIndex, words


def test_lexical_finds_what_the_words_name(catalogue):
    found = retrieve("lexical", "Page the network rota when a task is created", catalogue, k=2)
    best = {kind: next(s.name for s in found if s.kind == kind) for kind in ("trigger", "action", "table")}
    assert best == {"trigger": "record_create", "action": "x_acme.page_rota", "table": "task"}
    kinds = [s.kind for s in found]
    assert kinds == sorted(kinds, key=["trigger", "action", "subflow", "table", "column"].index)
    assert found == retrieve("lexical", "Page the network rota when a task is created", catalogue, k=2)


def test_columns_belong_to_suggested_tables(catalogue):
    found = retrieve("lexical", "state of the incident and caller", catalogue, k=4)
    tables = {s.name for s in found if s.kind == "table"}
    assert {s.name.split(".")[0] for s in found if s.kind == "column"} <= tables


@pytest.mark.parametrize("k", [1, 2, 7])
def test_the_oracle_offers_the_usual_ones_and_everything_needed_and_gives_nothing_away(examples, catalogue, k):
    """What a perfect retriever would give is only seen where nothing else differs, the order above all."""
    usual = retrieve("lexical", examples[0], catalogue, k=k)
    found = retrieve("oracle", examples[0], catalogue, k=k)
    names = [(s.kind, s.name) for s in found]
    assert set(names) == {(s.kind, s.name) for s in usual} | needed(examples[0], catalogue)
    assert [name for name in names if name in {(s.kind, s.name) for s in usual}] == [(s.kind, s.name) for s in usual]
    assert [s for s in found if s in usual] == usual
    scores = {s.score for s in usual}
    assert {s.score for s in found} <= scores | {0.0}, "a score of its own would give an entry away"
    assert found == retrieve("oracle", examples[0], catalogue, k=k)
    if k == 1:
        orders = {tuple(s.name for s in retrieve("oracle", examples[0], catalogue, k=k, seed=n)) for n in range(9)}
        assert len(orders) > 1, "what was missing stands anywhere on its shelf"


def test_the_oracle_completes_the_trained_retriever_where_there_is_one(examples, catalogue):
    class Backwards:
        def scores(self, requirement, *, unseen=False):
            return -np.arange(len(entries(catalogue)), dtype=float)[::-1]

        def fingerprint(self):
            return "backwards"

    catalogues, rankers = {"office": catalogue}, {"office": Backwards()}
    trained, oracle = (suggest_all(name, examples, catalogues, k=2, rankers=rankers) for name in ("trained", "oracle"))
    for example in examples:
        usual = {(s.kind, s.name) for s in trained[example.id]}
        assert {(s.kind, s.name) for s in oracle[example.id]} == usual | needed(example, catalogue)


def test_recall_is_one_for_the_oracle_and_none_where_nothing_is_needed(examples, catalogue):
    catalogues = {"office": catalogue}
    offers = suggest_all("oracle", examples, catalogues, k=3)
    recall = recall_at_k(offers, examples, catalogues)
    assert recall["step"] == recall["table"] == recall["trigger"] == recall["column"] == 1.0
    assert recall["subflow"] is None
    assert recall_at_k(suggest_all("none", examples, catalogues), examples, catalogues)["step"] == 0.0


def test_suggestions_are_stored_once_and_made_again_when_anything_changes(examples, catalogue, tmp_path):
    path, catalogues = tmp_path / "lexical.jsonl", {"office": catalogue}
    first = suggest_all("lexical", examples, catalogues, k=3, path=path)
    written = path.stat().st_mtime_ns
    assert suggest_all("lexical", examples, catalogues, k=3, path=path) == first
    assert path.stat().st_mtime_ns == written
    smaller = suggest_all("lexical", examples, catalogues, k=1, path=path)
    assert smaller != first and path.stat().st_mtime_ns != written
    path.write_text(path.read_text()[:-40])
    assert suggest_all("lexical", examples, catalogues, k=1, path=path) == smaller


def test_what_is_not_available_says_what_to_do(examples, catalogue):
    with pytest.raises(RetrieverError, match="use `lexical`"):
        retrieve("trained", examples[0], catalogue)
    with pytest.raises(RetrieverError, match="expected an Example"):
        retrieve("oracle", "text", catalogue)
    with pytest.raises(RetrieverError, match="none, lexical, trained, oracle"):
        retrieve("embeddings", "text", catalogue)
    with pytest.raises(ValueError, match="test-0: expected a domain"):
        suggest_all("lexical", examples, {})


@settings(max_examples=50)
@given(st.text(max_size=300), st.integers(0, 30))
def test_any_text_and_any_k_give_at_most_k_of_each(text, k):
    actions = {f"do_{n}": StepDef(description=f"Does {n} things") for n in range(12)}
    found = retrieve("lexical", text, Catalogue(name="c", actions=actions), k=k)
    assert len(found) == min(k, 12) and limits(k)["step"] == k


def test_five_thousand_actions(capsys):
    actions = {f"do_{n}_{n % 97}": StepDef(description=f"Handle case {n} of office {n % 13}") for n in range(5000)}
    catalogue = Catalogue(name="big", actions=actions)
    retrieve("lexical", "warm", catalogue, k=5)
    started = time.process_time()
    for number in range(20):
        found = retrieve("lexical", f"Handle case {number} of office {number % 13}", catalogue, k=20)
        assert f"do_{number}_{number % 97}" in {s.name for s in found}
    assert (time.process_time() - started) / 20 < 0.1


def test_nearest_examples_leave_the_question_itself_out(train):
    text = train[1].requirement
    assert nearest_examples(text, train, 1)[0] is train[1]
    assert train[1] not in nearest_examples(text, train, 3, exclude=train[1].id)
    assert nearest_examples("zzz qqq", train, 2) == train[:2] and nearest_examples(text, [], 3) == []


def test_the_commonest_flow(train):
    assert commonest_flow(train) == train[0].flow


def test_an_index_of_nothing_gives_nothing():
    assert WordIndex([]).ranked(["a"]) == []
    assert list(WordIndex([[], []]).scores(["a"])) == [0, 0]
    assert words("") == []
