"""From requirement to prediction: one call (`whole`), or an outline and then the inputs of each step (`decomposed`).

Every model, small or large, goes through the same stages, prompts and parser.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

from flowstudy.flows.outline import to_outline
from flowstudy.flows.parse import ParsedFlow
from flowstudy.flows.schema import Component, Flow, Trigger
from flowstudy.systems import prompts, schemas
from flowstudy.systems.background import wait_for
from flowstudy.systems.calls import Reply, Request
from flowstudy.systems.llm import Client
from flowstudy.systems.prompts import Rendered, Stage
from flowstudy.systems.prompts.offering import takes_inputs
from flowstudy.systems.readers import read_flow, read_inputs
from flowstudy.systems.records import ANSWERS, Call, Prediction, Status, SystemSpec
from flowstudy.systems.tasks import Task, prompted

#: Goes into the key of every prediction: raise it when the same answers would be read in another way.
PIPELINE_VERSION: Final = 5


class _Failed(Exception):
    """A call that ends the prediction: its status and reason."""

    def __init__(self, status: Status, reason: str | None) -> None:
        super().__init__(reason or status)
        self.status: Status = status


def answer(task: Task, client: Client) -> Prediction:
    """One prediction, from plain (also notebook) code; see `answer_async`."""
    return wait_for(answer_async(task, client))


async def answer_async(task: Task, client: Client) -> Prediction:
    """Ask, read and repair. Never raises for what a model or provider does: the status says it.

    `refused` and `truncated` follow the provider's finish reason; `provider_error` and `budget_stop` are no answers.
    """
    return await _Run(task, client).predict()


class _Run:
    """One answer."""

    def __init__(self, task: Task, client: Client) -> None:
        self.task, self.client = task, client
        self.calls: list[Call] = []
        self.repairs: list[str] = []
        self.text = ""
        self.started = datetime.now(UTC).isoformat(timespec="seconds")

    async def predict(self) -> Prediction:
        given = self.task.outline
        if given is not None:
            self.calls, self.repairs, self.text = list(given.calls), list(given.repairs), given.text
            if given.flow is None:
                return self._prediction(given.status, None, given.error)
        try:
            parsed = await (self._whole() if self.task.spec.strategy == "whole" else self._decomposed())
        except _Failed as failed:
            return self._prediction(failed.status, None, str(failed))
        self.repairs += parsed.repairs
        status: Status = parsed.status
        if parsed.flow is not None and self.repairs:
            status = "repaired"
        return self._prediction(status, parsed.flow, parsed.error)

    def _prediction(self, status: Status, flow: Flow | None, error: str | None) -> Prediction:
        task = self.task
        return Prediction(
            example=task.example, system=task.spec.name, repeat=task.repeat, status=status, text=self.text, flow=flow,
            outline=None if flow is None else to_outline(flow), repairs=list(dict.fromkeys(self.repairs)),
            suggestions=list(task.suggestions), calls=self.calls, error=error, key=task.key, started_at=self.started,
        )  # fmt: skip

    async def _whole(self) -> ParsedFlow:
        return await self._flow_stage("whole", self._format("flow", outline=False))

    async def _decomposed(self) -> ParsedFlow:
        parsed = await self._outline()
        if parsed.flow is None:
            return parsed
        outline = parsed.flow.without_inputs()
        every = (outline.trigger, *outline.components)
        steps = [step for step in every if step is not None and takes_inputs(step, self.task.catalogue)]
        filled = await asyncio.gather(*(self._inputs_stage(outline, step) for step in steps), return_exceptions=True)
        by_place: dict[int, Any] = {}
        for step, inputs in zip(steps, filled, strict=True):
            if isinstance(inputs, BaseException):
                raise inputs
            by_place[step.order if isinstance(step, Component) else 0] = inputs
        trigger = outline.trigger and outline.trigger.model_copy(update={"inputs": by_place.get(0, [])})
        components = [c.model_copy(update={"inputs": by_place.get(c.order, [])}) for c in outline.components]
        flow = outline.model_copy(update={"trigger": trigger, "components": components})
        return parsed._replace(flow=flow)

    async def _outline(self) -> ParsedFlow:
        given = self.task.outline
        if given is not None and given.flow is not None:
            return ParsedFlow("ok", given.flow, ())
        return await self._flow_stage("outline", self._format("outline", outline=True))

    async def _flow_stage(self, stage: Stage, form: dict[str, Any] | None) -> ParsedFlow:
        """The flow in the answer; where a second turn is asked for and brings none, that of the first."""
        rendered = prompted(self.task, stage)
        reply = await self._ask(stage, rendered, form)
        self.text = reply.text
        parsed = self._read(rendered, reply.text)
        faults = self._faults(parsed) if self.task.spec.self_repair else []
        if not faults:
            return parsed
        again = prompted(self.task, "repair", faults=faults)
        said = [*rendered.messages, {"role": "assistant", "content": reply.text or "{}"}]
        try:
            turn = await self._ask("repair", again._replace(messages=[*said, *again.messages]), form)
        except _Failed as failed:
            if failed.status not in ANSWERS:
                raise
            self.text = reply.text
            return parsed
        better = self._read(rendered, turn.text)
        if better.flow is None:
            return parsed
        self.text = turn.text
        self.repairs += ["self_repair"] if parsed.flow is None else []
        return better

    def _faults(self, parsed: ParsedFlow) -> list[str]:
        """What a validator would say of an answer, at most twenty lines."""
        if parsed.flow is None:
            return [parsed.error or "no flow"]
        found = self.task.catalogue.check(parsed.flow.without_inputs(), self.task.example)
        if self.task.spec.strategy == "whole":
            found = self.task.catalogue.check(parsed.flow, self.task.example)
        return [*parsed.warnings, *map(str, found)][:20]

    async def _inputs_stage(self, outline: Flow, step: Component | Trigger) -> list[Any]:
        where = f"component {step.order}" if isinstance(step, Component) else "trigger"
        rendered = prompted(self.task, "inputs", flow=outline, step=step)
        schema = schemas.inputs_schema(step, self.task.catalogue)
        form = None
        if self.task.spec.decoding == "schema" and schema is not None:
            form = schemas.response_format("inputs", schema)
        elif self.task.spec.decoding != "free":
            form = {"type": "json_object"}
        try:
            reply = await self._ask(f"inputs {where}", rendered, form)
        except _Failed as failed:
            if failed.status not in ANSWERS:
                raise
            self.repairs.append(f"inputs left empty: {where} {failed.status}")
            return []
        repairs: list[str] = []
        inputs = read_inputs(reply.text, rendered.reads, step, self.task, repairs)
        self.repairs += [f"inputs left empty: {where} not readable"] if inputs is None else repairs
        return inputs or []

    def _read(self, rendered: Rendered, text: str) -> ParsedFlow:
        return read_flow(text, rendered.reads, self.task)

    def _format(self, name: str, *, outline: bool) -> dict[str, Any] | None:
        if self.task.spec.decoding == "json":
            return {"type": "json_object"}
        held = constraint(self.task, outline=outline)
        if held is None:
            return None
        grammar = self.task.spec.decoding == "grammar"
        return {"type": "grammar", "value": held} if grammar else schemas.response_format(name, held)

    async def _ask(self, stage: str, rendered: Rendered, form: dict[str, Any] | None) -> Reply:
        params = call_params(self.task.spec, self.task.repeat, form)
        request = Request(stage, rendered.messages, params, rendered.prompt_hash, self.task.repeat)
        reply = await self.client.complete(request)
        self.calls.append(reply.call)
        if reply.outcome != "ok":
            self.text = reply.text or self.text
            raise _Failed(reply.outcome, reply.call.error)
        return reply


def constraint(task: Task, *, outline: bool) -> Any:
    """The grammar or JSON Schema, made from what is offered, that decoding holds an answer to; None without one."""
    if task.spec.decoding == "grammar":
        from flowstudy.systems import grammars

        return grammars.outline_grammar(task.suggestions, task.catalogue)
    if task.spec.decoding == "schema":
        annotated = outline and prompts.annotated(task.shots)
        return schemas.flow_schema(task.suggestions, task.catalogue, outline=outline, annotated=annotated)
    return None


def call_params(spec: SystemSpec, repeat: int, form: dict[str, Any] | None) -> dict[str, Any]:
    """The parameters that a system asks for; what its model takes of them is decided in `capabilities`."""
    params: dict[str, Any] = {"temperature": spec.temperature, "max_tokens": spec.most_tokens}
    params["seed"] = spec.seed + repeat
    if form is not None:
        params["response_format"] = form
    for name in ("reasoning_effort", "service_tier"):
        if (value := getattr(spec, name)) is not None:
            params[name] = value
    if spec.logprobs:
        params["logprobs"] = True
    return params
