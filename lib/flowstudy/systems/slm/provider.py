"""The LiteLLM provider `slm/<name>`: small models in this process, asked like any other model.

One thread owns each model and works on all requests that have come (see `engine`).
"""

from __future__ import annotations

import asyncio
import queue
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from flowstudy.systems import wire
from flowstudy.systems.slm.engine import Engine, Job, context_of, open_engine
from flowstudy.systems.slm.generate import Completion
from flowstudy.systems.slm.grammar import GrammarError, form_of
from flowstudy.systems.slm.loading import ModelError, fingerprint
from flowstudy.systems.slm.template import TemplateError
from flowstudy.systems.weights import WeightsError

PROVIDER: Final = "slm"
_SERVED: Final[dict[str, _Server]] = {}
_LOCK: Final = threading.Lock()


class _Server:
    """One model, its queue and its thread. The model is loaded when the first request comes."""

    def __init__(self, folder: Path, *, gather_s: float, device: str | None) -> None:
        self.folder, self.gather_s, self.device = folder, gather_s, device
        self.fingerprint = fingerprint(folder)
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._engine: Engine | None = None
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name=f"slm {folder.name}", daemon=True)
        self._thread.start()

    def ask(self, job: Job) -> Future[Completion]:
        self._jobs.put(job)
        return job.answer

    def close(self) -> None:
        self._jobs.put(None)

    def _work(self) -> None:
        started: list[Job] = []
        with ThreadPoolExecutor(1, f"slm {self.folder.name}") as model_thread:
            while not (self._stopping and not started):
                new = self._taken(wait=not started)
                failure = model_thread.submit(self._advance, new).exception()
                started = [job for job in (*started, *new) if not job.answer.done()]
                if failure is not None:
                    for job in started:
                        job.answer.set_exception(failure)
                    started, self._engine = [], None

    def _taken(self, *, wait: bool) -> list[Job]:
        """What has come; with `wait`, at least one, and what comes while no pause is as long as `gather_s` seconds."""
        found: list[Job] = []
        gathers = self._engine is None or self._engine.gathers
        while not self._stopping:
            pause = None if wait and not found else self.gather_s if wait and gathers else 0.0
            try:
                job = self._jobs.get(block=pause is None or pause > 0, timeout=pause or None)
            except queue.Empty:
                break
            if job is None:
                self._stopping = True
            elif job.answer.set_running_or_notify_cancel():
                found.append(job)
        return found

    def _advance(self, new: list[Job]) -> None:
        """Runs in the model's own thread, whose future carries whatever an engine raises to those who asked."""
        engine = self._engine = self._engine or open_engine(self.folder, self.device)
        for job in new:
            engine.start(job)
        if engine.busy:
            engine.step()


def serve(name: str, model_dir: str | Path, *, gather_s: float = 0.02, device: str | None = None) -> str:
    """Register a model folder as `slm/<name>` in this process; returns that LiteLLM name.

    Serving a name again replaces it. `gather_s` is the batching window of an engine that answers batch by batch. Raises
    ModelError when the folder holds no model; the weights are loaded with the first request.
    """
    folder = Path(model_dir)
    if not any((folder / file).exists() for file in ("config.json", "adapter_config.json")):
        raise ModelError(f"model {folder}: expected config.json or adapter_config.json, got none; fine-tune first")
    with _LOCK:
        old = _SERVED.pop(name, None)
        _SERVED[name] = _Server(folder, gather_s=gather_s, device=device)
        _register(wire.litellm())
    if old is not None:
        old.close()
    return f"{PROVIDER}/{name}"


def stop(name: str) -> None:
    """Stop serving a name; requests already waiting are answered. Unknown names are fine."""
    with _LOCK:
        server = _SERVED.pop(name, None)
    if server is not None:
        server.close()


def _register(litellm: Any) -> None:
    entries = [entry for entry in litellm.custom_provider_map or [] if entry.get("provider") != PROVIDER]
    litellm.custom_provider_map = [*entries, {"provider": PROVIDER, "custom_handler": _handler(litellm)}]
    litellm.utils.custom_llm_setup()


def _handler(litellm: Any) -> Any:
    from litellm.llms.custom_llm import CustomLLM, CustomLLMError

    class Handler(CustomLLM):
        """What LiteLLM calls."""

        def fingerprint(self, name: str) -> str:
            return _SERVED[name].fingerprint if name in _SERVED else ""

        def context(self, name: str) -> int | None:
            return context_of(_SERVED[name].folder) if name in _SERVED else None

        def serves(self, name: str) -> bool:
            return name in _SERVED

        def completion(self, model: str, messages: list, *args: Any, **options: Any) -> Any:
            answer = self._ask(model, messages, options.get("optional_params") or {})
            return self._reply(model, self._result(answer.exception() or answer.result()))

        async def acompletion(self, model: str, messages: list, *args: Any, **options: Any) -> Any:
            answer = self._ask(model, messages, options.get("optional_params") or {})
            (result,) = await asyncio.gather(asyncio.wrap_future(answer), return_exceptions=True)
            return self._reply(model, self._result(result))

        def _ask(self, model: str, messages: list, params: dict[str, Any]) -> Future[Completion]:
            server = _SERVED.get(model)
            if server is None:
                known = ", ".join(sorted(_SERVED)) or "none"
                raise CustomLLMError(status_code=404, message=f"model slm/{model}: expected a served one ({known})")
            most, temperature, seed = (params.get(name) for name in ("max_tokens", "temperature", "seed"))
            form = form_of(params.get("response_format"))
            asked = [{"role": str(m["role"]), "content": str(m["content"])} for m in messages]
            return server.ask(Job(asked, int(most or 512), float(temperature or 0.0), int(seed or 0), form, Future()))

        @staticmethod
        def _result(result: Completion | BaseException) -> Completion:
            """Torch raises what it likes; the caller gets one class."""
            if isinstance(result, Completion):
                return result
            if isinstance(result, (ModelError, GrammarError, TemplateError, WeightsError)):
                raise CustomLLMError(status_code=400, message=str(result))
            raise CustomLLMError(status_code=500, message=f"{type(result).__name__}: {result}")

        @staticmethod
        def _reply(model: str, completion: Completion) -> Any:
            """As LiteLLM wants it; the mean log-probability stands in the place of those of single tokens."""
            mean = completion.mean_logprob
            tokens = [] if mean is None else [{"token": "", "logprob": mean, "bytes": None, "top_logprobs": []}]
            choice = litellm.Choices(
                index=0, message=litellm.Message(role="assistant", content=completion.text),
                finish_reason=completion.finish_reason, logprobs={"content": tokens},
            )  # fmt: skip
            usage = litellm.Usage(
                prompt_tokens=completion.prompt_tokens, completion_tokens=completion.tokens,
                total_tokens=completion.prompt_tokens + completion.tokens,
            )  # fmt: skip
            reply = litellm.ModelResponse(model=f"{PROVIDER}/{model}", choices=[choice])
            reply.usage = usage
            return reply

    return Handler()
