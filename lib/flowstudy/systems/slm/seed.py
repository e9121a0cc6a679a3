"""Train the seed model from nothing: `python -m flowstudy.systems.slm.seed --minutes 120` (or `make seed-slm`).

A small Llama learns to read a requirement, to copy and to use suggestions, on synthetic examples of invented
environments. It is a base to fine-tune and a demonstration, not a language model. A killed run goes on from its last
checkpoint; the learning rate falls to zero in the last part of the time. `torchrun --nproc-per-node 2 -m
flowstudy.systems.slm.seed` trains in two processes that average their gradients: on a CPU two threads of one process
gain little. A GPU is used where there is one.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flowstudy.systems.slm import SEED_MODEL
from flowstudy.systems.slm.muon import fast_bf16, new_muon
from flowstudy.systems.slm.seed_batches import Batches, Rows, held_out_batch, seed_tokenizer
from flowstudy.systems.slm.seed_model import SeedPlan, new_model, save_seed
from flowstudy.systems.slm.seed_team import Team


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
    tokenizer = seed_tokenizer(out, plan, team)
    model = new_model(tokenizer, plan).to("cuda" if torch.cuda.is_available() else "cpu")
    optimizers = _optimizers(model, plan)
    state = _resume(out, model, optimizers)
    batches = Batches(tokenizer, plan, team.rank, int(state["step"]))
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


def _set_rates(optimizers: list[Any], share: float) -> None:
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * share


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
    device = model.device
    ids = torch.tensor([row + [0] * (width - len(row)) for row in rows], device=device)
    marks = torch.tensor([row + [-100] * (width - len(row)) for row in labels], device=device)[:, 1:]
    with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda" or fast_bf16()):
        hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1]
    hidden = hidden.float()
    wanted = marks != -100
    logits = model.lm_head(hidden[wanted])
    loss = torch.nn.functional.cross_entropy(logits, marks[wanted], reduction="sum") / max(1, int(wanted.sum()))
    whole = loss
    if prompt_loss:
        other = ~wanted & (torch.rand(wanted.shape, device=device) < 0.3) & (ids[:, 1:] != 0)
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
        saved = torch.load(path, map_location=model.device, weights_only=True)
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
    parser.add_argument("--out", default=str(SEED_MODEL), help="folder to save in")
    for name, value in asdict(SeedPlan()).items():
        if isinstance(value, bool):
            parser.add_argument(f"--no-{name}", dest=name, action="store_false")
        elif not isinstance(value, tuple):
            parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    options = vars(parser.parse_args())
    train_seed(options.pop("out"), SeedPlan(**options))


if __name__ == "__main__":
    main()
