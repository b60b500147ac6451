"""A model server of one's own, on loopback: it answers what it is told to, well or badly.

It speaks both interfaces, OpenAI's (`/chat/completions`, `/embeddings`) and Anthropic's
(`/messages`), so that one script of answers tests the adapters of both.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeAlias

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"
_STREAM_HEADERS = {"Content-Type": "text/event-stream"}
_JSON_HEADERS = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class Says:
    """An answer: `pieces` joined are its text. `tokens` are (read, written, of the read cached).

    `stall` leaves it unfinished and waits until the client goes; `cut` ends it without an end,
    and `torn` in the middle of a chunk. `finish` is OpenAI's word.
    """

    pieces: Sequence[str] = ("Hello", " world")
    tokens: tuple[int, int, int] | None = (10, 2, 0)
    finish: str = "stop"
    stall: bool = False
    cut: bool = False
    torn: bool = False

    @property
    def text(self) -> str:
        """The whole answer."""
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class Answers:
    """Any response at all."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: dict(_JSON_HEADERS))
    body: bytes = b""
    repeat: int = 1
    """The body is sent so many times."""


@dataclass(frozen=True, slots=True)
class Hangs:
    """Takes the request and says nothing until the client goes."""


@dataclass(frozen=True, slots=True)
class Drops:
    """Closes the connection in place of an answer."""


Script: TypeAlias = Says | Answers | Hangs | Drops


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came."""

    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: Mapping[str, JSON]


class ModelServer:
    """`async with ModelServer() as server: …`; its `url` goes into a model's settings.

    Answers come from `script`, first to last; once it is empty, every question gets `Says()`.
    """

    def __init__(self, *script: Script) -> None:
        self.script = deque(script)
        self.asked: list[Asked] = []
        self.gone = asyncio.Event()
        """Set once a client has left before its answer was complete."""
        self.came = asyncio.Event()
        """Set at each request; clear it to wait for the next."""
        self.most_at_once = 0
        self._now = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The address, as it goes into the settings."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._now += 1
        self.most_at_once = max(self.most_at_once, self._now)
        try:
            asked = await _read(reader)
            self.asked.append(asked)
            self.came.set()
            await self._answer(asked, self.script.popleft() if self.script else Says(), reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            self.gone.set()
        except asyncio.CancelledError:
            pass  # the server is closing, and a task that stays cancelled would be reported
        finally:
            self._now -= 1
            self._tasks.discard(task)
            writer.close()

    async def _answer(
        self, asked: Asked, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        match script:
            case Drops():
                return
            case Hangs():
                await self._left(reader)
            case Answers():
                await _respond(writer, script.status, script.headers, _repeated(script))
            case Says() if asked.body.get("stream"):
                await self._stream(asked, script, reader, writer)
            case Says():
                body = json.dumps(_whole(asked, script)).encode()
                await _respond(writer, 200, _JSON_HEADERS, _once(body))

    async def _stream(
        self, asked: Asked, script: Says, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        events = (
            _openai_events(script) if asked.path.endswith("completions") else _anthropic_events(asked, script)
        )
        await _head(writer, 200, {**_STREAM_HEADERS, "Transfer-Encoding": "chunked"})
        for event in events:
            chunk = event.encode()
            writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            await writer.drain()
        if script.stall:
            await self._left(reader)
        elif script.torn:
            writer.write(b"ffff\r\ndata: {")
            await writer.drain()
        else:
            writer.write(b"0\r\n\r\n")
            await writer.drain()

    async def _left(self, reader: asyncio.StreamReader) -> None:
        """Wait until the client closes the connection."""
        await reader.read()
        self.gone.set()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
    }
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(head[0].split(" ")[1], headers, json.loads(body or b"{}"))


async def _head(writer: asyncio.StreamWriter, status: int, headers: Mapping[str, str]) -> None:
    lines = [f"HTTP/1.1 {status} Said", *(f"{k}: {v}" for k, v in headers.items()), "Connection: close"]
    writer.write("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n")
    await writer.drain()


async def _respond(
    writer: asyncio.StreamWriter, status: int, headers: Mapping[str, str], body: AsyncIterator[bytes]
) -> None:
    """The end of the connection is the end of the body."""
    await _head(writer, status, headers)
    async for piece in body:
        writer.write(piece)
        await writer.drain()


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _repeated(script: Answers) -> AsyncIterator[bytes]:
    for _ in range(script.repeat):
        yield script.body


def _data(value: JSON, name: str = "") -> str:
    return (f"event: {name}\n" if name else "") + f"data: {json.dumps(value)}\n\n"


def _openai_usage(tokens: tuple[int, int, int]) -> JSON:
    read, written, cached = tokens
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


def _openai_events(script: Says) -> Iterator[str]:
    for piece in script.pieces:
        yield _data({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
    if script.stall or script.cut or script.torn:
        return
    yield _data({"choices": [{"index": 0, "delta": {}, "finish_reason": script.finish}]})
    if script.tokens is not None:
        yield _data({"choices": [], "usage": _openai_usage(script.tokens)})
    yield "data: [DONE]\n\n"


def _anthropic_usage(tokens: tuple[int, int, int]) -> dict[str, JSON]:
    read, written, cached = tokens
    return {"input_tokens": read - cached, "output_tokens": written, "cache_read_input_tokens": cached}


def _anthropic_events(asked: Asked, script: Says) -> Iterator[str]:
    usage = {} if script.tokens is None else _anthropic_usage(script.tokens)
    yield _data(
        {"type": "message_start", "message": {"content": [], "usage": {**usage, "output_tokens": 1}}},
        "message_start",
    )
    yield _data({"type": "ping"}, "ping")
    as_tool = "tool_choice" in asked.body
    for piece in script.pieces:
        delta: JSON = (
            {"type": "input_json_delta", "partial_json": piece}
            if as_tool
            else {"type": "text_delta", "text": piece}
        )
        yield _data({"type": "content_block_delta", "index": 0, "delta": delta}, "content_block_delta")
    if script.stall or script.cut or script.torn:
        return
    reason = "max_tokens" if script.finish == "length" else "tool_use" if as_tool else "end_turn"
    told: JSON = {"output_tokens": usage.get("output_tokens", 0)}
    yield _data({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": told}, "message_delta")
    yield _data({"type": "message_stop"}, "message_stop")


def _whole(asked: Asked, script: Says) -> JSON:
    if asked.path.endswith("/embeddings"):
        return _embeddings(asked, script)
    if asked.path.endswith("/messages"):
        as_tool = "tool_choice" in asked.body
        block: JSON = (
            {"type": "tool_use", "name": "answer", "input": json.loads(script.text)}
            if as_tool
            else {"type": "text", "text": script.text}
        )
        usage: JSON = {} if script.tokens is None else _anthropic_usage(script.tokens)
        return {"type": "message", "content": [block], "stop_reason": "end_turn", "usage": usage}
    message: JSON = {"role": "assistant", "content": script.text}
    answer: dict[str, JSON] = {
        "choices": [{"index": 0, "message": message, "finish_reason": script.finish}],
    }
    return answer if script.tokens is None else {**answer, "usage": _openai_usage(script.tokens)}


def _embeddings(asked: Asked, script: Says) -> JSON:
    """Return a vector (length, 1) for each text, the last text first: the order must not matter."""
    texts = asked.body["input"]
    assert isinstance(texts, list)
    vectors: list[JSON] = [
        {"index": at, "embedding": [float(len(str(text))), 1.0]} for at, text in enumerate(texts)
    ]
    read = 0 if script.tokens is None else script.tokens[0]
    return {"data": vectors[::-1], "usage": {"prompt_tokens": read, "total_tokens": read}}
