"""What answers requests for a small model in this process: OpenVINO GenAI on a CPU, transformers on CUDA.

Both take jobs with `start` and give finished ones back from `step`; one thread uses an engine.
"""

from __future__ import annotations

import functools
import platform
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from flowstudy.systems.slm.bases import find_base
from flowstudy.systems.slm.generate import Completion, generate, too_long
from flowstudy.systems.slm.gguf_file import write_gguf
from flowstudy.systems.slm.grammar import Form
from flowstudy.systems.slm.loading import ModelError, base_of, check_template, facts_of, fingerprint, load_model
from flowstudy.systems.slm.template import end_token, prompt_ids
from flowstudy.systems.slm.tokenizer import load_tokenizer
from flowstudy.systems.weights import cached_folder

#: Requests that OpenVINO works on at a time, and tokens that it reads in one step.
IN_FLIGHT: Final = 48
_TOKENS_A_STEP: Final = 2048
_GIB: Final = 2**30
#: Memory that the model and its key-value cache need at the least.
_LEAST_BYTES: Final = 2 * _GIB
_BY_URL: Final = "serve the model by URL (docs/models.md)"


class Job(NamedTuple):
    """One request. `form` is what decoding is held to, None for free answers."""

    messages: Sequence[dict[str, str]]
    most: int
    temperature: float
    seed: int
    form: Form | None
    answer: Future[Completion]


class Engine(Protocol):
    """A model that works on jobs. `busy` says that `step` has something to do; `gathers` that it answers what has
    come together, so that a moment's wait for more requests pays."""

    gathers: bool

    @property
    def busy(self) -> bool: ...

    def start(self, job: Job) -> None: ...

    def step(self) -> None: ...


def open_engine(folder: Path, device: str | None = None) -> Engine:
    """The engine for a model folder: OpenVINO where there is no CUDA and the base came as GGUF, else transformers.

    Raises ModelError for a folder or a machine that cannot be used.
    """
    origin = "" if device is not None or _has_cuda() else _origin(folder)
    return OpenVinoEngine(folder, origin) if origin else TransformersEngine(folder, device)


def _has_cuda() -> bool:
    if not any(Path("/proc/driver/nvidia/gpus").glob("*")):
        return False
    import torch

    return bool(torch.cuda.is_available())


def _origin(folder: Path) -> str:
    """The GGUF that the folder's base came as; "" for another kind of base."""
    if (folder / "origin.json").exists():
        return find_base("smollm2").gguf
    return base_of(folder).gguf if "base" in facts_of(folder) else ""


class TransformersEngine:
    """Answers what has come together, batch by batch."""

    gathers = True

    def __init__(self, folder: Path, device: str | None) -> None:
        self.model, self.tokenizer = load_model(folder, device=device)
        self.waiting: list[Job] = []

    @property
    def busy(self) -> bool:
        return bool(self.waiting)

    def start(self, job: Job) -> None:
        self.waiting.append(job)

    def step(self) -> None:
        """Answer all that wait with the same settings as the first."""
        first = self.waiting[0]
        same = [job for job in self.waiting if _settings(job) == _settings(first)]
        self.waiting = [job for job in self.waiting if job not in same]
        context = int(getattr(self.model.config, "max_position_embeddings", 2048))
        ready: list[tuple[Job, list[int]]] = []
        for job in same:
            ids = prompt_ids(self.tokenizer, job.messages)
            if len(ids) >= context:
                job.answer.set_exception(ModelError(f"prompt: {too_long(len(ids), context)}"))
            else:
                ready.append((job, ids))
        if not ready:
            return
        options: dict[str, Any] = {"temperature": first.temperature, "seed": first.seed, "form": first.form}
        found = generate(self.model, self.tokenizer, [ids for _, ids in ready], first.most, **options)
        for (job, _), completion in zip(ready, found, strict=True):
            job.answer.set_result(completion)


def _settings(job: Job) -> tuple[object, ...]:
    """What the jobs of a batch must have in common; the seed counts only where something is drawn."""
    return job.most, job.temperature, job.form, job.seed if job.temperature > 0 else None


class OpenVinoEngine:
    """OpenVINO GenAI with continuous batching and a prefix cache: a request starts when it comes.

    Its weights are a GGUF in the cache, written once for each model. Mean log-probabilities are those that it reports
    for the tokens that it wrote.
    """

    gathers = False

    def __init__(self, folder: Path, origin: str) -> None:
        _check_machine()
        import openvino_genai

        self.tokenizer = load_tokenizer(folder, local_files_only=True)
        check_template(folder, self.tokenizer)
        self.end, self.genai = end_token(self.tokenizer), openvino_genai
        kept = cached_folder(
            f"gguf-{fingerprint(folder)[:32]}", lambda out: _to_gguf(folder, origin, out / "model.gguf")
        )
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.max_num_seqs, scheduler.max_num_batched_tokens = IN_FLIGHT, _TOKENS_A_STEP
        scheduler.cache_size, scheduler.enable_prefix_caching = _cache_gib(), True
        try:
            self.pipe = openvino_genai.ContinuousBatchingPipeline(str(kept / "model.gguf"), scheduler, "CPU")
        except RuntimeError as error:
            raise ModelError(f"model {folder}: expected OpenVINO to load it, got: {str(error)[:300]}") from None
        self.context = context_of(folder)
        self.running: dict[int, tuple[Job, Any, int]] = {}
        self.count = 0

    @property
    def busy(self) -> bool:
        return bool(self.running)

    def start(self, job: Job) -> None:
        import numpy as np
        import openvino

        ids = prompt_ids(self.tokenizer, job.messages)
        if len(ids) >= self.context:
            job.answer.set_exception(ModelError(f"prompt: {too_long(len(ids), self.context)}"))
            return
        config = self.genai.GenerationConfig()
        config.max_new_tokens, config.eos_token_id = min(job.most, self.context - len(ids)), self.end
        config.stop_token_ids, config.logprobs, config.apply_chat_template = {self.end}, 1, False
        config.do_sample, config.rng_seed = job.temperature > 0, job.seed
        if job.temperature > 0:
            config.temperature = job.temperature
        if job.form is not None:
            held = self.genai.StructuredOutputConfig()
            setattr(held, "regex" if job.form.kind == "regex" else "json_schema", job.form.text)
            config.structured_output_config = held
        self.count += 1
        try:
            handle = self.pipe.add_request(self.count, openvino.Tensor(np.array([ids], dtype=np.int64)), config)
        except RuntimeError as error:
            job.answer.set_exception(ModelError(f"request: expected one that OpenVINO takes, got: {str(error)[:300]}"))
            return
        self.running[self.count] = (job, handle, len(ids))

    def step(self) -> None:
        """One step for all requests; those that have ended are answered."""
        self.pipe.step()
        status = self.genai.GenerationStatus
        for number, (job, handle, size) in list(self.running.items()):
            state = handle.get_status()
            if state == status.RUNNING:
                continue
            del self.running[number]
            if state != status.FINISHED:
                job.answer.set_exception(ModelError(f"request: expected an answer, got {state.name} from OpenVINO"))
                continue
            job.answer.set_result(self._completion(handle.read_all()[0], size))

    def _completion(self, output: Any, prompt: int) -> Completion:
        ids, chances = list(output.generated_ids), list(output.generated_log_probs)
        ended = output.finish_reason == self.genai.GenerationFinishReason.STOP
        written = ids[:-1] if ids and ids[-1] == self.end else ids
        text = self.tokenizer.decode(written, skip_special_tokens=True)
        mean = sum(chances) / len(chances) if chances else None
        return Completion(text, "stop" if ended else "length", prompt, len(ids), mean)


def _to_gguf(folder: Path, origin: str, out: Path) -> None:
    model, _ = load_model(folder, device="cpu")
    write_gguf(model, origin, out)


@functools.cache
def context_of(folder: Path) -> int:
    """Tokens of prompt and answer together that the model in a folder, or the base of its adapter, reads."""
    from transformers import AutoConfig

    has_config = (folder / "config.json").exists()
    config = AutoConfig.from_pretrained(str(folder) if has_config else base_of(folder).source)
    return int(config.max_position_embeddings)


def _check_machine() -> None:
    import psutil

    info = Path("/proc/cpuinfo")
    if platform.machine() in ("x86_64", "AMD64") and info.exists() and " avx2" not in info.read_text(encoding="utf-8"):
        raise ModelError(f"processor: expected one with AVX2 for OpenVINO, got none; {_BY_URL}")
    free = psutil.virtual_memory().available
    if free < _LEAST_BYTES:
        raise ModelError(
            f"memory: expected {_LEAST_BYTES / _GIB:.0f} GiB free for the model and its cache, got {free / _GIB:.1f}; "
            f"close other programs, or {_BY_URL}"
        )


def _cache_gib() -> int:
    """Memory of the key-value cache: a quarter of what is free, 1 to 4 GiB."""
    import psutil

    return int(min(4, max(1, psutil.virtual_memory().available / _GIB / 4)))
