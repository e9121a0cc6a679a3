"""Train the seed model from nothing: `python -m flowstudy.systems.slm.seed --minutes 30` (or `make seed-slm`).

A small Llama learns to read a requirement, to copy and to use suggestions, on synthetic examples of invented
environments. It is a base to fine-tune and a demonstration, not a language model. A killed run goes on from its last
checkpoint; the learning rate falls to zero in the last third of the time.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from flowstudy.corpus.synthesis import Mix
from flowstudy.corpus.synthesis.words import QUALITIES, SYNONYMS, THINGS, plural
from flowstudy.systems.slm.data import Pair, invented_pairs
from flowstudy.systems.slm.drills import Drill, encode_drill, invented_drills
from flowstudy.systems.slm.prepare import encode

SEED: Final = Path(__file__).parent / "seed"
#: Environments that no training run uses; what is measured on them is measured on the unseen.
HELD_OUT: Final = 999


@dataclass(frozen=True)
class SeedPlan:
    """What to train and for how long. `tokens` is the size of one update, `lengths` the sequence lengths in it."""

    hidden: int = 128
    layers: int = 6
    heads: int = 4
    inner: int = 352
    vocabulary: int = 4096
    context: int = 3072
    tokens: int = 2048
    lengths: tuple[int, ...] = (512, 512, 1024)
    rate: float = 0.004
    rate_small: float = 0.001
    prompt_loss: float = 0.3
    copying: float = 0.7
    waves: bool = True
    drills: float = 0.6
    minutes: float = 30.0
    decay: float = 0.3
    seed: int = 0


def train_seed(folder: str | Path, plan: SeedPlan | None = None, *, log_every: int = 50) -> dict[str, Any]:
    """Train until the time is used up; model, tokenizer and `curve.jsonl` are in `folder`. Returns the last measures.

    Goes on from `folder/checkpoint.pt` when there is one (of the same plan, the minutes aside).
    """
    import torch

    plan = plan or SeedPlan()
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(plan.seed)
    tokenizer = _tokenizer(out, plan)
    model = new_model(tokenizer, plan)
    optimizers = _optimizers(model, plan)
    state = _resume(out, model, optimizers)
    packs = _packs(tokenizer, plan, int(state["step"]))
    held_out = held_out_batch(tokenizer)
    started, used = time.monotonic(), float(state["used_s"])
    begun, seen = time.monotonic(), 0
    while True:
        spent = used + time.monotonic() - started
        share = spent / (plan.minutes * 60)
        if share >= 1:
            break
        rate = min(1.0, (state["step"] + 1) / 100) * min(1.0, (1 - share) / plan.decay)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base"] * rate
        loss, tokens = _update(model, next(packs)(share), optimizers, plan)
        state["step"], state["tokens"], seen = state["step"] + 1, state["tokens"] + tokens, seen + tokens
        if state["step"] % log_every == 0:
            line = {"step": state["step"], "minutes": round(spent / 60, 2), "tokens": state["tokens"],
                    "loss": round(loss, 4),
                    "tokens_per_s": round(seen / (time.monotonic() - begun))}  # fmt: skip
            if state["step"] % (log_every * 5) == 0:
                line |= measure(model, held_out)
                state["used_s"] = used + time.monotonic() - started
                _checkpoint(out, model, optimizers, state)
                save_seed(model, tokenizer, out, plan, line)
            _log(out, line)
            begun, seen = time.monotonic(), 0
    state["used_s"] = plan.minutes * 60
    _checkpoint(out, model, optimizers, state)
    final = {"step": state["step"], "tokens": state["tokens"], "minutes": plan.minutes, **measure(model, held_out)}
    _log(out, final)
    save_seed(model, tokenizer, out, plan, final)
    return final


def new_model(tokenizer: Any, plan: SeedPlan) -> Any:
    """A Llama of the planned shape with random weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=plan.hidden, intermediate_size=plan.inner, num_hidden_layers=plan.layers,
        num_attention_heads=plan.heads, num_key_value_heads=plan.heads, max_position_embeddings=plan.context,
        tie_word_embeddings=True, initializer_range=0.05,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        pad_token_id=tokenizer.pad_token_id, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    _lean_to_copying(model, plan)
    _count_in_waves(model, tokenizer, plan)
    return model


def _count_in_waves(model: Any, tokenizer: Any, plan: SeedPlan) -> None:
    """Start the embeddings of `<w0>`, `<w1>`, ... as sines and cosines of the number, so that "the next word" is the
    same rotation for all of them and need not be learned number by number."""
    import torch

    if not plan.waves:
        return
    embedding = model.get_input_embeddings().weight
    half = plan.hidden // 4
    speeds = math.pi * torch.logspace(0, -2.2, half)
    with torch.no_grad():
        for kind in "wsic":
            shift = torch.randn(plan.hidden) * 0.05
            for number in range(256):
                place = tokenizer.convert_tokens_to_ids(f"<{kind}{number}>")
                if place == tokenizer.unk_token_id:
                    break
                wave = torch.cat([torch.sin(number * speeds), torch.cos(number * speeds)]) * 0.07
                embedding[place, : 2 * half] = wave
                embedding[place] += shift


def _lean_to_copying(model: Any, plan: SeedPlan) -> None:
    """Start the attention near "look at the same token, pass it on" (after mimetic initialization, Trockman and
    Kolter, 2023, arXiv 2305.09828): pointing is copying, and copying is slow to emerge from random weights."""
    import torch

    if not plan.copying:
        return
    same = torch.eye(plan.hidden)
    with torch.no_grad():
        for place, layer in enumerate(model.model.layers):
            attention = layer.self_attn
            for matrix, size in ((attention.q_proj, 0.5), (attention.k_proj, 0.5)):
                matrix.weight.add_(same, alpha=size if place else 0.0)
            if place >= plan.layers // 2:
                attention.v_proj.weight.add_(same, alpha=plan.copying)
                attention.o_proj.weight.add_(same, alpha=plan.copying)


def save_seed(model: Any, tokenizer: Any, folder: Path, plan: SeedPlan, measures: dict[str, Any]) -> None:
    """bf16 safetensors, tokenizer, config, and what the model card is written from."""
    import copy

    import torch

    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(folder, safe_serialization=True)
    tokenizer.save_pretrained(folder)
    facts = {"plan": asdict(plan), "parameters": sum(p.numel() for p in model.parameters()), "measures": measures}
    (folder / "training.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")


# ---- data ------------------------------------------------------------------------------------------------------------


def _mix(share: float, rng: random.Random) -> Mix:
    """Short flows first."""
    most = 3 if share < 0.3 else (5 if share < 0.7 else rng.choice((5, 8, 12)))
    return Mix(sizes=(1, most))


def _tokenizer(out: Path, plan: SeedPlan) -> Any:
    from flowstudy.systems.slm.tokenizer import load_tokenizer, train_tokenizer

    if (out / "tokenizer.json").exists():
        return load_tokenizer(out)
    found: Iterator[list[Pair]] = invented_pairs(plan.seed + 500, Mix(), per_environment=3)
    texts = [f"{pair.prompt}{pair.completion}" for _ in range(plan.vocabulary // 10) for pair in next(found)]
    texts += [f" {word} {plural(word)}" for word in (*THINGS, *QUALITIES, *SYNONYMS) for _ in range(3)]
    tokenizer = train_tokenizer(texts, plan.vocabulary, plan.context)
    tokenizer.save_pretrained(out)
    return tokenizer


def _packs(tokenizer: Any, plan: SeedPlan, step: int) -> Iterator[Any]:
    """Endless functions share -> (ids, labels): each sequence holds the pairs of one environment one after another,
    as prompts with shots do."""
    rng = random.Random(f"{plan.seed}|{step}")
    number = 0

    def environment(share: float) -> list[Pair]:
        nonlocal number
        number += 1
        offers = (2, 3, 4) if share < 0.3 else ((3, 4, 6) if share < 0.7 else (4, 6, 8))
        return next(invented_pairs(plan.seed + 1000 + step * 7919 + number, _mix(share, rng), offers=offers))

    def drill(share: float) -> list[Drill]:
        nonlocal number
        number += 1
        offers = (2, 3, 4) if share < 0.5 else (3, 4, 6)
        return next(invented_drills(plan.seed + 1000 + step * 7919 + number, Mix(sizes=(1, 4)), offers))

    waiting: list[Pair] = []
    exercises: list[Drill] = []

    def batch(share: float) -> tuple[list[list[int]], list[list[int]]]:
        nonlocal waiting
        length = rng.choice(plan.lengths)
        rows, labels = [], []
        drilling = rng.random() < (plan.drills if share < 0.75 else plan.drills / 3)
        for _ in range(max(1, plan.tokens // length)):
            if drilling:
                if not exercises:
                    exercises.extend(drill(share))
                one, marked = encode_drill(tokenizer, exercises.pop(), length)
                rows.append(one)
                labels.append(marked)
                continue
            ids: list[int] = []
            marks: list[int] = []
            while True:
                if not waiting:
                    waiting = environment(share)
                one, prompt = encode(tokenizer, waiting[-1])
                one, skip = (one[1:], prompt - 1) if ids else (one, prompt)
                if ids and len(ids) + len(one) > length:
                    break
                waiting.pop()
                if len(one) > plan.context:
                    continue
                ids += one
                marks += [-100] * skip + one[skip:]
            rows.append(ids)
            labels.append(marks)
        return rows, labels

    while True:
        yield batch


def held_out_batch(tokenizer: Any, count: int = 48) -> list[tuple[list[int], int]]:
    """Single prompts (no shots) of environments that training never draws."""
    found = invented_pairs(HELD_OUT, Mix(sizes=(1, 8)), per_environment=4, offers=(8,))
    pairs = [pair for _ in range(count // 4) for pair in next(found)]
    return [(ids, prompt) for ids, prompt in (encode(tokenizer, pair) for pair in pairs) if len(ids) <= 1024]


# ---- one update ------------------------------------------------------------------------------------------------------


def _optimizers(model: Any, plan: SeedPlan) -> list[Any]:
    """Muon for the matrices of the layers, AdamW for embeddings and norms; `base` is the full learning rate."""
    import torch

    from flowstudy.systems.slm.muon import new_muon

    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n and "lm_head" not in n]
    chosen = {id(p) for p in matrices}
    rest = [p for p in model.parameters() if id(p) not in chosen]
    muon = new_muon(matrices, plan.rate)
    adam = torch.optim.AdamW(rest, lr=plan.rate_small, betas=(0.9, 0.95), weight_decay=0.0)
    for optimizer, rate in ((muon, plan.rate), (adam, plan.rate_small)):
        for group in optimizer.param_groups:
            group["base"] = rate
    return [muon, adam]


def _forward(
    model: Any, rows: list[list[int]], labels: list[list[int]], prompt_loss: float = 0.0
) -> tuple[Any, Any, Any, Any]:
    """Loss to lower, loss over the labelled tokens, their logits, and the labels. Padding stands at the end, where a
    causal model cannot see it, so that no mask is needed."""
    import torch

    width = max(map(len, rows))
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows])
    marks = torch.tensor([row + [-100] * (width - len(row)) for row in labels])[:, 1:]
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    wanted = marks != -100
    logits = model.lm_head(hidden[wanted])
    loss = torch.nn.functional.cross_entropy(logits, marks[wanted], reduction="sum") / max(1, int(wanted.sum()))
    whole = loss
    if prompt_loss:
        other = ~wanted & (torch.rand(wanted.shape) < 0.3) & (ids[:, 1:] != 0)
        guesses = model.lm_head(hidden[other])
        total = torch.nn.functional.cross_entropy(guesses, ids[:, 1:][other], reduction="sum")
        whole = loss + prompt_loss * total / max(1, int(other.sum()))
    return whole, loss, logits, marks[wanted]


def _update(
    model: Any, batch: tuple[list[list[int]], list[list[int]]], optimizers: list[Any], plan: SeedPlan
) -> tuple[float, int]:
    import torch

    model.train()
    rows, labels = batch
    whole, loss, _, _ = _forward(model, rows, labels, plan.prompt_loss)
    whole.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise FloatingPointError(f"seed training: expected a finite loss, got {value}; lower `rate`")
    return value, sum(map(len, rows))


def measure(model: Any, held_out: list[tuple[list[int], int]]) -> dict[str, float]:
    """Loss, share of right next tokens, and share of answers right to the last token, on unseen environments."""
    import torch

    model.eval()
    losses, right, total, whole = 0.0, 0, 0, 0
    with torch.no_grad():
        for ids, prompt in held_out:
            _, loss, logits, marks = _forward(model, [ids], [[-100] * prompt + ids[prompt:]])
            hits = int((logits.argmax(-1) == marks).sum())
            losses, right, total = losses + float(loss) * len(marks), right + hits, total + len(marks)
            whole += hits == len(marks)
    return {"held_out_loss": round(losses / total, 4), "held_out_tokens_right": round(right / total, 4),
            "held_out_answers_right": round(whole / len(held_out), 4)}  # fmt: skip


# ---- files -----------------------------------------------------------------------------------------------------------


def _checkpoint(out: Path, model: Any, optimizers: list[Any], state: dict[str, float]) -> None:
    import torch

    draft = out / ".checkpoint.tmp"
    torch.save({"model": model.state_dict(), "optimizers": [o.state_dict() for o in optimizers], "state": state}, draft)
    draft.replace(out / "checkpoint.pt")


def _resume(out: Path, model: Any, optimizers: list[Any]) -> dict[str, Any]:
    import torch

    path = out / "checkpoint.pt"
    if not path.exists():
        return {"step": 0, "tokens": 0, "used_s": 0.0}
    try:
        saved = torch.load(path, weights_only=True)
        model.load_state_dict(saved["model"])
        for optimizer, values in zip(optimizers, saved["optimizers"], strict=True):
            bases = [group["base"] for group in optimizer.param_groups]
            optimizer.load_state_dict(values)
            for group, base in zip(optimizer.param_groups, bases, strict=True):
                group["base"] = base
    except (RuntimeError, KeyError, EOFError, ValueError, OSError) as error:
        raise ValueError(
            f"checkpoint {path}: expected one of this plan, got: {str(error)[:200]}; delete it to start anew"
        ) from None
    return dict(saved["state"])


def _log(out: Path, line: dict[str, Any]) -> None:
    with (out / "curve.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def main() -> None:
    """Command line: where to save and how long to train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=str(SEED), help="folder to save in")
    for name, value in asdict(SeedPlan()).items():
        if isinstance(value, bool):
            parser.add_argument(f"--no-{name}", dest=name, action="store_false")
        elif not isinstance(value, tuple):
            parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    options = vars(parser.parse_args())
    train_seed(options.pop("out"), SeedPlan(**options))


if __name__ == "__main__":
    main()
