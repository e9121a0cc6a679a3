"""Votes of similar examples: who may vote, on what, and that nothing an environment lacks counts against it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flowstudy.corpus.example import Example
from flowstudy.flows.catalogue import Catalogue, StepDef
from flowstudy.flows.schema import Component, Flow
from flowstudy.systems.neighbour_votes import FLOOR, UNSEEN, NeighbourVotes
from flowstudy.systems.votes import NEAREST, Votes

TEXTS = ["approve the laptop order", "approve the phone order", "mail the invoice to Ann", "mail the invoice to Bob"]
NEEDS = ["approve", "approve", "mail", "mail"]


def of(texts=TEXTS, needs=NEEDS, domains=None, offered=None):
    domains, offered = domains or ["d"] * len(texts), offered or {"d": ["approve", "mail", "print"]}
    train = [
        Example(id=f"e{n}", requirement=text, domain=domain, references=[flow(need)])
        for n, (text, need, domain) in enumerate(zip(texts, needs, domains, strict=True))
    ]
    shelves = {d: Catalogue(name=d, actions={name: StepDef() for name in names}) for d, names in offered.items()}
    return NeighbourVotes(train, shelves)


def flow(step):
    return Flow(components=[Component(definition=step, order=1)])


def rates(votes, requirement, steps=("approve", "mail", "print")):
    return np.exp(votes.log_rates([("action", step) for step in steps])(requirement)) - FLOOR


def test_similar_requirements_need_the_same_steps():
    approve, mail, unused = rates(of(), "approve the tablet order")
    assert approve > 0.9 and mail < 0.1 and unused < 0.01


def test_a_training_example_has_no_vote_on_itself():
    votes = of([*TEXTS, "print the badge"], [*NEEDS, "print"])
    assert votes.votes.of("print the badge")[-1] == 0.0
    assert rates(votes, "print the badge")[2] < 0.1 < rates(votes, "print the badges")[2]
    assert of(TEXTS[:1], NEEDS[:1]).votes.of(TEXTS[0]).sum() == 0.0, "nobody is left to vote"


def test_what_an_environment_does_not_have_is_not_held_against_it():
    """The vote is among those that could have needed an entry; an entry that nobody knows has its own rate."""
    offered = {"d": ["approve", "mail"], "other": ["mail", "print"]}
    votes = of(TEXTS, ["approve", "approve", "mail", "print"], ["d", "d", "other", "other"], offered)
    approve, weld = rates(votes, "mail the laptop order to Ann", ("approve", "weld"))
    assert np.isclose(weld, UNSEEN)
    (shared,) = rates(of(), "mail the laptop order to Ann", ("approve",))
    assert approve > shared, "the two that do not know approvals have no vote on them"


def test_odd_questions():
    assert rates(of(), "", ()).shape == (0,)
    for text in ("", "é 漢字 🙂 \ud800", "word " * 10_000):
        assert np.isfinite(rates(of(), text)).all()


@given(
    st.lists(st.text(alphabet="abcde ", max_size=12), min_size=1, max_size=60), st.text(alphabet="abcdef ", max_size=9)
)
def test_votes_are_shares_of_at_most_so_many(texts, requirement):
    votes = Votes(texts, [f"e-{n}" for n in range(len(texts))]).of(requirement)
    assert (votes >= 0).all() and np.count_nonzero(votes) <= NEAREST
    assert np.isclose(votes.sum(), 1.0) or set(texts) == {requirement}, "all are of its origin"
