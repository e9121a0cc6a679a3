"""No leak goes unseen, and splits never part what belongs together."""

from __future__ import annotations

import random

import pytest

from flowstudy.corpus import Example, assign_splits, find_leaks, shipped_corpus
from flowstudy.corpus.splits import flow_key, near_duplicates, shingles, skeleton_key
from flowstudy.flows.outline import from_outline

WORDS = "alpha beta order user mail task room stock price date file team case note plan week bill tool".split()  # noqa: SIM905


def example(id, text, outline="trigger daily\naction a", split="test", **more):
    return Example(id=id, requirement=text, references=[from_outline(outline)], split=split, **more)


def sentence(rng, n=14):
    return " ".join(rng.choice(WORDS) + str(rng.randrange(40)) for _ in range(n))


def test_the_shipped_corpus_has_no_leak_and_no_repeats():
    examples = shipped_corpus()
    assert not [leak for leak in find_leaks(examples) if leak.kind != "same_skeleton"]
    assert not list(near_duplicates([e.requirement for e in examples]))


def test_every_kind_of_leak_is_found():
    text = "When a printer is out of paper please tell the office manager at once"
    long = "trigger daily\naction a\naction b | x = 1\naction c\naction d"
    found = find_leaks(
        [
            example("a", "one two three four", "action x1", split="train"),
            example("a", "five six seven eight", "action x2"),
            example("b", text, "action x3", split="train"),
            example("c", text.upper().replace(",", " ") + "!", "action x4"),
            example("d", "nine ten eleven", long + " # a note", split="train"),
            example("e", "twelve thirteen", long, split="ood"),
            example("f", "fourteen fifteen", long.replace("x = 1", "x = 2"), split="validation"),
        ]
    )
    kinds = {(leak.kind, leak.first, leak.second) for leak in found}
    assert {("same_id", "a", "a"), ("near_duplicate", "b", "c"), ("same_flow", "d", "e")} <= kinds
    assert {("same_skeleton", "d", "e"), ("same_skeleton", "d", "f"), ("same_skeleton", "e", "f")} <= kinds
    assert len(found) == 6 and "near duplicate (1.00): b (train) and c (test)" in map(str, found)


def test_repeats_inside_a_split_are_no_leak():
    assert not find_leaks([example("a", "one two three four"), example("b", "one two three four")])


def test_candidates_agree_with_the_exact_search():
    rng = random.Random(7)
    texts = [sentence(rng) for _ in range(60)]
    for text in texts[:30]:
        words = text.split()
        words[rng.randrange(len(words))] = "changed"
        texts.append(" ".join(words))
    sets = [shingles(t) for t in texts]
    exact = {
        (a, b)
        for a in range(len(texts))
        for b in range(a + 1, len(texts))
        if len(sets[a] & sets[b]) / len(sets[a] | sets[b]) >= 0.6
    }
    assert len(exact) > 5 and {(a, b) for a, b, _ in near_duplicates(texts)} == exact


def test_shingles_of_short_texts():
    assert shingles("Go!") == {"go"} and shingles("") == {""} and shingles("a b c d") == {"a b c", "b c d"}


def test_keys_ignore_what_they_should():
    one, two = from_outline("action a | x = 1 # note"), from_outline("action a | x = 1")
    three = from_outline("action a | x = 2")
    assert flow_key(one) == flow_key(two) != flow_key(three) and skeleton_key(one) == skeleton_key(three)


@pytest.mark.parametrize("seed", range(5))
def test_splits_are_seeded_balanced_and_keep_pairs_together(seed):
    rng = random.Random(seed)
    examples = []
    for n in range(100):
        text, domain = sentence(rng), rng.choice(("x", "y"))
        for copy in range(1 + (n % 5 == 0)):
            flow = from_outline(f"action a{n}{copy}")
            examples.append(Example(id=f"{n}-{copy}", requirement=text, references=[flow], domain=domain))
    split = {e.id: e.split for e in assign_splits(examples, seed)}
    shuffled = random.Random(1).sample(examples, len(examples))
    assert split == {e.id: e.split for e in assign_splits(shuffled, seed)}
    assert not [leak for leak in find_leaks(assign_splits(examples, seed)) if leak.kind != "same_skeleton"]
    for domain in ("x", "y"):
        own = [split[e.id] for e in examples if e.domain == domain]
        assert abs(own.count("train") / len(own) - 0.7) < 0.1 and own.count("test") > 0 < own.count("validation")


def test_given_splits_stay_and_pull_their_copies_along():
    given = example("a", "the very same words here", split="validation")
    free = Example(id="b", requirement="the very same words here", references=[from_outline("action b")])
    assert [e.split for e in assign_splits([given, free])] == ["validation", "validation"]


def test_bad_shares_are_refused():
    with pytest.raises(ValueError, match="weights"):
        assign_splits([], shares={"train": -1, "test": 2})


def test_generated_examples_are_trained_on_and_take_what_they_were_made_from_along():
    first, *others = [Example(id=f"e{n}", requirement=f"text {n} of its own", references=[from_outline(f"action a{n}")])
                      for n in range(40)]  # fmt: skip
    made = Example(id="e0-g1", requirement="said quite otherwise", references=first.references, source="generated")
    moved = made.model_copy(update={"id": "e0-g2", "split": "test"})
    for seed in range(8):
        split = {e.id: e.split for e in assign_splits([first, *others, made, moved], seed)}
        assert split["e0"] == split["e0-g1"] == split["e0-g2"] == "train" and "test" in split.values()
