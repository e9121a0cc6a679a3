"""The LiteLLM provider `slm/<name>`: small models in this process, asked like any other model.

Requests that arrive together are answered together: one thread owns the models and takes what is waiting as a batch.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

from flowstudy.systems import wire
from flowstudy.systems.slm.generate import Completion, Generator, too_long
from flowstudy.systems.slm.grammar import GrammarError, schema_of
from flowstudy.systems.slm.loading import ModelError, fingerprint
from flowstudy.systems.slm.template import render_messages

PROVIDER: Final = "slm"
_SERVED: Final[dict[str, _Server]] = {}
_LOCK: Final = threading.Lock()


#: Most new tokens, temperature, and the JSON schema of the answer if there is one.
Settings = tuple[int, float, str | None]


class _Job(NamedTuple):
    prompt: str
    seed: int
    settings: Settings
    answer: Future[Completion]


class _Server:
    """One model, its queue and its thread. The model is loaded when the first request comes."""

    def __init__(self, folder: Path, *, gather_s: float, most: int, device: str | None) -> None:
        self.folder, self.gather_s, self.most, self.device = folder, gather_s, most, device
        self.fingerprint = fingerprint(folder)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._generator: Generator | None = None
        self._thread = threading.Thread(target=self._work, name=f"slm {folder.name}", daemon=True)
        self._thread.start()

    def ask(self, prompt: str, seed: int, settings: Settings) -> Future[Completion]:
        job = _Job(prompt, seed, settings, Future())
        self._jobs.put(job)
        return job.answer

    def close(self) -> None:
        self._jobs.put(None)

    def _work(self) -> None:
        with ThreadPoolExecutor(1, f"slm {self.folder.name}") as model_thread:
            while (first := self._jobs.get()) is not None:
                batch, stop = self._gather(first)
                failure = model_thread.submit(self._answer, batch).exception()
                for job in batch:
                    if failure is not None and not job.answer.done():
                        job.answer.set_exception(failure)
                if stop:
                    return

    def _gather(self, first: _Job) -> tuple[list[_Job], bool]:
        """Everything that waits, and comes while no pause is as long as `gather_s` seconds; True when the server is to
        stop after it."""
        batch = [first]
        while len(batch) < self.most:
            try:
                job = self._jobs.get(timeout=self.gather_s)
            except queue.Empty:
                break
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False

    def _answer(self, batch: Sequence[_Job]) -> None:
        """Runs in the model's own thread, whose future carries whatever torch raises to those who asked."""
        generator = self._generator = self._generator or Generator(self.folder, device=self.device)
        for settings in dict.fromkeys(job.settings for job in batch):
            group = [job for job in batch if job.settings == settings and job.answer.set_running_or_notify_cancel()]
            fits = [job for job in group if not _too_long(generator, job)]
            most, temperature, schema = settings
            asked, seeds = [job.prompt for job in fits], [job.seed for job in fits]
            found = generator.generate(asked, most, temperature=temperature, seed=seeds, schema=schema)
            for job, completion in zip(fits, found, strict=True):
                job.answer.set_result(completion)


def _too_long(generator: Generator, job: _Job) -> bool:
    size = len(generator.tokenizer(job.prompt)["input_ids"])
    if size < generator.context:
        return False
    job.answer.set_exception(ModelError(f"prompt: {too_long(size, generator.context)}"))
    return True


def serve(
    name: str, model_dir: str | Path, *, gather_s: float = 0.02, most: int = 64, device: str | None = None
) -> str:
    """Register a model folder as `slm/<name>` in this process; returns that LiteLLM name.

    Serving a name again replaces it. `gather_s` is how long a request waits for company, and that for more. Raises
    ModelError when the folder holds no model; the weights are loaded with the first request.
    """
    folder = Path(model_dir)
    if not any((folder / file).exists() for file in ("config.json", "adapter_config.json")):
        raise ModelError(f"model {folder}: expected config.json or adapter_config.json, got none; fine-tune first")
    with _LOCK:
        old = _SERVED.pop(name, None)
        _SERVED[name] = _Server(folder, gather_s=gather_s, most=most, device=device)
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

        def serves(self, name: str) -> bool:
            return name in _SERVED

        def completion(self, model: str, messages: list, *args: Any, **options: Any) -> Any:
            settings, answer = self._ask(model, messages, options.get("optional_params") or {})
            return self._reply(model, settings, self._result(answer.exception() or answer.result()))

        async def acompletion(self, model: str, messages: list, *args: Any, **options: Any) -> Any:
            settings, answer = self._ask(model, messages, options.get("optional_params") or {})
            (result,) = await asyncio.gather(asyncio.wrap_future(answer), return_exceptions=True)
            return self._reply(model, settings, self._result(result))

        def _ask(self, model: str, messages: list, params: dict[str, Any]) -> tuple[Settings, Future[Completion]]:
            server = _SERVED.get(model)
            if server is None:
                known = ", ".join(sorted(_SERVED)) or "none"
                raise CustomLLMError(status_code=404, message=f"model slm/{model}: expected a served one ({known})")
            most, temperature, seed = (params.get(name) for name in ("max_tokens", "temperature", "seed"))
            schema = schema_of(params.get("response_format"))
            settings = (int(most or 512), float(temperature or 0.0), schema)
            return settings, server.ask(render_messages(messages), int(seed or 0), settings)

        @staticmethod
        def _result(result: Completion | BaseException) -> Completion:
            """Torch raises what it likes; the caller gets one class."""
            if isinstance(result, Completion):
                return result
            if isinstance(result, (ModelError, GrammarError)):
                raise CustomLLMError(status_code=400, message=str(result))
            raise CustomLLMError(status_code=500, message=f"{type(result).__name__}: {result}")

        @staticmethod
        def _reply(model: str, settings: Settings, completion: Completion) -> Any:
            tokens: list[dict[str, Any]] = [
                {"token": "", "logprob": value, "bytes": None, "top_logprobs": []} for value in completion.logprobs
            ]
            message = litellm.Message(
                role="assistant", content=completion.text,
                provider_specific_fields={"mean_logprob": completion.mean_logprob},
            )  # fmt: skip
            choice = litellm.Choices(
                index=0, message=message, finish_reason=completion.finish_reason, logprobs={"content": tokens}
            )
            usage = litellm.Usage(
                prompt_tokens=completion.prompt_tokens, completion_tokens=completion.tokens,
                total_tokens=completion.prompt_tokens + completion.tokens,
            )  # fmt: skip
            reply = litellm.ModelResponse(model=f"{PROVIDER}/{model}", choices=[choice])
            reply.usage = usage
            reply._hidden_params = {**(reply._hidden_params or {}), "mean_logprob": completion.mean_logprob}
            return reply

    return Handler()
