"""Hybrids: who is asked, whose answer is taken, what it costs; threshold from validation only, no call made."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowstudy.corpus import catalogues_for, shipped_corpus
from flowstudy.systems.gates import choose_gate, confidence, pair_up
from flowstudy.systems.hybrid import apply_hybrids, apply_policy
from flowstudy.systems.mixed import POLICIES, hybrid_parts
from flowstudy.systems.records import Call, Prediction, SystemSpec
from flowstudy.systems.roster import journal_of, read_predictions, roster, write_predictions

SPLITS = ["validation"] * 20 + ["test"] * 20 + ["ood"] * 10


@pytest.fixture(scope="module")
def world():
    """Fifty examples in three splits, and their catalogues."""
    examples = [e.model_copy(update={"split": split}) for e, split in zip(shipped_corpus(), SPLITS, strict=False)]
    return examples, catalogues_for(examples)


def call(model, logprob=None, cost=0.01, seconds=1.0, tokens=10):
    return Call(stage="whole", model=model, mean_logprob=logprob, cost_usd=cost, latency_s=seconds,
                completion_tokens=tokens, prompt_tokens=5)  # fmt: skip


def answers(examples, system, logprobs=None, status="ok", **about):
    """One answer per example: its reference; a log-probability each where given."""
    found = []
    for number, example in enumerate(examples):
        calls = [call(system, logprobs[number] if logprobs else None, **about)]
        flow = example.flow if status == "ok" else None
        found.append(Prediction(example=example.id, system=system, status=status, flow=flow, calls=calls))
    return found


def hybrid_predictions(first, second, examples, catalogues, quality, *, policy="cascade", name=None):
    """The predictions of one hybrid, and the report."""
    done = apply_policy(policy, pair_up(first, second, examples, catalogues), quality, name=name)
    return done.predictions, done.report


def graded(first, second, good):
    """The first is right (1) where `good` says so, the second scores 0.6 everywhere."""
    quality = {(p.system, p.example, p.repeat): float(good(n)) for n, p in enumerate(first)}
    return quality | {(p.system, p.example, p.repeat): 0.6 for p in second}


@pytest.fixture
def duo(world):
    """A small model that is sure when it is right: even examples -0.1, odd ones -1; an expensive second."""
    examples, catalogues = world
    first = answers(examples, "small", [-0.1 if n % 2 == 0 else -1.0 for n in range(len(examples))], cost=0.001)
    second = answers(examples, "large", cost=0.05, seconds=3.0)
    return first, second, examples, catalogues, graded(first, second, lambda n: n % 2 == 0)


def test_a_cascade_finds_the_threshold_and_adds_up_what_it_took(duo):
    found, report = hybrid_predictions(*duo, name="hybrid-x")
    assert report.threshold == pytest.approx(-0.55) and (report.escalated, report.n) == (0.5, 30)
    by_example = {p.example: p for p in found}
    kept, passed = by_example[duo[2][0].id], by_example[duo[2][1].id]
    assert {p.system for p in found} == {"hybrid-x"} and all(p.is_answer for p in found)
    assert (kept.cost_usd, kept.latency_s) == (pytest.approx(0.001), 1.0)
    assert (passed.cost_usd, passed.latency_s) == (pytest.approx(0.051), 4.0)
    assert [c.model for c in passed.calls] == ["small", "large"]


def test_the_threshold_does_not_see_the_judged_splits(duo):
    first, second, examples, catalogues, quality = duo
    split = {e.id: e.split for e in examples}
    other = {place: value if split[place[1]] == "validation" else 1 - value for place, value in quality.items()}
    one, two = (hybrid_predictions(first, second, examples, catalogues, q)[1] for q in (quality, other))
    assert one == two


def test_a_toll_keeps_requests_at_home(duo):
    pairs = pair_up(*duo[:4]).pairs
    # An escalation wins 0.6 where the first is wrong: a toll above that is never worth it.
    assert choose_gate(pairs, duo[4], toll=0.5).threshold == pytest.approx(-0.55)
    assert choose_gate(pairs, duo[4], toll=0.7).threshold == -math.inf


def test_known_shares_and_answers_of_every_policy(duo):
    pairing = pair_up(*duo[:4])
    done = {policy: apply_policy(policy, pairing, duo[4], seed=3) for policy in POLICIES}
    shares = {policy: (hybrid.report.escalated, hybrid.report.from_second) for policy, hybrid in done.items()}
    assert shares == {"always-first": (0, 0), "always-second": (1, 1), "cascade": (0.5, 0.5), "best-of-two": (1, 0),
                      "random": (0.5, 0.5), "oracle": (0.5, 0.5)}  # fmt: skip
    assert [r.chosen for r in done["oracle"].routes] == [r.chosen for r in done["cascade"].routes]
    assert all(len(r.asked) == 1 for name in ("random", "oracle", "always-first") for r in done[name].routes)
    assert all(r.asked == (0, 1) for r in done["best-of-two"].routes)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=100, max_size=100), st.integers(0, 9))
def test_the_oracle_is_a_bound_and_random_keeps_the_rate(world, values, seed):
    examples, catalogues = world
    first = answers(examples, "small", [math.sin(n) - 2 for n in range(50)])
    second = answers(examples, "large")
    quality = {(p.system, p.example, p.repeat): v for p, v in zip([*first, *second], values, strict=True)}
    pairing = pair_up(first, second, examples, catalogues)

    def total(policy):
        routes = apply_policy(policy, pairing, quality, seed=seed).routes
        return sum(quality[r.answer.system, r.answer.example, 0] for r in routes)

    assert all(total("oracle") >= total(policy) - 1e-9 for policy in POLICIES)
    one, two = (apply_policy(policy, pairing, quality, seed=seed).report for policy in ("cascade", "random"))
    assert one.escalated == two.escalated
    # On the examples it was chosen on, a cascade is at least as good as either system alone.
    validation = pairing._replace(pairs=[p for p in pairing.pairs if p.split == "validation"])
    sums = {}
    for policy in ("cascade", "always-first", "always-second"):
        routes = apply_policy(policy, validation, quality).routes
        sums[policy] = sum(quality[r.answer.system, r.answer.example, 0] for r in routes)
    assert sums["cascade"] >= max(sums.values()) - 1e-6


def test_random_is_seeded_and_does_not_depend_on_order(duo):
    first, second, examples, catalogues, quality = duo

    def chosen(seed, back=False):
        pairing = pair_up(first[::-1] if back else first, second, examples, catalogues)
        return [r.chosen for r in apply_policy("random", pairing, quality, seed=seed).routes]

    assert chosen(1) == chosen(1) == chosen(1, back=True) != chosen(2)


def test_the_validator_escalates_broken_answers_and_picks_the_better_of_two(world):
    examples, catalogues = world
    first = answers(examples, "small", status="invalid_output")
    second = answers(examples, "large")
    found, report = hybrid_predictions(first, second, examples, catalogues, {}, policy="cascade")
    assert report.escalated == 1 and all(p.flow is not None for p in found)
    assert "no threshold chosen" in report.reason and math.isnan(report.threshold)
    best, both = hybrid_predictions(first, second, examples, catalogues, {}, policy="best-of-two")
    assert both.from_second == 1 and all(len(p.calls) == 2 for p in best)


def test_no_log_probabilities_leaves_the_validator(world):
    examples, catalogues = world
    first, second = answers(examples, "nearest"), answers(examples, "large")
    report = hybrid_predictions(first, second, examples, catalogues, graded(first, second, lambda n: True))[1]
    assert (report.escalated, report.reason) == (0, "nearest reports no log-probabilities")


def test_half_missing_and_not_answered_are_left_out_and_counted(duo):
    first, second, examples, catalogues, quality = duo
    failed = [p.model_copy(update={"status": "provider_error", "flow": None}) for p in second[:10]]
    report = hybrid_predictions(first, [*failed, *second[10:25]], examples, catalogues, quality)[1]
    assert (report.n, report.left_out) == (5, 35)


@pytest.mark.parametrize("policy", POLICIES)
def test_nothing_in_common_says_so(duo, policy):
    first, _, examples, catalogues, quality = duo
    found, report = hybrid_predictions(first, [], examples, catalogues, quality, policy=policy)
    assert found == [] and report.n == 0 and math.isnan(report.escalated) and "no judged example" in report.reason


def test_fewer_repeats_are_lent_in_turn(world):
    examples, catalogues = world
    once = answers(examples[:1], "large")
    thrice = [p.model_copy(update={"repeat": n}) for n in range(3) for p in answers(examples[:1], "small")]
    pairs = pair_up(thrice, once, examples, catalogues).pairs
    assert [(p.first.repeat, p.second.repeat) for p in pairs] == [(0, 0), (1, 0), (2, 0)]


def test_confidence_weighs_tokens_and_is_nan_when_unknown():
    calls = [call("m", -1.0, tokens=30), call("m", -2.0, tokens=10), call("m", None)]
    assert confidence(Prediction(example="e", system="s", status="ok", calls=calls)) == pytest.approx(-1.25)
    assert math.isnan(confidence(Prediction(example="e", system="s", status="ok")))


def test_a_hybrid_is_specified_by_its_model(duo, tmp_path):
    spec = SystemSpec(name="hybrid", model="hybrid/cascade/small+large")
    assert hybrid_parts(spec) == ("cascade", "small", "large")
    assert hybrid_parts(SystemSpec(name="n", model="nearest")) is None
    for wrong in ("hybrid/oracle/a+b", "hybrid/cascade/a", "hybrid/cascade/a+a"):
        with pytest.raises(ValueError, match="system x: expected a model hybrid/"):
            hybrid_parts(SystemSpec(name="x", model=wrong))
    first, second, examples, catalogues, quality = duo
    done = apply_hybrids([spec], [*first, *second], examples, catalogues, quality)["hybrid"]
    path = journal_of(tmp_path, spec)
    write_predictions(path, done.predictions)
    assert read_predictions(path) == done.predictions


def test_a_hybrid_is_ready_when_both_parts_are():
    models = {"mix": "hybrid/cascade/nearest+constant", "nearest": "nearest", "constant": "constant",
              "far": "hybrid/cascade/nearest+gone", "cold": "hybrid/cascade/slm+nearest",
              "slm": "slm/none"}  # fmt: skip
    specs = [SystemSpec(name=name, model=model) for name, model in models.items()]
    table = roster(specs).set_index("system")
    assert table["ready"].to_dict() == {"mix": True, "nearest": True, "constant": True, "far": False, "cold": False,
                                        "slm": False}  # fmt: skip
    assert "gone is not in this study" in table.loc["far", "reason"]
    assert "slm is not ready" in table.loc["cold", "reason"] and table.loc["cold", "fix"]
