"""A tiny model of random weights goes the whole way: train, kill, resume, save, keep, reload, answer. The real base is
asked where its weights matter."""

from __future__ import annotations

import json
import math
import re
import resource
import shutil
from concurrent.futures import Future
from contextlib import nullcontext
from pathlib import Path

import pytest

from flowstudy.corpus import catalogues_for, shipped_corpus
from flowstudy.files import hash_file
from flowstudy.systems.slm import adapters, judge, train
from flowstudy.systems.slm.bases import find_base
from flowstudy.systems.slm.data import Teaching, pairs
from flowstudy.systems.slm.engine import Job, TransformersEngine, open_engine
from flowstudy.systems.slm.generate import generate
from flowstudy.systems.slm.grammar import Form
from flowstudy.systems.slm.loading import ModelError, load_model
from flowstudy.systems.slm.prepare import TrainingError
from flowstudy.systems.slm.recipe import Recipe
from flowstudy.systems.slm.template import prompt_ids
from flowstudy.systems.weights import WeightsError

pytestmark = pytest.mark.slow
PROMPTS = [
    [{"role": "user", "content": "Say: the sky is blue."}],
    [{"role": "user", "content": "Name three large cities of France."}],
    [{"role": "system", "content": "You write workflows."}, {"role": "user", "content": "What is an e-mail?"}],
]


class Killed(BaseException):
    """What a signal does to a run: nothing of it is caught."""


@pytest.fixture(scope="module")
def examples():
    """Short training examples, so that their prompts are short."""
    found = [e for e in shipped_corpus() if e.split == "train" and e.domain == "hr" and e.flow.steps <= 3]
    return sorted(found, key=lambda e: len(e.requirement))[:12]


@pytest.fixture(scope="module")
def catalogues(examples):
    return catalogues_for(examples)


def tune(base, examples, out, *, teaching=None, adapter="train", validation=(), usd=None, **options):
    usual = {
        "engine": "trl", "method": "full", "rate": 2e-3, "batch": 2, "steps": 2, "max_minutes": 60.0, "evaluations": 2,
        "judged": 1, "reloads": 0,
    }  # fmt: skip
    recipe = Recipe(**usual | options)
    teaching = teaching or Teaching(k=2, rename=0.0)
    return train.fine_tune(
        str(base), examples, validation, out, recipe, teaching, adapter=adapter, usd_per_hour=usd
    )  # fmt: skip


def shorten(patch):
    """Validation answers of a few tokens: those of random weights do not end by themselves."""
    whole = judge.generate
    patch.setattr(
        judge, "generate", lambda model, tokenizer, prompts, most: whole(model, tokenizer, prompts, min(most, 24))
    )


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of its own, no second process, short validation answers."""
    monkeypatch.setenv("FLOWSTUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(train, "fresh_process", lambda: nullcontext(None))
    monkeypatch.setattr(train, "_check_reload", lambda *_: None)
    shorten(monkeypatch)
    return tmp_path / "cache"


LEARNT = {"method": "lora", "rate": 2e-2, "steps": 24, "reloads": 2}


@pytest.fixture(scope="module")
def tuned(tiny, examples, tmp_path_factory):
    """A finished run with everything, its folder and its cache."""
    out, cache = tmp_path_factory.mktemp("run"), tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLOWSTUDY_CACHE", str(cache))
        shorten(patch)
        report = tune(tiny, examples[:4], out, validation=examples[:1], **LEARNT)
    return out, report, cache


def test_fine_tuning_learns_records_and_survives_a_reload(tuned, tiny):
    out, report, _ = tuned
    curve = [json.loads(line) for line in (out / "curve.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in curve if "loss" in line]
    assert losses[-1] < 0.7 * losses[0]
    assert report.steps == 24 and report.same_after_reload == 2 and len(report.validation) == 2
    assert report.trainable_tokens[0] > 0 and report.tokens_per_s > 0 and report.estimate_s > 0
    assert report.why == "plain TRL was asked for" and report.made == "trained in this run"
    assert 0 < report.trainable_parameters < report.parameters / 10
    before, after = (json.loads((out / name).read_text()) for name in ("before.json", "report.json"))
    assert "<|im_start|>assistant\n>>>trigger " in before["sample"] and before["last_loss"] is None
    assert after["last_loss"] == losses[-1] == report.last_loss
    assert after["sha256"] == find_base(str(tiny)).sha256 and not (out / "checkpoints").exists()


class Trained(Exception):
    """Raised in the place of training."""


@pytest.fixture
def untrained(monkeypatch):
    """Nothing can be trained here."""

    def refuse(*_):
        raise Trained

    monkeypatch.setattr(train, "fresh_process", lambda: nullcontext(None))
    monkeypatch.setattr(train, "_fit", refuse)


def test_the_same_training_is_found_again_and_another_one_is_not(
    tuned, tiny, examples, tmp_path, monkeypatch, untrained
):
    out, first, cache = tuned
    monkeypatch.setenv("FLOWSTUDY_CACHE", str(cache))
    same = {**LEARNT, "adapter": "auto", "validation": examples[:1]}
    again = tune(tiny, examples[:4], tmp_path / "again", **same | {"max_minutes": 99.0, "reloads": 0})
    assert again.made.startswith("kept from an earlier run (")
    assert (again.steps, again.validation, again.last_loss) == (
        first.steps,
        [list(v) for v in first.validation],
        first.last_loss,
    )
    for name in ("curve.jsonl", "model/adapter_model.safetensors", "model/tokenizer.json", "model/flowstudy.json"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()
    stored = json.loads((tmp_path / "again" / "report.json").read_text())
    assert stored["made"] == again.made and stored["model_dir"] == str(tmp_path / "again" / "model")
    for examples_, options in (
        (examples[:3], same), (examples[:4], {**same, "seed": 1}), (examples[:4], {**same, "adapter": "train"}),
        (examples[:4], {**same, "teaching": Teaching(k=3, rename=0.0)}),
    ):  # fmt: skip
        with pytest.raises(Trained):
            tune(tiny, examples_, tmp_path / "other", **options)


def test_a_training_cut_by_its_time_limit_is_no_substitute_for_a_longer_one(
    cache, tiny, examples, tmp_path, monkeypatch
):
    options = {"steps": 6, "adapter": "auto"}
    report = tune(tiny, examples[:2], tmp_path / "short", max_minutes=1e-4, **options)
    assert report.stopped == "time limit after 1 of 6 steps" and report.steps == 1

    def refuse(*_):
        raise Trained

    monkeypatch.setattr(train, "_fit", refuse)
    assert tune(tiny, examples[:2], tmp_path / "again", max_minutes=1e-4, **options).made.startswith("kept")
    with pytest.raises(Trained):
        tune(tiny, examples[:2], tmp_path / "long", max_minutes=5.0, **options)


def test_an_adapter_for_another_base_is_refused(tuned, tiny, tmp_path):
    out, _, cache = tuned
    kept = next((cache / "adapters").glob("*/report.json")).parent
    base = find_base(str(tiny))._replace(sha256="0" * 64)
    with pytest.raises(WeightsError, match=r"expected one for base .* 000000000000, got one for"):
        adapters.take(kept, tmp_path, base)
    assert list(tmp_path.iterdir()) == []
    cut = shutil.copytree(kept, tmp_path / "cut")
    (cut / "adapter_model.safetensors").write_bytes((cut / "adapter_model.safetensors").read_bytes()[:-4])
    with pytest.raises(WeightsError, match=r"cut: expected weights with SHA-256 \w{12}, got .*train"):
        adapters.take(cut, tmp_path / "out", find_base(str(tiny)))
    assert not (tmp_path / "out").exists()
    folder = shutil.copytree(out / "model", tmp_path / "model")
    facts = json.loads((folder / "flowstudy.json").read_text())
    (folder / "flowstudy.json").write_text(json.dumps({**facts, "sha256": "0" * 64}))
    with pytest.raises(ModelError, match=r"with SHA-256 000000000000, got .*fine-tune again"):
        load_model(folder)
    (folder / "flowstudy.json").write_text("{}")
    with pytest.raises(ModelError, match="expected `base`"):
        load_model(folder)


def test_another_template_and_a_broken_folder_are_refused(tuned, tmp_path):
    folder = shutil.copytree(tuned[0] / "model", tmp_path / "model")
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    with pytest.raises(ModelError, match="expected chat template"):
        load_model(folder)
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="expected a saved model or adapter"):
        load_model(folder)


def test_merged_weights_answer_as_adapter_and_base_do(tuned, tiny, examples, catalogues):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    folder = tuned[0] / "model"
    merged, tokenizer = load_model(folder, device="cpu")
    assert not hasattr(merged, "peft_config")
    assert merged.lm_head.weight.data_ptr() == merged.model.embed_tokens.weight.data_ptr(), "still tied"
    base = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    adapted = PeftModel.from_pretrained(base, str(folder)).eval()
    found = pairs(examples[:3], catalogues, Teaching(k=2, rename=0.0))
    prompts = [prompt_ids(tokenizer, pair.messages) for pair in found]
    both = [[one.text for one in generate(model, tokenizer, prompts, 24)] for model in (merged, adapted)]
    assert both[0] == both[1] and all(both[0])
    plain, _ = load_model(tiny, device="cpu")
    assert [one.text for one in generate(plain, tokenizer, prompts, 24)] != both[0], "the adapter does something"


def test_a_killed_run_goes_on_from_its_last_checkpoint(cache, tiny, examples, tmp_path, monkeypatch):
    from flowstudy.systems.slm.watch import Watch

    whole = Watch.stepped

    def killed(self, state, control):
        if state.global_step == 5:
            raise Killed
        return whole(self, state, control)

    with monkeypatch.context() as patch:
        patch.setattr(Watch, "stepped", killed)
        with pytest.raises(Killed):
            tune(tiny, examples, tmp_path, steps=8)
    curve = tmp_path / "curve.jsonl"
    lines = [json.loads(line) for line in curve.read_text().splitlines()]
    lines[-1]["seconds"] = 1000.0
    curve.write_text("".join(json.dumps(line) + "\n" for line in lines))
    report = tune(tiny, examples, tmp_path, steps=8)
    assert report.resumed_from == 4 and report.steps == 8
    assert 1000 < report.seconds < 1500, "what was spent before the kill was paid as well"
    assert report.tokens_per_s > report.tokens / report.seconds, "the speed is that of the last sitting"


def test_checkpoints_of_another_training_are_not_gone_on_from(cache, tiny, examples, tmp_path, monkeypatch):
    def killed(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("flowstudy.systems.slm.watch.Watch.finish", killed)
        with pytest.raises(Killed):
            tune(tiny, examples[:4], tmp_path, steps=4)
    assert list((tmp_path / "checkpoints").glob("checkpoint-*"))
    report = tune(tiny, examples[4:8], tmp_path, steps=4)
    assert report.resumed_from == 0 and report.steps == 4


def test_a_corrupt_checkpoint_is_named(cache, tiny, examples, tmp_path):
    folder = tmp_path / "checkpoints" / "checkpoint-2"
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text("{")
    with pytest.raises(TrainingError, match="checkpoint-2: expected one of this run"):
        tune(tiny, examples, tmp_path, steps=4)


def test_a_full_disk_is_told_and_training_goes_on_with_room(cache, tiny, examples, tmp_path):
    """A file size limit stands for the full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(TrainingError, match=r"expected room for model and checkpoints, got: .*free some space"):
            tune(tiny, examples, tmp_path, evaluations=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert tune(tiny, examples, tmp_path, evaluations=1).steps == 2


def test_no_examples_and_prompts_without_room_are_errors_and_one_example_is_enough(cache, tiny, examples, tmp_path):
    with pytest.raises(TrainingError, match="expected at least one example, got none"):
        tune(tiny, [], tmp_path)
    with pytest.raises(TrainingError, match=rf"example {examples[0].id} \(\d+ tokens\): expected a prompt below 32"):
        tune(tiny, examples[:1], tmp_path, context=32)
    assert not (tmp_path / "report.json").exists()
    report = tune(tiny, examples[:1], tmp_path)
    assert report.steps == 2 and report.validation == [] and report.cost_usd is None
    assert not json.loads((tmp_path / "report.json").read_text())["validation"]


def test_when_memory_runs_out_batches_are_halved_and_the_report_says_so(cache, tiny, examples, tmp_path, monkeypatch):
    import torch
    from transformers import Trainer

    whole = Trainer.training_step

    def scarce(self, model, inputs, *more, **options):
        if len(inputs["input_ids"]) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return whole(self, model, inputs, *more, **options)

    monkeypatch.setattr(Trainer, "training_step", scarce)
    report = tune(tiny, examples, tmp_path, batch=4)
    assert report.batch == "4 an update in 4 pieces of 1, since memory ran out" and report.steps == 2

    def none_left(*_, **__):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(Trainer, "training_step", none_left)
    with pytest.raises(TrainingError, match="out of memory with one example at a time; use method qlora"):
        tune(tiny, examples, tmp_path / "again", batch=1)


def test_both_stages_are_trained_and_the_outline_is_judged(cache, tiny, examples, tmp_path):
    teaching = Teaching(k=2, strategy="decomposed")
    report = tune(tiny, examples[:4], tmp_path, teaching=teaching, validation=examples[4:5], usd=3600)
    assert report.examples > 2 * 4 and len(report.validation) == 2
    assert report.cost_usd == pytest.approx(report.seconds)


def test_options_of_the_loss_change_what_is_learnt(cache, tiny, examples, tmp_path):
    """Weight on the prompt, noise and averaging each give other weights than the plain recipe, seed for seed."""

    def weights(name, **options):
        tune(tiny, examples[:2], tmp_path / name, **options)
        return hash_file(tmp_path / name / "model" / "model.safetensors")

    options = {
        "plain": {}, "again": {}, "prompt": {"prompt_weight": 0.5}, "noise": {"neftune": 5.0}, "mean": {"average": True}
    }  # fmt: skip
    found = {name: weights(name, **one) for name, one in options.items()}
    assert found["plain"] == found["again"] and len(set(found.values())) == 4


def test_a_model_is_written_as_gguf_and_read_back_the_same(tiny, smollm2, tmp_path):
    import gguf
    import numpy as np

    from flowstudy.systems.slm.gguf_file import write_gguf

    model, _ = load_model(tiny, device="cpu")
    write_gguf(model, smollm2.gguf, tmp_path / "model.gguf")
    reader = gguf.GGUFReader(str(tmp_path / "model.gguf"))
    found = {tensor.name: np.asarray(tensor.data) for tensor in reader.tensors}
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    assert "output.weight" not in found and len(found) == len(state) - 1, "the tied head is not written"
    parts = {
        "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_v": "self_attn.v_proj",
        "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
        "ffn_down": "mlp.down_proj", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    }  # fmt: skip
    names = {f"blk.{n}.{a}.weight": f"model.layers.{n}.{b}.weight" for n in range(2) for a, b in parts.items()}
    names |= {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
    assert names.keys() == found.keys()
    for name, own in names.items():
        rows = found[name]
        for part, heads in (("attn_q", 4), ("attn_k", 2)):
            if part in name:  # pairs of rows back into halves of each head
                rows = rows.reshape(heads, -1, 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)
        np.testing.assert_array_equal(rows, state[own].astype(rows.dtype), err_msg=name)
        assert rows.dtype == (np.float32 if rows.ndim == 1 else np.float16)
    origin = gguf.GGUFReader(smollm2.gguf)
    for field in ("tokenizer.ggml.tokens", "tokenizer.ggml.merges", "general.architecture"):
        assert reader.fields[field].contents() == origin.fields[field].contents()


def asked(engine, jobs):
    """The results of jobs (messages and options), errors included."""
    futures = []
    for messages, options in jobs:
        futures.append(Future())
        usual = {"most": 8, "temperature": 0.0, "seed": 0, "form": None}
        engine.start(Job(messages, **usual | options, answer=futures[-1]))
    while engine.busy:
        engine.step()
    return [future.exception() or future.result() for future in futures]


@pytest.fixture(scope="module")
def loop(tiny):
    return TransformersEngine(tiny, "cpu")


def test_batched_answers_are_those_of_one_by_one(loop):
    together = asked(loop, [(prompt, {"most": 12}) for prompt in PROMPTS])
    alone = [asked(loop, [(prompt, {"most": 12})])[0] for prompt in PROMPTS]
    assert [c.text for c in together] == [c.text for c in alone]
    for a, b in zip(together, alone, strict=True):
        assert a.mean_logprob == pytest.approx(b.mean_logprob, abs=1e-3) and a.mean_logprob < 0
        assert a.tokens <= 12 and (a.finish_reason == "length") == (a.tokens == 12)


def test_answers_are_those_of_the_library_s_own_loop(loop):
    """The mean log-probability too: of the tokens that were written, under the model itself."""
    import torch

    for prompt, answer in zip(PROMPTS, asked(loop, [(prompt, {}) for prompt in PROMPTS]), strict=True):
        ids = torch.tensor([prompt_ids(loop.tokenizer, prompt)])
        out = loop.model.generate(ids, max_new_tokens=8, do_sample=False, pad_token_id=2)
        new = out[0, ids.shape[1] :]
        assert answer.text == loop.tokenizer.decode(new, skip_special_tokens=True)
        chances = loop.model(out).logits[0, ids.shape[1] - 1 : -1].log_softmax(-1)
        mean = chances.gather(1, new[:, None]).mean().item()
        assert answer.mean_logprob == pytest.approx(mean, abs=1e-3)


def test_what_is_drawn_depends_on_the_seed(loop):
    options = [{"temperature": 1.0, "seed": seed} for seed in (3, 1, 3, 4)]
    first = [one.text for one in asked(loop, [(PROMPTS[0], option) for option in options[:2]])]
    alone = [asked(loop, [(PROMPTS[0], option)])[0].text for option in options[:2]]
    assert first == alone and len(set(first)) == 2
    assert len({one.text for one in asked(loop, [(PROMPTS[0], {"seed": seed}) for seed in (1, 2)])}) == 1


def test_a_prompt_longer_than_the_context_says_by_how_much_and_others_are_answered(loop):
    long = [{"role": "user", "content": "word " * 2100}]
    error, answer = asked(loop, [(long, {}), (PROMPTS[0], {})])
    assert isinstance(error, ModelError) and re.search(r"fewer than 2048 tokens, got 21\d\d", str(error))
    assert answer.tokens > 0


SCHEMA = Form("schema", json.dumps({
    "type": "object", "properties": {"step": {"enum": ["ask_for_approval", "notify"]}, "n": {"enum": [1, 2]}},
    "required": ["step", "n"], "additionalProperties": False,
}))  # fmt: skip
REGEX = Form("regex", r"trigger (daily|weekly)(\n[0-9] action [a-z_]{3,12}){1,2}")


def test_random_weights_keep_to_a_form_that_is_given(loop):
    plain, held, line = asked(loop, [(PROMPTS[0], {"most": 60, "form": form}) for form in (None, SCHEMA, REGEX)])
    value = json.loads(held.text)
    assert value["step"] in ("ask_for_approval", "notify") and value["n"] in (1, 2) and held.finish_reason == "stop"
    assert re.fullmatch(REGEX.text, line.text) and not re.fullmatch(REGEX.text, plain.text)


def test_a_form_is_kept_by_models_with_more_logits_than_tokens(tiny, tmp_path):
    """As published models of several families have them: the table of embeddings is padded."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny)
    model.resize_token_embeddings(49152 + 200)
    model.save_pretrained(tmp_path)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copyfile(tiny / name, tmp_path / name)
    (answer,) = asked(TransformersEngine(tmp_path, "cpu"), [(PROMPTS[0], {"most": 60, "form": REGEX})])
    assert re.fullmatch(REGEX.text, answer.text)


def test_an_answer_of_a_form_ends_as_the_template_ends_it(tmp_path):
    """Gemma's tokenizer says `<eos>`, its template ends an answer otherwise."""
    from test_templates import make_tokenizer
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    size = len(AutoTokenizer.from_pretrained(make_tokenizer("gemma3", tmp_path)))
    config = LlamaConfig(vocab_size=size, hidden_size=32, intermediate_size=32, num_hidden_layers=1,
                         num_attention_heads=2, initializer_range=0.3)  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    (answer,) = asked(TransformersEngine(tmp_path, "cpu"), [(PROMPTS[0], {"most": 60, "form": Form("regex", "ab{3}")})])
    assert (answer.text, answer.finish_reason) == ("abbb", "stop")


def test_a_form_that_cannot_be_followed_is_an_error(loop):
    from flowstudy.systems.slm.grammar import GrammarError, logits_processor

    with pytest.raises(GrammarError, match="expected one that llguidance takes"):
        logits_processor(Form("regex", "(unclosed"), loop.tokenizer, 1, 4)


def test_openvino_answers_as_transformers_do_and_keeps_to_forms(smollm2):
    """The real untuned base, converted to GGUF and back: the same beginnings, and everything that is asked of an
    engine. Answers agree as long as rounding does not decide between two words."""
    folder = Path(smollm2.source)
    engine = open_engine(folder)
    assert type(engine).__name__ == "OpenVinoEngine"
    long = [{"role": "user", "content": "word " * 8200}]
    *free, held, schema, error = asked(
        engine, [*((prompt, {}) for prompt in PROMPTS), (PROMPTS[0], {"most": 60, "form": REGEX}),
                 (PROMPTS[0], {"most": 60, "form": SCHEMA}), (long, {})]
    )  # fmt: skip
    model, tokenizer = load_model(folder, device="cpu")
    wanted = generate(model, tokenizer, [prompt_ids(tokenizer, prompt) for prompt in PROMPTS], 8)
    assert [one.text for one in free] == [one.text for one in wanted]
    for one, other in zip(free, wanted, strict=True):
        assert math.isfinite(one.mean_logprob) and one.mean_logprob == pytest.approx(other.mean_logprob, abs=0.1)
        assert (one.tokens, one.prompt_tokens, one.finish_reason) == (
            other.tokens,
            other.prompt_tokens,
            other.finish_reason,
        )
    assert re.fullmatch(REGEX.text, held.text), held
    assert json.loads(schema.text)["n"] in (1, 2) and schema.finish_reason == "stop"
    assert isinstance(error, ModelError) and re.search(r"fewer than 8192 tokens, got 8\d\d\d", str(error))


def test_a_machine_that_is_too_small_says_so(smollm2, monkeypatch):
    import psutil

    from flowstudy.systems.slm import engine

    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 2**30})())
    with pytest.raises(ModelError, match=r"memory: expected 2 GiB free .*, got 1\.0; close other programs"):
        open_engine(Path(smollm2.source))
    info = "flags : fpu sse avx fma"
    monkeypatch.setattr(engine.Path, "read_text", lambda *_, **__: info)
    monkeypatch.setattr(engine.platform, "machine", lambda: "x86_64")
    with pytest.raises(ModelError, match=r"processor: expected one with AVX2 .*, got none; serve the model by URL"):
        engine._check_machine()
