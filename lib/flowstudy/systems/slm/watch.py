"""What happens during training: the curve, validation FlowSim, the best state kept, and the time limit."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flowstudy.progress import Tick
    from flowstudy.systems.slm.bases import Base
    from flowstudy.systems.slm.engines import Loaded
    from flowstudy.systems.slm.judge import Judge
    from flowstudy.systems.slm.report import TrainingReport


def as_callback(watch: Watch) -> Any:
    """The watch as a callback of the trainer."""
    from transformers import TrainerCallback

    class Callback(TrainerCallback):
        """Passes on what happens."""

        def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            watch.began(state.global_step)

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any) -> None:
            watch.logged(state.global_step, logs or {})

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:
            return watch.stepped(state, control)

    return Callback()


class Watch:
    """Writes `curve.jsonl` in `out` and stops training when the time is up or validation no longer rises."""

    def __init__(
        self, loaded: Loaded, judge: Judge, out: Path, report: TrainingReport, base: Base, total: int,
        every: int, max_minutes: float, patience: int,
    ) -> None:  # fmt: skip
        self.loaded, self.judge, self.out, self.report, self.base = loaded, judge, out, report, base
        self.every, self.patience, self.total, self.limit_s = every, patience, total, max_minutes * 60
        self.steps_done = 0
        self.started = time.monotonic()
        self.best, self.tired, self.judging_s, self.saved_at = -1.0, 0, 0.0, -1
        self.before_s = 0.0
        self.average: Average | None = None
        self.tick: Tick | None = None
        self._read_curve()

    def _read_curve(self) -> None:
        """The validation scores of a run that is going on."""
        path = self.out / "curve.jsonl"
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
        self.report.validation = [(x["step"], x["flowsim"]) for x in lines if "flowsim" in x]
        self.best = max((score for _, score in self.report.validation), default=-1.0)
        self.before_s = max((x.get("seconds", 0.0) for x in lines), default=0.0)

    def began(self, step: int) -> None:
        """A run from the beginning starts a new curve."""
        self.steps_done = step
        if step == 0:
            (self.out / "curve.jsonl").write_text("", encoding="utf-8")
            self.report.validation, self.best, self.before_s = [], -1.0, 0.0

    def done(self) -> float:
        """How far training is, 0..1: by updates or by the time limit, whichever is further. The clock has no say before
        the first update, nor in a training that the limit will not cut: the same seed gives the same weights."""
        if self.steps_done == 0:
            return 0.0
        spent = self.seconds() - self.judging_s
        return max(self.steps_done / max(1, self.total), spent / max(1e-9, self.limit_s))

    def seconds(self) -> float:
        """How long training has taken, sittings that were cut short included as far as the curve tells."""
        return round(self.before_s + time.monotonic() - self.started, 1)

    def logged(self, step: int, logs: dict[str, Any]) -> None:
        """Write the loss to the curve."""
        if "loss" in logs:
            self.report.last_loss = round(float(logs["loss"]), 4)
            self._line({"step": step, "loss": self.report.last_loss, "rate": logs.get("learning_rate")})

    def stepped(self, state: Any, control: Any) -> Any:
        """After every update: stop when the time is up, judge when it is time to."""
        if self.tick is not None:
            self.tick(note=f"loss {self.report.last_loss}, validation FlowSim {max(self.best, 0):.3f}")
        self.steps_done = int(state.global_step)
        if self.average is not None:
            self.average.update()
        if self.seconds() - self.judging_s > self.limit_s and state.global_step < state.max_steps:
            self.report.stopped = f"time limit after {state.global_step} of {state.max_steps} steps"
            control.should_training_stop = control.should_save = True
        if state.global_step % self.every == 0 and state.global_step < state.max_steps:
            self._judge_average(int(state.global_step))
            if self.tired >= self.patience:
                self.report.stopped = f"validation FlowSim did not rise {self.patience} times"
                control.should_training_stop = True
        return control

    def _judge_average(self, step: int) -> None:
        """Judge, and maybe save, the averaged weights where there are some; training goes on with its own."""
        if self.average is not None:
            self.average.swap()
        self._judge(step)
        if self.average is not None:
            self.average.swap()

    def _judge(self, step: int) -> None:
        started = time.monotonic()
        score = self.judge.score(self.loaded.model, self.loaded.tokenizer)
        self.judging_s += time.monotonic() - started
        if score is None:
            return
        self.report.validation.append((step, score))
        self._line({"step": step, "flowsim": score})
        if score > self.best:
            self.best, self.tired, self.saved_at = score, 0, step
            self._save()
        else:
            self.tired += 1

    def finish(self, trainer: Any) -> None:
        """Judge the last state, and leave the best one in `model` and in memory."""
        if self.average is not None:
            self.average.swap()
        self._judge(int(trainer.state.global_step))
        last = self.report.validation[-1][1] if self.report.validation else None
        if last is None or not (self.out / "model").exists():
            self._save()
        elif self.saved_at != int(trainer.state.global_step):
            self._load_best()
        self.report.peak_memory_gb = round(_peak_bytes() / 1e9, 2)

    def _save(self) -> None:
        folder = self.out / "model"
        self.loaded.model.save_pretrained(str(folder), safe_serialization=True)
        self.loaded.tokenizer.save_pretrained(str(folder))
        facts = {**self.base.facts(), "method": self.report.method, "template_hash": self.report.template_hash}
        (folder / "flowstudy.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")

    def _load_best(self) -> None:
        from safetensors.torch import load_file

        folder = self.out / "model"
        adapter = folder / "adapter_model.safetensors"
        if adapter.exists():
            from peft import set_peft_model_state_dict

            set_peft_model_state_dict(self.loaded.model, load_file(adapter))
        else:
            self.loaded.model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)

    def _line(self, line: dict[str, Any]) -> None:
        with (self.out / "curve.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({**line, "seconds": self.seconds()}) + "\n")


class Average:
    """An exponential moving average of the weights in training; after a kill it begins anew from the checkpoint."""

    def __init__(self, model: Any, decay: float = 0.98) -> None:
        self.decay = decay
        self.own = [weight for weight in model.parameters() if weight.requires_grad]
        self.mean = [weight.detach().clone() for weight in self.own]

    def update(self) -> None:
        """After an update of the weights."""
        for mean, weight in zip(self.mean, self.own, strict=True):
            mean.lerp_(weight.detach(), 1 - self.decay)

    def swap(self) -> None:
        """Exchange the weights and their average."""
        for mean, weight in zip(self.mean, self.own, strict=True):
            kept = weight.detach().clone()
            weight.data.copy_(mean)
            mean.copy_(kept)


def _peak_bytes() -> int:
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
