"""Votes of like training examples: who may vote, on what, and that nothing an environment lacks counts against it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flowstudy.systems.near_use import NearUse
from flowstudy.systems.votes import NEAREST

APPROVE, MAIL, PRINT = ("action", "approve"), ("action", "mail"), ("action", "print")
TEXTS = ["approve the laptop order", "approve the phone order", "mail the invoice to Ann", "mail the invoice to Bob"]
NEEDS = [[APPROVE], [APPROVE], [MAIL], [MAIL]]


def of(texts=TEXTS, needs=NEEDS, domains=None, offered=None):
    domains = domains or ["d"] * len(texts)
    return NearUse(texts, domains, needs, offered or {"d": [APPROVE, MAIL, PRINT]})


def rates(near, requirement, uses=(APPROVE, MAIL, PRINT), use=0.1):
    return np.exp(near.log_rates(list(uses), np.log(np.full(len(uses), use)))(requirement))


def test_like_requirements_need_like_steps():
    approve, mail, unused = rates(of(), "approve the tablet order")
    assert approve > 0.9 and mail < 0.1 and unused < 0.02


def test_a_training_example_has_no_vote_on_itself():
    near = of([*TEXTS, "print the badge"], [*NEEDS, [PRINT]])
    assert near.votes.of("print the badge")[-1] == 0.0 and "print the badge" in near.votes
    assert rates(near, "print the badge")[2] < 0.1 < rates(near, "print the badges")[2]
    assert of(TEXTS[:1], NEEDS[:1]).votes.of(TEXTS[0]).sum() == 0.0, "nobody is left to vote"


def test_what_an_environment_does_not_have_is_not_held_against_it():
    """The vote is among those that could have needed an entry; an entry of no known environment keeps the usual use."""
    offered = {"d": [APPROVE, MAIL], "other": [MAIL, PRINT]}
    near = of(domains=["d", "d", "other", "other"], offered=offered)
    unknown = ("action", "weld")
    approve, mail, weld = rates(near, "mail the laptop order to Ann", (APPROVE, MAIL, unknown), use=0.3)
    assert 0.29 < weld < 0.33
    (shared,) = rates(of(), "mail the laptop order to Ann", (APPROVE,), use=0.3)
    assert approve > shared, "the two that know only mail do not vote on approvals"
    assert 0 < mail < 1


@given(
    st.lists(st.text(alphabet="abcde ", max_size=12), min_size=1, max_size=60), st.text(alphabet="abcdef ", max_size=9)
)
def test_votes_are_shares_of_at_most_so_many(texts, requirement):
    votes = of(texts, [[MAIL]] * len(texts)).votes.of(requirement)
    assert (votes >= 0).all() and np.count_nonzero(votes) <= NEAREST
    assert np.isclose(votes.sum(), 1.0) or set(texts) == {requirement}


def test_it_survives_json():
    near = of()
    again = NearUse.from_json(near.to_json())
    assert again.to_json() == near.to_json()
    assert np.array_equal(rates(again, "mail Ann"), rates(near, "mail Ann"))
    assert rates(near, "", ()).shape == (0,)
