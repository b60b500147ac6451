"""One side of a JSON-RPC conversation: asks and answers at once, over any transport of asyncio's.

Give it to whatever makes transports (`loop.create_unix_connection(lambda: peer, …)`), or to
`PipesLink`-like links of your own. Handlers run as tasks that the peer owns.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from symphony.commons.errors import SymphonyError
from symphony.ipc.jsonrpc import messages
from symphony.ipc.jsonrpc.framing import Framing
from symphony.ipc.jsonrpc.messages import (
    Failure,
    Id,
    Incoming,
    Json,
    Message,
    Notification,
    Params,
    Request,
    RpcError,
    Success,
)
from symphony.ipc.transports.errors import ConnectionClosed, ConnectionLost

Handler: TypeAlias = Callable[[str, Params], Awaitable[Json]]
"""Answers a request, or hears a notification (then its result is dropped): method, parameters."""

CANCEL = "$/cancelRequest"
REQUESTS_MAX = 256
_WRITE_BYTES_MAX = 1 << 20


class RpcTimeout(SymphonyError):
    """No answer within the time that the caller gave; the other side has been told not to bother."""

    code = "timed-out"


@runtime_checkable
class _Link(Protocol):
    def write(self, data: bytes) -> None: ...
    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...
    def close(self) -> None: ...
    def abort(self) -> None: ...


class Peer(asyncio.Protocol):
    """Asks with `call` and `notify`; answers with its handler.

    Pushing back, both ways: who calls waits while the other side does not read; and while this
    side has as many requests in hand as it takes, or answers that nobody reads, it does not read.
    """

    def __init__(self, framing: Framing, handler: Handler, *, requests_max: int = REQUESTS_MAX) -> None:
        """`handler` may raise RpcError to answer with an error. `requests_max`: in hand at once."""
        self._loop = asyncio.get_running_loop()
        self._framing, self._handler = framing, handler
        self._requests_max = requests_max
        self._link: _Link | None = None
        self._ids = 0
        self._calls: dict[Id, asyncio.Future[Json]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._serving: dict[Id, asyncio.Task[None]] = {}
        self._notices: deque[Notification] = deque()
        self._noticing: asyncio.Task[None] | None = None
        self._blocked = False
        self._room: asyncio.Future[None] | None = None
        self._reading = True
        self._error: SymphonyError | None = None
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self.unasked = 0
        """Answers that came to no question: late, or wrong."""

    # What callers use.

    async def call(self, method: str, params: Params = None, *, timeout_s: float | None = None) -> Json:
        """The result of `method` on the other side. Cancelling the task cancels the request there.

        Raises RpcError for an error that it answers, RpcTimeout after `timeout_s` seconds,
        ConnectionLost, SerializationFailed.
        """
        self._ids += 1
        number = self._ids
        body = messages.write(Request(number, method, params))
        answer: asyncio.Future[Json] = self._loop.create_future()
        try:
            async with asyncio.timeout(timeout_s):
                await self._send(body)
                self._calls[number] = answer
                return await answer
        except TimeoutError:
            self._give_up(number)
            raise RpcTimeout(f"{method} gave no answer within {timeout_s:g} s") from None
        except asyncio.CancelledError:
            self._give_up(number)
            raise
        finally:
            self._calls.pop(number, None)

    async def notify(self, method: str, params: Params = None) -> None:
        """Tell, and expect no answer. Raises ConnectionLost, SerializationFailed."""
        await self._send(messages.write(Notification(method, params)))

    async def batch(
        self, calls: Sequence[tuple[str, Params]], *, timeout_s: float | None = None
    ) -> list[Json | RpcError]:
        """Several requests in one message: results, or errors, in the order of asking. Raises as `call`."""
        if not calls:
            return []
        numbers = range(self._ids + 1, self._ids + 1 + len(calls))
        self._ids += len(calls)
        body = messages.write([Request(number, *call) for number, call in zip(numbers, calls, strict=True)])
        answers: dict[Id, asyncio.Future[Json]] = {number: self._loop.create_future() for number in numbers}
        try:
            async with asyncio.timeout(timeout_s):
                await self._send(body)
                self._calls.update(answers)
                found = await asyncio.gather(*answers.values(), return_exceptions=True)
        except (TimeoutError, asyncio.CancelledError) as error:
            for number in numbers:
                self._give_up(number)
            if isinstance(error, TimeoutError):
                raise RpcTimeout(f"a batch got no answers within {timeout_s:g} s") from None
            raise
        finally:
            for number in numbers:
                self._calls.pop(number, None)
        results: list[Json | RpcError] = []
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, RpcError):
                raise one
            results.append(one)
        return results

    @property
    def lost(self) -> SymphonyError | None:
        """Why the conversation broke off, if it did."""
        return self._error

    async def close(self) -> None:
        """End: cancel what is being served, let calls fail, close the link."""
        if self._link is not None:
            self._link.close()
        await self.closed()

    async def closed(self) -> None:
        """Wait until the link is gone and nothing of ours runs any more."""
        await asyncio.shield(self._gone)
        if self._tasks:
            await asyncio.wait(self._tasks)

    # What the transport tells.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready."""
        assert isinstance(transport, _Link)
        self._link = transport
        transport.set_write_buffer_limits(high=_WRITE_BYTES_MAX)

    def data_received(self, data: bytes) -> None:
        """A piece of the stream."""
        try:
            bodies = self._framing.feed(data)
        except SymphonyError as error:
            self._break(error)
            return
        for body in bodies:
            self._arrived(messages.read(body))

    def pause_writing(self) -> None:
        """The other side does not read: then neither do we, or its answers would pile up."""
        self._blocked = True
        self._balance()

    def resume_writing(self) -> None:
        """It reads again."""
        self._blocked = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None
        self._balance()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        if self._error is None and exc is not None:
            self._error = ConnectionLost(f"the connection broke: {exc}")
        self._link = None
        self._blocked = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        for task in self._tasks:
            task.cancel()
        for answer in self._calls.values():
            if not answer.done():
                answer.set_exception(self._end())
                answer.exception()  # a caller who has gone does not look
        self._gone.set_result(None)

    # In.

    def _arrived(self, incoming: Incoming) -> None:
        requests = [one for one in incoming.messages if isinstance(one, Request)]
        together = _Together(self._write, len(requests), list(incoming.invalid)) if incoming.batch else None
        if together is None:
            for failure in incoming.invalid:
                self._write(failure)
        else:
            together.written_if_complete()
        for message in incoming.messages:
            match message:
                case Request():
                    self._serve(message, self._write if together is None else together.add)
                case Notification():
                    self._noticed(message)
                case Success(id_, result):
                    self._answered(id_, result, None)
                case Failure(id_, error):
                    self._answered(id_, None, error)

    def _answered(self, id_: Id, result: Json, error: RpcError | None) -> None:
        answer = self._calls.get(id_) if not isinstance(id_, float) else None
        if answer is None or answer.done():
            self.unasked += 1
        elif error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)

    def _noticed(self, notice: Notification) -> None:
        if notice.method == CANCEL:
            params = notice.params if isinstance(notice.params, dict) else {}
            wanted = params.get("id")
            if isinstance(wanted, int | str) and (task := self._serving.get(wanted)) is not None:
                task.cancel()
            return
        self._notices.append(notice)
        if self._noticing is None:
            self._noticing = self._own(self._hear())
        self._balance()

    async def _hear(self) -> None:
        """Notifications one after another, in the order of their coming: they may depend on each other."""
        try:
            while self._notices:
                notice = self._notices.popleft()
                try:
                    await self._handler(notice.method, notice.params)
                except SymphonyError:
                    pass  # a notification has no answer, so nobody can be told
                self._balance()
        finally:
            self._noticing = None

    def _serve(self, request: Request, answer: Callable[[Message], None]) -> None:
        if len(self._serving) >= 2 * self._requests_max:
            # One piece of the stream can hold more than we stop reading for.
            answer(Failure(request.id, RpcError(messages.SERVER_BUSY, "Too many requests at once")))
            return
        task = self._own(self._answer(request, answer))
        if request.id is not None and request.id not in self._serving:
            self._serving[request.id] = task
            task.add_done_callback(lambda _: self._serving.pop(request.id, None))
        self._balance()

    async def _answer(self, request: Request, answer: Callable[[Message], None]) -> None:
        said: Success | Failure
        try:
            said = Success(request.id, await self._handler(request.method, request.params))
            messages.write(said)
        except asyncio.CancelledError:
            if self._link is None:
                raise
            said = Failure(request.id, RpcError(messages.REQUEST_CANCELLED, "Request cancelled"))
        except RpcError as error:
            said = Failure(request.id, error)
        except SymphonyError as error:
            said = Failure(request.id, RpcError(messages.INTERNAL_ERROR, error.message))
        except Exception as error:  # noqa: BLE001 a bug in one handler must not silence the others
            said = Failure(request.id, RpcError(messages.INTERNAL_ERROR, f"{type(error).__name__}: {error}"))
        answer(said)

    def _own(self, work: Awaitable[None]) -> "asyncio.Task[None]":
        async def run() -> None:
            await work

        task = self._loop.create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._break(ConnectionLost(f"a handler of notifications broke: {type(error).__name__}: {error}"))
        self._balance()

    def _balance(self) -> None:
        """Read only while there is room for what may come."""
        ready = not self._blocked and len(self._tasks) + len(self._notices) < self._requests_max
        if self._link is not None and ready is not self._reading:
            self._reading = ready
            if ready:
                self._link.resume_reading()
            else:
                self._link.pause_reading()

    # Out.

    async def _send(self, body: bytes) -> None:
        while self._blocked:
            if self._room is None:
                self._room = self._loop.create_future()
            await asyncio.shield(self._room)
        if self._link is None:
            raise self._end()
        self._link.write(self._framing.frame(body))

    def _write(self, message: Message | Sequence[Message]) -> None:
        if self._link is not None:
            self._link.write(self._framing.frame(messages.write(message)))

    def _give_up(self, number: int) -> None:
        """The answer is of no interest any more. Told only if it can be told at once."""
        if number in self._calls and self._link is not None:
            self._write(Notification(CANCEL, {"id": number}))

    def _end(self) -> SymphonyError:
        return self._error or ConnectionClosed("the conversation has ended")

    def _break(self, error: SymphonyError) -> None:
        """Nothing that follows can be understood: say so, and end."""
        if self._error is None:
            self._error = error
            self._write(Failure(None, RpcError(messages.PARSE_ERROR, error.message)))
            if self._link is not None:
                self._link.close()


class _Together:
    """The answers to a batch, which leave in one message when the last is there."""

    def __init__(
        self, write: Callable[[Sequence[Message]], None], expected: int, answers: list[Message]
    ) -> None:
        self._write, self._expected, self._answers = write, expected + len(answers), answers

    def add(self, answer: Message) -> None:
        """One more."""
        self._answers.append(answer)
        self.written_if_complete()

    def written_if_complete(self) -> None:
        """Notifications alone have no answer at all."""
        if self._answers and len(self._answers) == self._expected:
            self._write(self._answers)
