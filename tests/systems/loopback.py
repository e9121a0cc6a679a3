"""A loopback server that speaks the OpenAI, Anthropic and Gemini protocols, with a plan of faults.

`Server(plan)` asks `plan(number, request)` what to do with each request; a `Reply` says it. Hits are counted.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

FLOW = {
    "trigger": {"type": "daily", "inputs": []},
    "components": [
        {"category": "action", "definition": "create_record", "scope": "global", "order": 1, "block": None,
         "inputs": [{"name": "table", "value": "task"}]},
    ],
}  # fmt: skip


@dataclass
class Reply:
    """What the server does: an answer with `text`, or a `status` with `body`, or one of the bad manners."""

    text: str = field(default_factory=lambda: json.dumps(FLOW))
    status: int = 200
    body: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    finish: str = "stop"
    manner: str = "good"  # good | reset | half | trickle | hang | truncated
    delay_s: float = 0.0


@dataclass
class Hit:
    """One request as it arrived."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    protocol: str


Plan = Callable[[int, Hit], Reply]
FINISH = {
    "anthropic": {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"},
    "gemini": {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"},
}


def protocol_of(path: str) -> str:
    if ":generateContent" in path:
        return "gemini"
    return "anthropic" if path.endswith("/messages") else "openai"


def body_of(protocol: str, reply: Reply, model: str = "fake") -> dict[str, Any]:
    """The answer of a model as the provider would write it: 100 prompt and 50 answer tokens."""
    finish = FINISH.get(protocol, {}).get(reply.finish, reply.finish)
    if protocol == "anthropic":
        return {"id": "m", "type": "message", "role": "assistant", "model": model, "stop_reason": finish,
                "stop_sequence": None, "content": [{"type": "text", "text": reply.text}] if reply.text else [],
                "usage": {"input_tokens": 100, "output_tokens": 50}}  # fmt: skip
    if protocol == "gemini":
        part = {"parts": [{"text": reply.text}], "role": "model"} if reply.text else {"role": "model"}
        usage = {"promptTokenCount": 100, "candidatesTokenCount": 50, "totalTokenCount": 150}
        return {"candidates": [{"content": part, "finishReason": finish, "index": 0}], "usageMetadata": usage}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": model,
            "choices": [{"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": reply.text}}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150}}  # fmt: skip


class Server:
    """The server in a thread of its own; use it as a context manager."""

    def __init__(self, plan: Plan | None = None) -> None:
        self.plan: Plan = plan or (lambda number, hit: Reply())
        self.hits: list[Hit] = []
        self.busy = self.most_busy = 0
        self.port = 0
        self._loop = asyncio.new_event_loop()

    def base(self, protocol: str = "openai") -> str:
        tail = {"openai": "/v1", "anthropic": "", "gemini": "/v1beta"}[protocol]
        return f"http://127.0.0.1:{self.port}{tail}"

    def __enter__(self) -> Server:
        started = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        self._thread.start()
        started.wait(10)
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, started: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        started.set()
        self._loop.run_forever()

    async def _serve(self) -> None:
        app = web.Application(client_max_size=2**26)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        hit = Hit(request.path, json.loads(raw or b"{}"), dict(request.headers), protocol_of(request.path))
        self.hits.append(hit)
        reply = self.plan(len(self.hits), hit)
        self.busy += 1
        self.most_busy = max(self.busy, self.most_busy)
        try:
            await asyncio.sleep(reply.delay_s)
            return await self._answer(request, hit, reply)
        finally:
            self.busy -= 1

    async def _answer(self, request: web.Request, hit: Hit, reply: Reply) -> web.StreamResponse:
        body = body_of(hit.protocol, reply, hit.body.get("model", "fake"))
        text = reply.body if reply.body is not None else json.dumps(body)
        if reply.manner == "hang":
            await asyncio.sleep(60)
        if reply.manner == "truncated":
            text = text[: len(text) // 2]
        if reply.manner in ("good", "truncated"):
            kind = "text/html" if text.startswith("<") else "application/json"
            return web.Response(text=text, status=reply.status, headers=reply.headers, content_type=kind)
        if reply.manner == "reset":
            linger = struct.pack("ii", 1, 0)
            request.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)  # type: ignore[union-attr]
            request.transport.abort()  # type: ignore[union-attr]
            return web.Response()
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": str(len(text))})
        await response.prepare(request)
        if reply.manner == "trickle":
            for letter in text:
                await response.write(letter.encode())
                await asyncio.sleep(0.05)
        else:
            await response.write(text[: len(text) // 2].encode())
            request.transport.abort()  # type: ignore[union-attr]
        return response


def main(delay_s: float) -> None:
    """A server process of its own: prints its port, then the number of requests for every line read."""
    with Server(lambda number, hit: Reply(delay_s=delay_s)) as server:
        print(server.port, flush=True)
        for _ in sys.stdin:
            print(len(server.hits), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]))
