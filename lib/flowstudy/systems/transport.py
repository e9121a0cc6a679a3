"""What the transport says of a request: whether its body went out, what was answered, why no connection was made.

LiteLLM and the SDKs wrap and rename errors, and some send again without a word. aiohttp, which carries all of their
requests, reports each phase (client tracing): money and advice follow what it reports.
"""

from __future__ import annotations

import errno
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any, Final


class Traffic:
    """What one attempt put on the wire. `bodies` counts requests whose body went out, `refused` those of them that
    were answered with another status than 2xx; `fault` is what the transport raised last. `on_body` is called before
    a body goes out."""

    def __init__(self, on_body: Callable[[], None] = lambda: None) -> None:
        self.bodies = self.refused = 0
        self.fault: Exception | None = None
        self._on_body = on_body

    @property
    def billable(self) -> int:
        """Requests that a provider may charge for: received, and not answered with a refusal."""
        return self.bodies - self.refused

    def body_goes_out(self) -> None:
        self._on_body()
        self.bodies += 1


#: The attempt that the current task works on.
current: Final[ContextVar[Traffic | None]] = ContextVar("traffic", default=None)


def watch(transport: Any) -> None:
    """Have every aiohttp session of LiteLLM's transport class report to the `current` traffic."""
    from aiohttp import TraceConfig

    trace, session_of = TraceConfig(), transport.get_valid_client_session
    trace.on_request_start.append(_starts)
    trace.on_request_chunk_sent.append(_sends)
    trace.on_request_end.append(_ends)
    trace.on_request_exception.append(_fails)
    trace.freeze()

    def watched(self: Any) -> Any:
        session = session_of(self)
        if trace not in session.trace_configs:
            session.trace_configs.append(trace)
        return session

    transport.get_valid_client_session = watched


async def _starts(_session: object, request: SimpleNamespace, _params: object) -> None:
    request.traffic, request.sent = current.get() or Traffic(), False


async def _sends(_session: object, request: SimpleNamespace, _params: object) -> None:
    if not request.sent:
        request.traffic.body_goes_out()
        request.sent = True


async def _ends(_session: object, request: SimpleNamespace, params: Any) -> None:
    request.traffic.refused += request.sent and not 200 <= params.response.status < 300


async def _fails(_session: object, request: SimpleNamespace, params: Any) -> None:
    if isinstance(params.exception, Exception):
        request.traffic.fault = params.exception


def innermost(error: BaseException) -> BaseException:
    """The exception that started a chain of them."""
    seen = {id(error)}
    while (cause := error.__cause__ or error.__context__) is not None and id(cause) not in seen:
        seen.add(id(cause))
        error = cause
    return error


def advice(fault: Exception) -> tuple[str, bool]:
    """What keeps a connection from being made and what to do about it, and whether every later one meets the same."""
    import aiohttp

    cause = innermost(fault)
    if isinstance(fault, (aiohttp.ClientConnectorSSLError, aiohttp.ClientConnectorCertificateError)):
        reason = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else str(cause)
        return (
            f"the certificate of {fault.host} is not trusted ({reason}); set SSL_CERT_FILE or REQUESTS_CA_BUNDLE to a "
            "file with the certificate authority of your organisation or proxy"
        ), True
    if isinstance(fault, aiohttp.ClientHttpProxyError):
        return f"the proxy answers with status {fault.status}; check user and password in HTTPS_PROXY", True
    if isinstance(fault, aiohttp.ClientProxyConnectionError):
        return (
            f"the proxy {fault.host}:{fault.port} of HTTPS_PROXY or HTTP_PROXY is not reached ({_short(cause)}); "
            "correct or unset that variable, or add the host to NO_PROXY"
        ), False
    if isinstance(fault, aiohttp.ClientConnectorDNSError):
        return f"the host {fault.host} is not found; check its spelling in api_base, and the network", False
    if isinstance(fault, aiohttp.ClientConnectorError):
        remedy = "start that server, or correct api_base" if fault.errno == errno.ECONNREFUSED else "check the network"
        return f"{fault.host}:{fault.port} is not reached ({_short(cause)}); {remedy}", False
    return f"no connection ({_short(cause)})", False


def _short(cause: BaseException) -> str:
    name = type(cause).__name__
    return f"{name}: {cause.strerror}" if isinstance(cause, OSError) and cause.strerror else f"{name}: {cause}"
