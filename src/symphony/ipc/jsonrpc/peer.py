"""One side of a JSON-RPC conversation: asks and answers at once, over any transport of asyncio's.

Give it to whatever makes transports (`loop.create_unix_connection(lambda: peer, …)`), or to
`PipesLink`-like links of your own. Handlers run as tasks that the peer owns.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from symphony.commons.errors import SymphonyError
from symphony.commons.unicode import described, sound
from symphony.ipc.frames import FrameTooLarge
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
DOUBT_S = 10.0
"""Seconds that calls still wait once the other side has said what names none of them."""
_WRITE_BYTES_MAX = 1 << 20
_CLOSE_S = 5.0
_DIGITS_MAX = 19
_SAID_MAX = 1000
"""Characters of an error that is too large to be sent whole."""


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


class JsonRpcPeer(asyncio.Protocol):
    """Asks with `call` and `notify`; answers with its handler.

    Pushing back, both ways: who calls waits while the other side does not read; and while this
    side has as many requests in hand as it takes, or answers that nobody reads, it does not read.
    """

    def __init__(
        self,
        framing: Framing,
        handler: Handler,
        *,
        requests_max: int = REQUESTS_MAX,
        doubt_s: float = DOUBT_S,
    ) -> None:
        """`handler` may raise RpcError to answer with an error. `requests_max`: in hand at once.

        `doubt_s`: after an answer without a usable id, or an error that names no request, one of the
        calls in hand will never be answered; those that are not by then fail.
        """
        self._loop = asyncio.get_running_loop()
        self._framing, self._handler = framing, handler
        self._requests_max, self._doubt_s = requests_max, doubt_s
        self._link: _Link | None = None
        self._ids = 0
        self._calls: dict[int, asyncio.Future[Json]] = {}
        self._batches: dict[int, range] = {}
        self._doubted: set[int] = set()
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
        """Return the result of `method` on the other side. Cancelling the task cancels the request there.

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
            self._forget(number)

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
        answers: dict[int, asyncio.Future[Json]] = {number: self._loop.create_future() for number in numbers}
        try:
            async with asyncio.timeout(timeout_s):
                await self._send(body)
                self._calls.update(answers)
                self._batches.update(dict.fromkeys(numbers, numbers))
                found = await asyncio.gather(*answers.values(), return_exceptions=True)
        except (TimeoutError, asyncio.CancelledError) as error:
            for number in numbers:
                self._give_up(number)
            if isinstance(error, TimeoutError):
                raise RpcTimeout(f"a batch got no answers within {timeout_s:g} s") from None
            raise
        finally:
            for number in numbers:
                self._forget(number)
        results: list[Json | RpcError] = []
        for one in found:
            if isinstance(one, BaseException) and not isinstance(one, RpcError):
                raise one
            results.append(one)
        return results

    @property
    def lost(self) -> SymphonyError | None:
        """Return why the conversation broke off; None if it did not."""
        return self._error

    async def close(self) -> None:
        """End: cancel what is being served, let calls fail, close the link.

        What is on its way out has five seconds, for the other side may not read.
        """
        if self._link is not None:
            self._link.close()
            try:
                async with asyncio.timeout(_CLOSE_S):
                    await asyncio.shield(self._gone)
            except TimeoutError:
                if self._link is not None:
                    self._link.abort()
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
        self._let_go()
        self._balance()

    def _let_go(self) -> None:
        """Wake those who wait for room."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        if self._error is None and exc is not None:
            self._error = ConnectionLost(f"the connection broke: {exc}")
        self._link = None
        self._blocked = False
        self._let_go()
        for task in self._tasks:
            task.cancel()
        for number in self._calls:
            self._fail(number, self._end())
        self._gone.set_result(None)

    # In.

    def _arrived(self, incoming: Incoming) -> None:
        invalid = [one for one in incoming.invalid if not self._named(one.id)]
        requests = [one for one in incoming.messages if isinstance(one, Request)]
        together = _Together(self._write, len(requests), [*invalid]) if incoming.batch else None
        if together is None:
            for failure in invalid:
                self._write(failure)
        else:
            together.written_if_complete()
        for failure in incoming.invalid:
            if (number := self._named(failure.id)) is not None:
                self._fail(number, messages.AnswerBroken("is no answer"))
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
        if incoming.batch:
            self._left_out(incoming.messages)

    def _answered(self, id_: Id, result: Json, error: RpcError | None) -> None:
        number = self._named(id_)
        answer = None if number is None else self._calls[number]
        if answer is None or answer.done():
            self.unasked += 1
            if number is None and not self._asked_once(id_):
                self._doubt(self._calls, error or messages.AnswerBroken("names no request"))
        elif error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)

    def _named(self, id_: Id) -> int | None:
        """Return the call in hand that `id_` means. Numbers come back as text or with a point from some
        servers.
        """
        number = _number(id_)
        return number if number in self._calls else None

    def _asked_once(self, id_: Id) -> bool:
        number = _number(id_)
        return number is not None and 0 < number <= self._ids

    def _left_out(self, said: Sequence[Message]) -> None:
        """The answers to a batch come in one array: what that leaves out will hardly come."""
        for one in said:
            number = _number(one.id) if isinstance(one, Success | Failure) else None
            if number is not None and (asked := self._batches.get(number)) is not None:
                for other in asked:  # so that the batch is looked at once, not for each of its answers
                    self._batches.pop(other, None)
                self._doubt(asked, messages.AnswerBroken("to a batch leaves this request out"))

    def _doubt(self, numbers: Iterable[int], error: RpcError) -> None:
        """Give those of `numbers` that wait the rest of their time, and then `error`."""
        waiting = [
            number
            for number in numbers
            if number in self._calls and not self._calls[number].done() and number not in self._doubted
        ]
        if waiting:
            self._doubted.update(waiting)
            self._loop.call_later(self._doubt_s, self._despair, waiting, error)

    def _despair(self, numbers: Sequence[int], error: RpcError) -> None:
        for number in numbers:
            self._fail(number, error)

    def _fail(self, number: int, error: SymphonyError) -> None:
        answer = self._calls.get(number)
        if answer is not None and not answer.done():
            answer.set_exception(error)
            answer.exception()  # a caller who has gone does not look

    def _forget(self, number: int) -> None:
        """Nobody waits for it any more."""
        self._calls.pop(number, None)
        self._batches.pop(number, None)
        self._doubted.discard(number)

    def _noticed(self, notice: Notification) -> None:
        if notice.method == CANCEL:
            params = notice.params if isinstance(notice.params, dict) else {}
            wanted = params.get("id")
            if isinstance(wanted, int | float | str) and (task := self._serving.get(wanted)) is not None:
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
            self._framing.frame(messages.write(said))
        except asyncio.CancelledError:
            if self._link is None:
                raise
            said = Failure(request.id, RpcError(messages.REQUEST_CANCELLED, "Request cancelled"))
        except RpcError as error:
            said = Failure(request.id, self._sayable(error))
        except SymphonyError as error:
            said = Failure(request.id, self._sayable(RpcError(messages.INTERNAL_ERROR, error.message)))
        except Exception as error:  # noqa: BLE001 a bug in one handler must not silence the others
            why = RpcError(messages.INTERNAL_ERROR, sound(described(error)))
            said = Failure(request.id, self._sayable(why))
        answer(said)

    def _sayable(self, error: RpcError) -> RpcError:
        """Return `error` as it can be sent: an error that cannot would leave the other side waiting."""
        try:
            self._framing.frame(messages.write(Failure(None, error)))
        except SymphonyError:
            number = error.number if type(error.number) is int else messages.INTERNAL_ERROR
            said = error.message[:_SAID_MAX].encode("utf-8", "replace").decode()
            return RpcError(min(max(number, -(2**31)), 2**31), said)
        return error

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
            self._break(ConnectionLost(f"a handler of notifications broke: {described(error)}"))
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
        while self._blocked and self._error is None:
            if self._room is None:
                self._room = self._loop.create_future()
            await asyncio.shield(self._room)
        if self._link is None or self._error is not None:
            raise self._end()
        self._link.write(self._framing.frame(body))

    def _write(self, message: Message | Sequence[Message]) -> None:
        if self._link is None:
            return
        try:
            body = self._framing.frame(messages.write(message))
        except FrameTooLarge:
            if isinstance(message, Request | Notification | Success | Failure):
                raise
            for one in message:  # too large together, which each was not alone
                self._write(one)
            return
        self._link.write(body)

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
            self._let_go()
            for number in self._calls:  # the link may stay for long if nobody reads its end
                self._fail(number, error)
            self._write(Failure(None, self._sayable(RpcError(messages.PARSE_ERROR, error.message))))
            if self._link is not None:
                self._link.close()


def _number(id_: Id) -> int | None:
    """Return the number that we gave a call, however it comes back."""
    if isinstance(id_, float):
        return int(id_) if id_.is_integer() else None
    if isinstance(id_, str):
        return int(id_) if len(id_) < _DIGITS_MAX and id_.isascii() and id_.isdigit() else None
    return id_


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
