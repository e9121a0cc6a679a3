"""What a small model reads and learns from is exactly what it is asked later, and nothing is trained on nothing."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from flowstudy.corpus.environments import shipped_catalogue
from flowstudy.corpus.synthesis import Mix, generate
from flowstudy.systems.pointers import resolve_flow
from flowstudy.systems.readers import read_flow, read_inputs
from flowstudy.systems.records import SystemSpec
from flowstudy.systems.retrieval import retrieve
from flowstudy.systems.slm import SEED_MODEL
from flowstudy.systems.slm.data import Pair, completed, invented_pairs, pair, pairs, stage_pairs
from flowstudy.systems.slm.energy import EnergyMeter
from flowstudy.systems.slm.prepare import TrainingError, prepare
from flowstudy.systems.slm.seed_batches import labelled
from flowstudy.systems.slm.template import render_messages, template_hash
from flowstudy.systems.slm.tokenizer import load_tokenizer
from flowstudy.systems.tasks import Task
from flowstudy.systems.uses import catalogue_uses


class LetterTokenizer:
    """One token per character, `<begin>` in front."""

    eos_token_id, eos_token = 1, "<end>"

    def __call__(self, text, add_special_tokens=True):
        return {"input_ids": [0] * add_special_tokens + [ord(c) for c in text]}


def test_importing_the_package_loads_no_torch():
    folder = Path(__file__).parents[2] / "lib" / "flowstudy" / "systems" / "slm"
    code = "".join(f"import flowstudy.systems.slm.{path.stem}\n" for path in folder.glob("[a-z]*.py"))
    code += "import sys\nprint(sorted({'torch', 'transformers', 'litellm', 'unsloth', 'trl'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_template_adds_no_special_tokens_and_its_hash_is_its_code():
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Flow:\n"}]
    assert render_messages(messages) == "Be brief.\nFlow:\n"
    assert len(template_hash()) == 64


def test_a_training_pair_answers_with_the_flow_itself():
    catalogue = shipped_catalogue("hr")
    for example in generate(catalogue, 40, seed=4):
        offered = completed(retrieve("lexical", example, catalogue, 6), example, catalogue, random.Random(0))
        made = pair(example, catalogue, offered)
        assert made.prompt.endswith("Flow:\n")
        assert resolve_flow(made.completion, offered, example.requirement, catalogue) == example.flow


@pytest.mark.parametrize("prompt", ["pointed", "json"])
def test_the_stages_of_the_decomposed_strategy_put_together_give_the_flow(prompt):
    catalogue = shipped_catalogue("hr")
    for example in generate(catalogue, 12, seed=4):
        offered = completed(retrieve("lexical", example, catalogue, 6), example, catalogue, random.Random(0))
        outline, *rest = stage_pairs(example, catalogue, offered, prompt=prompt)
        task = Task(
            SystemSpec(name="s", model="slm/x", prompt=prompt), "x", example.requirement, offered, (), catalogue
        )
        read = read_flow(outline.completion, prompt, task).flow
        assert read.without_inputs().model_dump(
            exclude={"inputs", "outputs"}
        ) == example.flow.without_inputs().model_dump(exclude={"inputs", "outputs"})
        steps = [step for step in (example.flow.trigger, *example.flow.components) if step and step.inputs]
        for step, made in zip(steps, rest, strict=True):
            assert read_inputs(made.completion, prompt, step, task) == step.inputs
            assert "Outline" in made.prompt or "The flow so far" in made.prompt


def test_completed_suggestions_hold_all_that_the_flow_uses_in_the_order_of_the_retriever():
    catalogue = shipped_catalogue("procurement")
    for example in generate(catalogue, 20, seed=5):
        offered = completed(retrieve("lexical", example, catalogue, 2), example, catalogue, random.Random(1))
        assert catalogue_uses(example.flow) <= {(s.kind, s.name) for s in offered}
        order = ["trigger", "action", "subflow", "table", "column"]
        places = [min(order.index(s.kind), 2) if s.kind == "subflow" else order.index(s.kind) for s in offered]
        assert [p if p > 2 else min(p, 1) for p in places] == sorted(p if p > 2 else min(p, 1) for p in places)


def test_examples_of_an_unknown_domain_are_named():
    example = next(generate(shipped_catalogue("hr"), 1))
    with pytest.raises(ValueError, match=f"example {example.id}: expected a domain of"):
        pairs([example], {})


def test_only_the_answer_counts():
    ready = prepare([Pair("a", "ask", "yes"), Pair("b", "ask me", "no")], LetterTokenizer(), 100)
    assert [sum(row["completion_mask"]) for row in ready.rows] == [4, 3]
    assert ready.rows[0]["input_ids"][0] == 0 and ready.rows[0]["input_ids"][-1] == 1
    assert ready.trainable == (3, 4 if len(ready.rows) % 2 else 3, 4) and ready.truncated == 0
    assert ready.sample == "ask>>>yes<end><<<"


def test_in_seed_training_the_answers_of_shots_count_too_and_nothing_else():
    """Without the shots' answers, three quarters of a long prompt would be read and teach nothing."""
    tokenizer, seen = load_tokenizer(SEED_MODEL), set()
    for pair_ in next(invented_pairs(3, Mix(sizes=(1, 3)), per_environment=8, offers=(4,), shots=3)):
        ids, labels = labelled(tokenizer, pair_)
        shown = pair_.prompt.split("\nFlow:\n")[1:-1]
        answers = [*(text.partition("\n\n")[0] for text in shown), pair_.completion]
        wanted = [token for text in answers for token in tokenizer(text, add_special_tokens=False)["input_ids"]]
        assert [label for label in labels if label != -100] == [*wanted, tokenizer.eos_token_id]
        assert all(label in (-100, token) for label, token in zip(labels, ids, strict=True))
        seen.add(len(answers))
    assert seen == {2, 3, 4}


def test_cut_answers_are_counted():
    assert prepare([Pair("a", "ask", "a long answer")], LetterTokenizer(), 8).truncated == 1


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([], "expected at least one example, got none"),
        ([Pair("r7", "a prompt that fills everything", "x")], "training records r7: expected a prompt below 10 tokens"),
        ([Pair("r8", "ask", "")], "training records r8: expected an answer with at least one token"),
    ],
)
def test_nothing_to_learn_from_is_an_error_that_names_records(found, message):
    with pytest.raises(TrainingError, match=message):
        prepare(found, LetterTokenizer(), 10)


def test_sizes_of_the_mix_reach_the_training_pairs():
    found = list(generate(shipped_catalogue("hr"), 20, seed=1, mix=Mix(sizes=(2, 2))))
    assert all(2 <= example.flow.steps <= 6 for example in found)


def test_a_processor_counter_that_wraps_is_read_right_and_none_is_not_zero(tmp_path):
    package = tmp_path / "intel-rapl:0"
    package.mkdir()
    (package / "max_energy_range_uj").write_text("10000000000")
    (package / "energy_uj").write_text("9000000000")
    meter = EnergyMeter(tmp_path)
    (package / "energy_uj").write_text("9003600000")
    assert meter.used_wh() == pytest.approx(0.001)
    (package / "energy_uj").write_text("600000000")
    assert meter.used_wh() == pytest.approx(1600 / 3600, abs=1e-4)
    assert EnergyMeter(tmp_path / "absent").used_wh() is None
