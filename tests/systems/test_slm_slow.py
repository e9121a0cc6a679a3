"""A tiny random model goes the whole way: train, kill, resume, save, reload, serve."""

import asyncio
import json
import resource

import pytest

from flowstudy.corpus.environments import shipped_catalogue
from flowstudy.corpus.synthesis import Mix, generate
from flowstudy.systems import wire
from flowstudy.systems.slm.generate import Generator
from flowstudy.systems.slm.loading import ModelError, fingerprint
from flowstudy.systems.slm.prepare import TrainingError
from flowstudy.systems.slm.recipe import Asking, Recipe

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A model folder of a few thousand random weights with a tokenizer of its own."""
    import torch

    from flowstudy.systems.slm.seed_model import SeedPlan, new_model, save_seed
    from flowstudy.systems.slm.tokenizer import train_tokenizer

    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    plan = SeedPlan(hidden=32, layers=2, heads=2, inner=64, vocabulary=900, context=1024)
    text = "Requirement: when a record is created, send an email\nFlow:\n1 action"
    tokenizer = train_tokenizer([text] * 9, 900, 1024)
    tokenizer.save_pretrained(folder)
    save_seed(new_model(tokenizer, plan), tokenizer, folder, plan, {})
    return folder


@pytest.fixture(scope="module")
def examples():
    return list(generate(shipped_catalogue("hr"), 24, seed=0, mix=Mix(sizes=(1, 2))))


def tune(tiny, examples, out, strategy="whole", usd_per_hour=None, **options):
    from flowstudy.systems.slm.train import fine_tune

    recipe = Recipe(**{"engine": "trl", "batch": 2, "steps": 20, "evaluations": 2, "judged": 2} | options)
    return fine_tune(
        tiny, examples, examples[:2], out, recipe, Asking(k=2, strategy=strategy), usd_per_hour=usd_per_hour
    )


@pytest.fixture(scope="module")
def tuned(tiny, examples, tmp_path_factory):
    """A finished run."""
    out = tmp_path_factory.mktemp("run")
    return out, tune(tiny, examples, out, method="full", reloads=2)


def test_fine_tuning_learns_records_and_survives_a_reload(tuned):
    out, report = tuned
    curve = [json.loads(line) for line in (out / "curve.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in curve if "loss" in line]
    assert losses[-1] < losses[0]
    assert report.steps == 20 and report.same_after_reload == 2 and len(report.validation) == 2
    assert report.trainable_tokens[0] > 0 and report.tokens_per_s > 0 and "plain TRL" in report.why
    assert ">>>" in json.loads((out / "before.json").read_text())["sample"]
    assert json.loads((out / "report.json").read_text())["engine"] == "trl"


def test_the_same_call_goes_on_from_the_last_checkpoint(tiny, examples, tmp_path, monkeypatch):
    from flowstudy.systems.slm import train

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("flowstudy.systems.slm.watch.Watch.finish", killed)
        with pytest.raises(Killed):
            tune(tiny, examples, tmp_path, steps=4)
    monkeypatch.setattr(train, "_check_reload", lambda *_: None)
    curve = tmp_path / "curve.jsonl"
    lines = [json.loads(line) for line in curve.read_text().splitlines()]
    lines[-1]["seconds"] = 1000.0
    curve.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = tune(tiny, examples, tmp_path, steps=8)
    assert report.resumed_from == 4 and report.steps == 8
    assert 1000 < report.seconds < 1100, "what was spent before the kill was paid as well"
    assert report.tokens_per_s > report.tokens / report.seconds, "the speed is that of the last sitting"
    assert (tmp_path / "model" / "adapter_config.json").exists()


def test_a_corrupt_checkpoint_is_named(tiny, examples, tmp_path):
    folder = tmp_path / "checkpoints" / "checkpoint-2"
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text("{")
    with pytest.raises(TrainingError, match="checkpoint-2: expected one of this run"):
        tune(tiny, examples, tmp_path, steps=4)


def test_a_full_disk_is_told_and_training_goes_on_with_room(tiny, examples, tmp_path, monkeypatch):
    """A file size limit stands for the full disk."""
    from flowstudy.systems.slm import train

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(TrainingError, match=r"expected room for model and checkpoints, got: .*free some space"):
            tune(tiny, examples, tmp_path, steps=2, evaluations=1, method="full")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    monkeypatch.setattr(train, "_check_reload", lambda *_: None)
    assert tune(tiny, examples, tmp_path, steps=2, evaluations=1, method="full").steps == 2


def test_no_examples_and_prompts_without_room_are_errors(tiny, examples, tmp_path):
    with pytest.raises(TrainingError, match="expected at least one example, got none"):
        tune(tiny, [], tmp_path)
    with pytest.raises(TrainingError, match=f"training records {examples[0].id}"):
        tune(tiny, examples[:1], tmp_path, context=32)


def test_one_example_is_enough(tiny, examples, tmp_path, monkeypatch):
    from flowstudy.systems.slm import train

    monkeypatch.setattr(train, "_check_reload", lambda *_: None)
    assert tune(tiny, examples[:1], tmp_path, steps=2, method="full").steps == 2


def test_when_memory_runs_out_batches_are_halved_and_the_report_says_so(tiny, examples, tmp_path, monkeypatch):
    import torch
    from transformers import Trainer

    from flowstudy.systems.slm import train

    whole = Trainer.training_step

    def scarce(self, model, inputs, *more, **options):
        if len(inputs["input_ids"]) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return whole(self, model, inputs, *more, **options)

    monkeypatch.setattr(Trainer, "training_step", scarce)
    monkeypatch.setattr(train, "_check_reload", lambda *_: None)
    report = tune(tiny, examples, tmp_path, steps=2, batch=4, method="full")
    assert report.batch == "4 an update in 4 pieces of 1, since memory ran out" and report.steps == 2

    def none_left(*_, **__):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(Trainer, "training_step", none_left)
    with pytest.raises(TrainingError, match="out of memory with one example at a time; use method qlora"):
        tune(tiny, examples, tmp_path / "again", steps=2, batch=2, method="full")


def test_both_stages_are_trained_and_the_outline_is_judged(tiny, examples, tmp_path, monkeypatch):
    from flowstudy.systems.slm import train

    monkeypatch.setattr(train, "_check_reload", lambda *_: None)
    report = tune(tiny, examples[:4], tmp_path, steps=2, method="full", strategy="decomposed", usd_per_hour=3600)
    assert report.examples > 2 * 4 and len(report.validation) == 2
    assert report.cost_usd == pytest.approx(report.seconds)


def test_a_merged_export_answers_like_the_adapter(tiny, examples, tmp_path, monkeypatch):
    from flowstudy.systems.slm import train
    from flowstudy.systems.slm.export import export_model

    monkeypatch.setattr(train, "_check_reload", lambda *_: None)
    tune(tiny, examples, tmp_path, steps=6, method="lora")
    merged = export_model(tmp_path / "model", "merged")
    assert not (merged / "adapter_config.json").exists() and (merged / "flowstudy.json").exists()
    prompt = ["Requirement: when a record is created\nFlow:\n"]
    both = [Generator(folder).generate(prompt, 8)[0].text for folder in (tmp_path / "model", merged)]
    assert both[0] == both[1]
    with pytest.raises(ModelError, match="expected one of merged, gguf, got 'onnx'"):
        export_model(tmp_path / "model", "onnx")


def test_a_model_of_random_weights_writes_valid_json_when_the_schema_is_given(tiny):
    schema = json.dumps({
        "type": "object", "properties": {"step": {"enum": ["ask_for_approval", "notify"]}, "n": {"enum": [1, 2]}},
        "required": ["step", "n"], "additionalProperties": False,
    })  # fmt: skip
    answers = Generator(tiny).generate(["Requirement: a\nFlow:\n", "Flow:\n"], 120, schema=schema)
    for answer in answers:
        value = json.loads(answer.text)
        assert (
            answer.finish_reason == "stop" and value["step"] in ("ask_for_approval", "notify") and value["n"] in (1, 2)
        )


def test_batched_answers_are_those_of_one_by_one(tiny):
    generator = Generator(tiny)
    prompts = ["Requirement: a\nFlow:\n", "Requirement: when a record is created send mail\nFlow:\n", "Flow:\n"]
    together = generator.generate(prompts, 12)
    alone = [generator.generate([prompt], 12)[0] for prompt in prompts]
    assert [c.text for c in together] == [c.text for c in alone]
    for a, b in zip(together, alone, strict=True):
        assert a.mean_logprob == pytest.approx(b.mean_logprob, abs=1e-3)
        assert a.tokens <= 12 and (a.finish_reason == "length") == (a.tokens == 12)


def test_answers_that_end_early_leave_the_others_alone(examples):
    """An answer that has ended is taken out of the batch; the rest must not notice."""
    from flowstudy.systems.slm import SEED_MODEL
    from flowstudy.systems.slm.data import pairs

    prompts = [made.prompt for made in pairs(examples[:6], {"hr": shipped_catalogue("hr")}, k=4)]
    generator = Generator(SEED_MODEL)
    together = generator.generate(prompts, 80)
    assert len({c.tokens for c in together if c.finish_reason == "stop"}) > 1, "they end at different places"
    assert [c.text for c in together] == [generator.generate([prompt], 80)[0].text for prompt in prompts]


def test_a_prompt_asked_often_is_read_once_and_each_answer_has_its_own_dice(tiny, monkeypatch):
    """What is drawn depends on the seed alone, not on what else is in the batch; without a temperature all agree."""
    from flowstudy.systems.slm.reading import Reading

    read, whole = [], Reading.of

    def counted(model, rows, *more):
        read.append(len(rows))
        return whole(model, rows, *more)

    monkeypatch.setattr(Reading, "of", counted)
    generator = Generator(tiny)
    prompts, seeds = ["Requirement: a\nFlow:\n"] * 5 + ["Requirement: b c\nFlow:\n"], [3, 1, 4, 1, 5, 9]
    together = generator.generate(prompts, 12, temperature=1.0, seed=seeds)
    assert read == [2]
    alone = [generator.generate([p], 12, temperature=1.0, seed=s)[0] for p, s in zip(prompts, seeds, strict=True)]
    assert [c.text for c in together] == [c.text for c in alone]
    assert together[1].text == together[3].text and len({c.text for c in together[:5]}) == 4
    assert len({c.text for c in generator.generate(prompts[:5], 12, seed=seeds[:5])}) == 1


@pytest.mark.parametrize("window", [None, 8])
def test_any_kind_of_attention_is_answered_in_batches(tiny, window):
    """A model that forgets what is more than eight tokens back keeps another cache: its keys cannot be moved about."""
    from transformers import MistralConfig, MistralForCausalLM

    from flowstudy.systems.slm.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(tiny)
    config = MistralConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, sliding_window=window, max_position_embeddings=512,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, initializer_range=0.3,
    )  # fmt: skip
    generator = Generator.of(MistralForCausalLM(config).eval(), tokenizer)
    prompts = ["Requirement: a\nFlow:\n", "Requirement: when a record is created send mail\nFlow:\n" * 3, "Flow:\n"]
    together = generator.generate(prompts, 24, guided=False)
    alone = [generator.generate([prompt], 24, guided=False)[0] for prompt in prompts]
    assert [c.text for c in together] == [c.text for c in alone]
    if window is None:
        for answer, one in zip(together, transformers_own(generator, prompts, 24), strict=True):
            assert answer.text == one


def transformers_own(generator, prompts, most):
    """The answers of the library's own loop, one by one."""
    for prompt in prompts:
        ids = generator.tokenizer(prompt, return_tensors="pt")
        found = generator.model.generate(**ids, max_new_tokens=most, do_sample=False)[0, ids["input_ids"].shape[1] :]
        yield generator.tokenizer.decode(found, skip_special_tokens=True)


def test_a_prompt_longer_than_the_context_and_a_broken_folder_are_errors(tiny, tmp_path):
    with pytest.raises(ModelError, match="expected fewer than 1024 tokens"):
        Generator(tiny).generate(["word " * 2000])
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="expected a saved model"):
        Generator(tmp_path)


def test_another_template_is_refused(tiny, tmp_path):
    (tmp_path / "flowstudy.json").write_text('{"template_hash": "old"}')
    with pytest.raises(ModelError, match="expected template"):
        Generator(tmp_path)


def test_a_served_model_answers_through_litellm(tiny):
    from flowstudy.systems.slm import serve
    from flowstudy.systems.slm.provider import stop

    name = serve("tiny", tiny)
    litellm = wire.litellm()
    ask = [{"role": "user", "content": "Requirement: a\nFlow:"}]
    one = litellm.completion(model=name, messages=ask, max_tokens=5)
    assert one.choices[0].finish_reason in ("stop", "length")
    assert one.usage.completion_tokens <= 5 and one.usage.prompt_tokens > 3
    assert one._hidden_params["mean_logprob"] < 0
    assert wire.is_served(name) and wire.model_fingerprint(name) == fingerprint(tiny)

    async def many():
        calls = [litellm.acompletion(model=name, messages=ask, max_tokens=5) for _ in range(6)]
        return await asyncio.gather(*calls)

    answers = asyncio.run(many())
    assert {a.choices[0].message.content for a in answers} == {one.choices[0].message.content}
    assert sum(t["logprob"] for t in answers[0].choices[0].logprobs["content"]) < 0
    long = [{"role": "user", "content": "word " * 2000}]
    with pytest.raises(litellm.exceptions.BadRequestError, match="expected fewer than 1024 tokens"):
        litellm.completion(model=name, messages=long, max_tokens=5)
    stop("tiny")
    assert not wire.is_served(name)


def test_seed_training_goes_on_where_it_stopped(tmp_path):
    from flowstudy.systems.slm.seed import train_seed
    from flowstudy.systems.slm.seed_model import SeedPlan

    plan = SeedPlan(hidden=32, layers=1, heads=2, inner=32, vocabulary=700, tokens=512, longest=3000, minutes=0.02)
    first = train_seed(tmp_path, plan, log_every=1)
    again = train_seed(tmp_path, SeedPlan(**{**plan.__dict__, "minutes": 0.05}), log_every=1)
    assert again["step"] > first["step"] > 0
    assert Generator(tmp_path).generate(["Flow:\n"], 3)[0].tokens <= 3
