"""Train the seed model from nothing: `python -m flowstudy.systems.slm.seed --minutes 60` (or `make seed-slm`).

A small Llama learns to read a requirement, to copy and to use suggestions, on synthetic examples of invented
environments. It is a base to fine-tune and a demonstration, not a language model. A killed run goes on from its last
checkpoint; the learning rate falls to zero in the last part of the time. `torchrun --nproc-per-node 2 -m
flowstudy.systems.slm.seed` trains in two processes that average their gradients: on a CPU two threads of one process
gain little.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from flowstudy.corpus.synthesis import Mix
from flowstudy.corpus.synthesis.words import QUALITIES, SYNONYMS, THINGS, plural
from flowstudy.systems.slm.data import Pair, invented_pairs
from flowstudy.systems.slm.drills import encode_drill, invented_drills
from flowstudy.systems.slm.muon import fast_bf16, new_muon
from flowstudy.systems.slm.prepare import encode

SEED: Final = Path(__file__).parent / "seed"
#: Environments that no training run uses; what is measured on them is measured on the unseen.
HELD_OUT: Final = 999


@dataclass(frozen=True)
class SeedPlan:
    """What to train and for how long.

    `tokens` is the size of one update of one process, `longest` the longest row in it, `shots` the share of updates
    whose prompts have shots, `drills` the share of updates that are drills (a third of it in the last quarter).
    """

    hidden: int = 160
    layers: int = 6
    heads: int = 5
    inner: int = 432
    vocabulary: int = 4096
    context: int = 3072
    tokens: int = 3072
    longest: int = 1280
    shots: float = 0.15
    rate: float = 0.01
    rate_small: float = 0.002
    prompt_loss: float = 0.3
    copying: float = 0.7
    waves: bool = True
    drills: float = 0.6
    minutes: float = 60.0
    decay: float = 0.6
    seed: int = 0


def train_seed(folder: str | Path, plan: SeedPlan | None = None, *, log_every: int = 50) -> dict[str, Any]:
    """Train until the time is used up; model, tokenizer and `curve.jsonl` are in `folder`. Returns the last measures.

    Goes on from `folder/checkpoint.pt` when there is one (of the same plan, the minutes aside).
    """
    import torch

    plan = plan or SeedPlan()
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    team = Team.join()
    torch.manual_seed(plan.seed)
    tokenizer = _tokenizer(out, plan, team)
    model = new_model(tokenizer, plan)
    optimizers = _optimizers(model, plan)
    state = _resume(out, model, optimizers)
    batches = _Batches(tokenizer, plan, team.rank, int(state["step"]))
    torch.manual_seed(plan.seed + team.rank)
    held_out = held_out_batch(tokenizer)
    started, used = time.monotonic(), float(state["used_s"])
    begun, seen = time.monotonic(), 0
    while (share := team.told((used + time.monotonic() - started) / (plan.minutes * 60))) < 1:
        _set_rates(optimizers, min(1.0, (state["step"] + 1) / 100) * min(1.0, (1 - share) / plan.decay))
        loss, tokens = _update(model, batches.next(share), optimizers, plan, team)
        state["step"], state["tokens"], seen = state["step"] + 1, state["tokens"] + tokens, seen + tokens
        if state["step"] % log_every == 0 and team.rank == 0:
            line = {"step": state["step"], "minutes": round(share * plan.minutes, 2), "tokens": state["tokens"],
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
    final = {"step": state["step"], "tokens": state["tokens"], "minutes": plan.minutes, **measure(model, held_out)}
    if team.rank == 0:
        _checkpoint(out, model, optimizers, state)
        _log(out, final)
        save_seed(model, tokenizer, out, plan, final)
    team.leave()
    return final


class Team(NamedTuple):
    """The processes that train together; alone unless started by `torchrun`."""

    rank: int
    size: int

    @classmethod
    def join(cls) -> Team:
        """Meet the others, as the environment of `torchrun` says."""
        rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
        if size > 1:
            import torch

            torch.set_num_threads(1)
            torch.distributed.init_process_group("gloo")
        return cls(rank, size)

    def told(self, number: float) -> float:
        """The first process's number, the same for all."""
        if self.size == 1:
            return number
        import torch

        shared = torch.tensor([number], dtype=torch.float64)
        torch.distributed.broadcast(shared, 0)
        return float(shared[0])

    def average_gradients(self, model: Any) -> None:
        """Every process goes on with the mean of all gradients."""
        if self.size == 1:
            return
        import torch

        gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in model.parameters()]
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        torch.distributed.all_reduce(flat)
        pieces = (flat / self.size).split([gradient.numel() for gradient in gradients])
        for parameter, piece in zip(model.parameters(), pieces, strict=True):
            parameter.grad = piece.view_as(parameter)

    def leave(self) -> None:
        """Part from the others."""
        if self.size > 1:
            import torch

            torch.distributed.destroy_process_group()


def _set_rates(optimizers: list[Any], share: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * share


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
    config._attn_implementation = "eager"  # for short rows on a CPU faster than the fused kernel
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
    most = 3 if share < 0.15 else (6 if share < 0.4 else rng.choice((6, 8, 12)))
    return Mix(sizes=(1, most))


def _tokenizer(out: Path, plan: SeedPlan, team: Team) -> Any:
    """Read from `out`, or made by the first process while the others wait."""
    from flowstudy.systems.slm.tokenizer import load_tokenizer, train_tokenizer

    if team.rank == 0 and not (out / "tokenizer.json").exists():
        found: Iterator[list[Pair]] = invented_pairs(plan.seed + 500, Mix(), per_environment=3)
        texts = [f"{pair.prompt}{pair.completion}" for _ in range(plan.vocabulary // 10) for pair in next(found)]
        texts += [f" {word} {plural(word)}" for word in (*THINGS, *QUALITIES, *SYNONYMS) for _ in range(3)]
        train_tokenizer(texts, plan.vocabulary, plan.context).save_pretrained(out)
    team.told(0)
    return load_tokenizer(out)


Rows = tuple[list[list[int]], list[list[int]]]


class _Batches:
    """Endless batches of rows with labels: single prompts, prompts with shots, and drills, each of one pool that is
    filled from invented environments and sorted by length, so that little is padding."""

    def __init__(self, tokenizer: Any, plan: SeedPlan, rank: int, step: int) -> None:
        self.tokenizer, self.plan = tokenizer, plan
        self.rng = random.Random(f"{plan.seed}|{rank}|{step}")
        self.pools: dict[str, list[tuple[list[int], list[int]]]] = {"single": [], "shots": [], "drills": []}

    def next(self, share: float) -> Rows:
        """The rows of one update when `share` (0..1) of the time has passed."""
        draw, drills = self.rng.random(), self.plan.drills * (1 if share < 0.75 else 1 / 3)
        kind = "drills" if draw < drills else ("shots" if draw < drills + (1 - drills) * self.plan.shots else "single")
        pool = self.pools[kind]
        for _ in range(50):
            if not pool:
                pool += self._filled(kind, share)
        if not pool:
            rule = f"expected some {kind} of at most {self.plan.longest} tokens, got none in 50 environments"
            raise ValueError(f"seed training: {rule}; raise `longest`")
        taken = [pool.pop(self.rng.randrange(len(pool)))]
        pool.sort(key=lambda row: abs(len(row[0]) - len(taken[0][0])), reverse=True)
        while pool and (len(taken) + 1) * max(len(taken[0][0]), len(pool[-1][0])) <= self.plan.tokens:
            taken.append(pool.pop())
        return [ids for ids, _ in taken], [labels for _, labels in taken]

    def _filled(self, kind: str, share: float) -> list[tuple[list[int], list[int]]]:
        seed, longest = self.rng.randrange(10**9), self.plan.longest
        offers = (2, 3, 4) if share < 0.2 else ((3, 4, 6) if share < 0.5 else (4, 6, 8))
        if kind == "drills":
            drills = next(invented_drills(seed, Mix(sizes=(1, 4)), offers, 24))
            return [encode_drill(self.tokenizer, drill, longest) for drill in drills]
        few = kind == "shots"
        mix = Mix(sizes=(1, 4)) if few else _mix(share, self.rng)
        pairs = next(invented_pairs(seed, mix, offers=offers[:1] if few else offers, shots=3 if few else 0))
        rows = [encode(self.tokenizer, pair) for pair in pairs]
        return [(ids, [-100] * prompt + ids[prompt:]) for ids, prompt in rows if len(ids) <= longest]


def held_out_batch(tokenizer: Any, count: int = 48) -> list[tuple[list[int], int]]:
    """Single prompts (no shots) of environments that training never draws."""
    found = invented_pairs(HELD_OUT, Mix(sizes=(1, 8)), per_environment=4, offers=(8,))
    pairs = [pair for _ in range(count // 4) for pair in next(found)]
    return [(ids, prompt) for ids, prompt in (encode(tokenizer, pair) for pair in pairs) if len(ids) <= 1024]


# ---- one update ------------------------------------------------------------------------------------------------------


def _optimizers(model: Any, plan: SeedPlan) -> list[Any]:
    """Muon for the matrices of the layers, AdamW for embeddings and norms; `base` is the full learning rate."""
    import torch

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
    with torch.autocast("cpu", torch.bfloat16, enabled=fast_bf16()):
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    hidden = hidden.float()
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


def _update(model: Any, batch: Rows, optimizers: list[Any], plan: SeedPlan, team: Team) -> tuple[float, int]:
    import torch

    model.train()
    rows, labels = batch
    whole, loss, _, _ = _forward(model, rows, labels, plan.prompt_loss)
    whole.backward()
    team.average_gradients(model)
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    value = float(loss.detach())
    if not math.isfinite(value):
        raise FloatingPointError(f"seed training: expected a finite loss, got {value}; lower `rate`")
    return value, sum(map(len, rows)) * team.size


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
