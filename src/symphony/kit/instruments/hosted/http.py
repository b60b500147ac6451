"""Requests over HTTP, and everything that can go wrong with them, as errors that say what to do."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from symphony.commons.secrets import MASK
from symphony.commons.settings import ModelConfig
from symphony.kit.http_client import PIECES_AT_ONCE, no_cookies
from symphony.kit.instruments.hosted.faults import UNPAID, UNPAID_HINT, Fault
from symphony.kit.instruments.hosted.retrying import OVERLOADED, RETRIED, retry_after_s
from symphony.kit.instruments.hosted.wire import (
    URL_HINT,
    AnswerCutShort,
    BrokenAnswer,
    ModelRequest,
    Overloaded,
    ServerFailed,
    TemporaryFailure,
    TooLate,
    Unreachable,
    shown,
)
from symphony.ports.clock import Clock
from symphony.ports.models import ModelFailed

if TYPE_CHECKING:
    import httpx2

T = TypeVar("T")

BODY_BYTES_MAX = 64 * 1024 * 1024
"""Bytes of an answer that comes whole: 2,048 vectors of 3,072 numbers as text are 60 MB."""
STREAM_BYTES_MAX = 64 * 1024 * 1024
_ERROR_BYTES_MAX = 64 * 1024
_STREAM, _JSON = "text/event-stream", "application/json"
_ALSO_STREAMS = ("application/x-ndjson", "application/octet-stream", "text/plain")
"""What some servers call a stream of events."""
_PERHAPS_UNPAID = (400, 403, 429)
_LOCAL = ("http://127.0.0.1", "http://localhost", "http://[::1]")


class ModelConnection:
    """One model's address. Use from one event loop; `close` it."""

    def __init__(
        self, name: str, config: ModelConfig, url: str, clock: Clock, fault: Callable[[bytes], Fault]
    ) -> None:
        """`fault` finds what the provider says in the body of an error."""
        self._name, self._config, self._url, self._clock = name, config, url.rstrip("/"), clock
        self._fault = fault
        self._client: httpx2.AsyncClient | None = None

    async def close(self) -> None:
        """Close every connection."""
        if self._client is not None:
            await self._client.aclose()

    async def whole(self, request: ModelRequest) -> bytes:
        """Return the body of the answer, at most 64 MiB. Raises BrokenAnswer, TemporaryFailure,
        ModelFailed.
        """
        async with self._answered(request) as response:
            self._expect(response, _JSON)
            return await self._body(response)

    async def _body(self, response: "httpx2.Response") -> bytes:
        body, number = bytearray(), 0
        pieces = response.aiter_bytes()
        while (piece := await self._next(pieces, started=True)) is not None:
            body += piece
            number += 1
            if len(body) > BODY_BYTES_MAX:
                raise self._too_large(BODY_BYTES_MAX)
            if number % PIECES_AT_ONCE == 0:
                await asyncio.sleep(0)
        return bytes(body)

    @contextlib.asynccontextmanager
    async def stream(self, request: ModelRequest) -> AsyncIterator[AsyncIterator[str] | bytes]:
        """The data of each server-sent event; or the body, from a server that answers whole anyway.

        Leaving the block closes the stream: the server notices. Raises as `whole`, here and while
        iterating.
        """
        import httpx2

        async with self._answered(request) as response:
            kind = _kind(response)
            if kind == _JSON:
                yield await self._body(response)
                return
            if kind in _ALSO_STREAMS:
                response.headers["content-type"] = _STREAM
            self._expect(response, _STREAM)
            response.encoding = "utf-8"  # as the standard has it, whatever the server says
            yield self._events(aiter(httpx2.EventSource(response)), response)

    async def _events(
        self, events: "AsyncIterator[httpx2.ServerSentEvent]", response: "httpx2.Response"
    ) -> AsyncIterator[str]:
        number = 0
        while (event := await self._next(events, started=number > 0)) is not None:
            number += 1
            if response.num_bytes_downloaded > STREAM_BYTES_MAX:  # events without data count, too
                raise self._too_large(STREAM_BYTES_MAX)
            if number % PIECES_AT_ONCE == 0:
                await asyncio.sleep(0)  # many small ones in one piece of the stream keep nobody waiting
            if event.data:
                yield event.data

    async def _next(self, items: AsyncIterator[T], *, started: bool) -> T | None:
        """Return the next item in time; None at the end."""
        limit_s = self._config.idle_timeout if started else self._config.first_byte_timeout
        with self._explained():
            try:
                async with asyncio.timeout(limit_s):
                    return await anext(items, None)
            except TimeoutError:
                which = "idle_timeout" if started else "first_byte_timeout"
                raise self._late(f"nothing came for {limit_s:g} s", which) from None

    @contextlib.asynccontextmanager
    async def _answered(self, request: ModelRequest) -> "AsyncIterator[httpx2.Response]":
        """The response to `request`, its head read and its status good."""
        client = self._client or await self._opened()
        headers = {
            **request.headers,
            "Content-Type": _JSON,
            "Accept": _STREAM if request.streamed else _JSON,
            "Accept-Encoding": "identity",  # nothing that grows when it is unpacked
        }
        sent = client.build_request("POST", self._url + request.path, headers=headers, content=request.body)
        with self._explained():
            try:
                async with asyncio.timeout(self._config.connect_timeout + self._config.first_byte_timeout):
                    response = await client.send(sent, stream=True)
            except TimeoutError:
                limit_s = self._config.first_byte_timeout
                raise self._late(f"no answer within {limit_s:g} s", "first_byte_timeout") from None
        try:
            if response.status_code != 200:
                raise await self._refusal(response, request.secret)
            if response.headers.get("content-encoding", "identity") != "identity":
                raise BrokenAnswer(f"{self._at()} packs its answer though it was asked not to", hint=URL_HINT)
            yield response
        finally:
            await response.aclose()

    async def _opened(self) -> "httpx2.AsyncClient":
        import httpx2

        # Else nothing is read from disk for it. It takes as long as many requests: not on the loop.
        verify = await asyncio.to_thread(_trusted) if self._url.startswith("https:") else False
        if self._client is None:
            self._client = httpx2.AsyncClient(
                timeout=httpx2.Timeout(None, connect=self._config.connect_timeout),
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=20),
                verify=verify,
                trust_env=not self._url.startswith(_LOCAL),  # a proxy cannot reach this machine
                cookies=no_cookies(),
            )
        return self._client

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """The client's exceptions as ours."""
        import httpx2

        try:
            yield
        except httpx2.ConnectTimeout as error:
            limit_s = self._config.connect_timeout
            raise self._late(f"no connection within {limit_s:g} s", "connect_timeout") from error
        except httpx2.ConnectError as error:
            raise Unreachable(
                f"cannot connect to {self._at()}: {error}", hint="is the address right, and the network up?"
            ) from error
        except httpx2.SSEError as error:
            raise self._too_large(0) from error
        except (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError, httpx2.CloseError) as error:
            raise AnswerCutShort(
                f"the connection to {self._at()} broke: {str(error) or type(error).__name__}",
                hint="the answer did not come to its end; try again",
            ) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            raise BrokenAnswer(f"{self._at()}: {type(error).__name__}: {error}", hint=URL_HINT) from error

    async def _refusal(self, response: "httpx2.Response", secret: str | None) -> ModelFailed:
        """Return the error in a response whose status is not 200."""
        status = response.status_code
        body = bytearray()
        try:
            with self._explained():
                async with asyncio.timeout(self._config.idle_timeout):
                    async for piece in response.aiter_bytes():
                        body += piece
                        if len(body) >= _ERROR_BYTES_MAX:
                            break
        except (TimeoutError, ModelFailed):
            pass  # the status alone says enough
        fault = self._fault(bytes(body[:_ERROR_BYTES_MAX]))
        said = shown(fault.words.replace(secret, MASK) if secret else fault.words)
        message = f"{self._at()} answered {status}{': ' + said if said else ''}"
        told_to_wait = "retry-after" in response.headers
        if (status == 402 and not told_to_wait) or (status in _PERHAPS_UNPAID and fault.unpaid):
            return ModelFailed(message, code=UNPAID, hint=UNPAID_HINT)
        if status in RETRIED or status >= 500 or status == 402:
            error: TemporaryFailure
            if status in OVERLOADED or status == 402 or fault.overloaded:
                error = Overloaded(message, hint="try again later, or lower requests_per_minute of the model")
            else:
                error = ServerFailed(message, hint="the fault is at the provider: try again later")
            error.ill = status >= 500
            error.asked_s = retry_after_s(response.headers.get("retry-after"), self._clock.now_s())
            return error
        return ModelFailed(message, code=_code(status), hint=self._hint(status))

    def _hint(self, status: int) -> str:
        if status in (401, 403):
            key = self._config.key
            return f"is the key in {key} right, and may it use this model?" if key else "set key of the model"
        if status == 404:
            return f"is there a model {self._config.model or self._name!r} at that address? {URL_HINT}"
        if 300 <= status < 400:
            return "redirects are not followed: put the final address into url"
        return "look at the node's inputs and config, and at what the provider says"

    def _expect(self, response: "httpx2.Response", kind: str) -> None:
        found = _kind(response)
        if found != kind:
            hint = "set stream = false if the server cannot stream; " if kind == _STREAM else ""
            raise BrokenAnswer(
                f"{self._at()} answered with {found or 'no type'}, not {kind}", hint=hint + URL_HINT
            )

    def _at(self) -> str:
        return f"{self._name} at {self._url}"

    def _late(self, what: str, setting: str) -> TooLate:
        return TooLate(f"{self._at()}: {what}", hint=f"raise {setting} of the model, or ask for less")

    def _too_large(self, limit: int) -> BrokenAnswer:
        most = f"{limit // (1024 * 1024)} MiB" if limit else "1 MiB in one event"
        return BrokenAnswer(
            f"{self._at()} sends more than {most}", hint="ask for less, or for fewer texts at once"
        )


def _trusted() -> ssl.SSLContext:
    """Return the authorities that are trusted, SSL_CERT_FILE and SSL_CERT_DIR included."""
    import httpx2

    return httpx2.create_ssl_context()


def _kind(response: "httpx2.Response") -> str:
    kind: str = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    return _JSON if kind == "text/json" or kind.endswith("+json") else kind


def _code(status: int) -> str:
    return "model-unauthorized" if status in (401, 403) else "model-refused"
