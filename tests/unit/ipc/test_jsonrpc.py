"""JSON-RPC 2.0: every example of the specification, and what a conversation adds to it."""

import asyncio
import enum
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.waiting import PATIENCE_S, until

from symphony.commons.errors import SerializationFailed, SymphonyError
from symphony.ipc.frames import FrameTooLarge
from symphony.ipc.jsonrpc import Framing, HeaderFraming, JsonRpcPeer, LineFraming, RpcError
from symphony.ipc.jsonrpc.framing import FramingBroken
from symphony.ipc.jsonrpc.messages import (
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    Failure,
    Json,
    Notification,
    Params,
    Request,
    Success,
    read,
    write,
)
from symphony.ipc.jsonrpc.peer import RpcTimeout
from symphony.ipc.transports.errors import ConnectionClosed

Join = Callable[..., Awaitable[tuple[JsonRpcPeer, JsonRpcPeer]]]


async def spec(method: str, params: Params) -> Json:
    """The server that the examples of the specification talk to."""
    match method, params:
        case "subtract", [int(minuend), int(subtrahend)]:
            return minuend - subtrahend
        case "subtract", {"minuend": int(minuend), "subtrahend": int(subtrahend)}:
            return minuend - subtrahend
        case "sum", list(numbers):
            return sum(one for one in numbers if isinstance(one, int))
        case "get_data", None:
            return ["hello", 5]
        case (("update" | "notify_sum" | "notify_hello"), _):
            return None
    raise RpcError(METHOD_NOT_FOUND)


INVALID = '{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null}'
PARSE = '{"jsonrpc": "2.0", "error": {"code": -32700, "message": "Parse error"}, "id": null}'
EXAMPLES = {
    "positional parameters": (
        '{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}',
        '{"jsonrpc": "2.0", "result": 19, "id": 1}',
    ),
    "positional parameters, the other way round": (
        '{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}',
        '{"jsonrpc": "2.0", "result": -19, "id": 2}',
    ),
    "named parameters": (
        '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3}',
        '{"jsonrpc": "2.0", "result": 19, "id": 3}',
    ),
    "named parameters, in another order": (
        '{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42, "subtrahend": 23}, "id": 4}',
        '{"jsonrpc": "2.0", "result": 19, "id": 4}',
    ),
    "a notification": ('{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', None),
    "a notification of an unknown method": ('{"jsonrpc": "2.0", "method": "foobar"}', None),
    "an unknown method": (
        '{"jsonrpc": "2.0", "method": "foobar", "id": "1"}',
        '{"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "1"}',
    ),
    "invalid JSON": ('{"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz]', PARSE),
    "an invalid request": ('{"jsonrpc": "2.0", "method": 1, "params": "bar"}', INVALID),
    "a batch of invalid JSON": (
        '[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},{"jsonrpc": "2.0", "method"]',
        PARSE,
    ),
    "an empty batch": ("[]", INVALID),
    "an invalid batch that is not empty": ("[1]", f"[{INVALID}]"),
    "an invalid batch": ("[1,2,3]", f"[{INVALID},{INVALID},{INVALID}]"),
    "a batch": (
        ('[{"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},'
        '{"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},'
        '{"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},'
        '{"foo": "boo"},'
        '{"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},'
        '{"jsonrpc": "2.0", "method": "get_data", "id": "9"}]'),
        ('[{"jsonrpc": "2.0", "result": 7, "id": "1"},'
        '{"jsonrpc": "2.0", "result": 19, "id": "2"},'
        f"{INVALID},"
        '{"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "5"},'
        '{"jsonrpc": "2.0", "result": ["hello", 5], "id": "9"}]'),
    ),
    "a batch of notifications": (
        ('[{"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},'
        '{"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}]'),
        None,
    ),
    # Beyond the examples, from the text of the specification.
    "an id of null is answered": (
        '{"jsonrpc": "2.0", "method": "get_data", "id": null}',
        '{"jsonrpc": "2.0", "result": ["hello", 5], "id": null}',
    ),
    "another version": ('{"jsonrpc": "1.0", "method": "get_data", "id": 7}', INVALID.replace("null", "7")),
    "an id that is a list": ('{"jsonrpc": "2.0", "method": "get_data", "id": [1]}', INVALID),
    "parameters that are null": (
        '{"jsonrpc": "2.0", "method": "get_data", "params": null, "id": 8}',
        INVALID.replace('"id": null', '"id": 8'),
    ),
}  # fmt: skip

framings = pytest.mark.parametrize("framing", [LineFraming, HeaderFraming], ids=["lines", "heads"])


class Wire(asyncio.Protocol):
    """The other side of a peer, byte by byte."""

    def __init__(self, framing: Framing) -> None:
        self.framing, self.bodies, self.gone = framing, list[Json](), asyncio.Event()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.bodies += [json.loads(body) for body in self.framing.feed(data)]

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()


@pytest.fixture
async def joined() -> AsyncIterator[Callable[[asyncio.Protocol, asyncio.Protocol], Awaitable[None]]]:
    async with asyncio.timeout(PATIENCE_S), AsyncExitStack() as stack:

        async def join(*ends: asyncio.Protocol) -> None:
            loop = asyncio.get_running_loop()
            for end, sock in zip(ends, socket.socketpair(), strict=True):
                transport, _ = await loop.create_unix_connection(lambda end=end: end, sock=sock)
                stack.callback(transport.abort)
                if isinstance(end, JsonRpcPeer):
                    stack.push_async_callback(end.close)

        yield join


@framings
@pytest.mark.parametrize("name", EXAMPLES)
async def test_the_examples_of_the_specification_are_answered_as_it_says(
    joined: Join, framing: type[Framing], name: str
) -> None:
    said, expected = EXAMPLES[name]
    wire = Wire(framing())
    await joined(wire, JsonRpcPeer(framing(), spec))
    assert wire.transport is not None
    wire.transport.write(framing().frame(said.encode()))
    wire.transport.write(framing().frame(b'{"jsonrpc": "2.0", "method": "get_data", "id": "end"}'))
    last = {"jsonrpc": "2.0", "result": ["hello", 5], "id": "end"}
    await until(lambda: last in wire.bodies)
    answers = [_unordered(one) for one in wire.bodies if one != last]
    assert answers == ([] if expected is None else [_unordered(json.loads(expected))])


def _unordered(answer: Json) -> Json:
    """The answers of a batch may come in any order."""
    return (
        sorted(answer, key=lambda one: json.dumps(one, sort_keys=True))
        if isinstance(answer, list)
        else answer
    )


@framings
async def test_two_peers_ask_each_other_at_once(joined: Join, framing: type[Framing]) -> None:
    async def doubled(method: str, params: Params) -> Json:
        assert isinstance(params, list)
        return [method, *params, *params]

    one, other = JsonRpcPeer(framing(), doubled), JsonRpcPeer(framing(), doubled)
    await joined(one, other)
    found = await asyncio.gather(*(peer.call("x", [i, "é\n"]) for i in range(100) for peer in (one, other)))
    assert found[2 * 41] == found[2 * 41 + 1] == ["x", 41, "é\n", 41, "é\n"]


async def test_an_error_arrives_with_its_number_and_data(joined: Join) -> None:
    async def broken(method: str, params: Params) -> Json:
        match method:
            case "rpc":
                raise RpcError(INVALID_PARAMS, "no such thing", {"field": "x"})
            case "symphony":
                raise SymphonyError("full")
            case "unsayable":
                return {"a": "\ud800"}
        raise KeyError(method)

    one = JsonRpcPeer(LineFraming(), broken)
    other = JsonRpcPeer(LineFraming(), spec)
    await joined(one, other)
    with pytest.raises(RpcError, match="no such thing") as caught:
        await other.call("rpc")
    assert (caught.value.number, caught.value.data) == (INVALID_PARAMS, {"field": "x"})
    for method, why in [
        ("symphony", "full"),
        ("bug", "KeyError: 'bug'"),
        ("unsayable", "cannot be sent as JSON"),
    ]:
        with pytest.raises(RpcError, match=why) as caught:
            await other.call(method)
        assert caught.value.number == -32603


async def test_a_batch_gives_results_and_errors_in_the_order_of_asking(joined: Join) -> None:
    one, other = JsonRpcPeer(LineFraming(), spec), JsonRpcPeer(LineFraming(), spec)
    await joined(one, other)
    got = await one.batch([("sum", [1, 2]), ("nothing", None), ("get_data", None)])
    assert got[0] == 3
    assert isinstance(got[1], RpcError)
    assert got[2] == ["hello", 5]
    assert await one.batch([]) == []


class Slow:
    """A handler that answers only when told, and keeps what was cancelled."""

    def __init__(self) -> None:
        self.go, self.started, self.cancelled, self.heard = asyncio.Event(), 0, 0, list[str]()

    async def __call__(self, method: str, params: Params) -> Json:
        if method.startswith("note"):
            self.heard.append(method)
            return None
        self.started += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return method


async def test_a_request_that_is_cancelled_here_is_cancelled_there(joined: Join) -> None:
    slow = Slow()
    one, other = JsonRpcPeer(LineFraming(), spec), JsonRpcPeer(LineFraming(), slow)
    await joined(one, other)
    asking = asyncio.ensure_future(one.call("wait"))
    await until(lambda: slow.started)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await until(lambda: slow.cancelled and one.unasked)
    assert one.unasked == 1  # the answer "cancelled" has no one waiting


async def test_a_request_past_its_deadline_fails_alone_and_is_cancelled_there(joined: Join) -> None:
    slow = Slow()
    one, other = JsonRpcPeer(LineFraming(), spec), JsonRpcPeer(LineFraming(), slow)
    await joined(one, other)
    patient = asyncio.ensure_future(one.call("patient"))
    with pytest.raises(RpcTimeout, match="hasty gave no answer"):
        await one.call("hasty", timeout_s=0.01)
    with pytest.raises(RpcTimeout, match="a batch"):
        await one.batch([("hasty", None)], timeout_s=0.01)
    await until(lambda: slow.cancelled == 2)
    slow.go.set()
    assert await patient == "patient"


async def test_notifications_are_heard_in_order(joined: Join) -> None:
    slow = Slow()
    one, other = JsonRpcPeer(LineFraming(), spec), JsonRpcPeer(LineFraming(), slow)
    await joined(one, other)
    for i in range(500):
        await one.notify(f"note {i}")
    await until(lambda: len(slow.heard) == 500)
    assert slow.heard == [f"note {i}" for i in range(500)]


async def test_a_side_with_its_hands_full_does_not_read_and_callers_wait(joined: Join) -> None:
    slow = Slow()
    one, other = JsonRpcPeer(LineFraming(), spec), JsonRpcPeer(LineFraming(), slow, requests_max=8)
    await joined(one, other)
    body = "x" * 50_000
    asking = [asyncio.ensure_future(one.call("wait", [body])) for _ in range(400)]
    seen = -1
    while seen != slow.started or slow.started == 0:
        seen = slow.started
        for _ in range(50):
            await asyncio.sleep(0)
    assert slow.started <= 8 + 8  # those of the one piece that was being read
    slow.go.set()
    assert await asyncio.gather(*asking) == ["wait"] * 400


async def test_when_the_other_side_goes_every_call_fails_and_every_handler_is_cancelled(joined: Join) -> None:
    slow = Slow()
    one, other = JsonRpcPeer(LineFraming(), slow), JsonRpcPeer(LineFraming(), slow)
    await joined(one, other)
    asking = [asyncio.ensure_future(one.call("wait")) for _ in range(3)]
    await until(lambda: slow.started == 3)
    await other.close()
    for call in asking:
        with pytest.raises(ConnectionClosed):
            await call
    assert slow.cancelled == 3
    with pytest.raises(ConnectionClosed):
        await one.notify("note")


async def test_a_stream_that_is_no_json_rpc_ends_the_conversation_with_a_reason(joined: Join) -> None:
    wire, peer = Wire(HeaderFraming()), JsonRpcPeer(HeaderFraming(), spec)
    await joined(wire, peer)
    assert wire.transport is not None
    wire.transport.write(b"GET / HTTP/1.1\r\n\r\n")
    await wire.gone.wait()
    await peer.closed()
    assert "is not a header line" in str(peer.lost)
    (answer,) = wire.bodies
    assert isinstance(answer, dict)
    assert "is not a header line" in json.dumps(answer)


async def test_what_json_cannot_say_is_refused_before_it_is_sent(joined: Join) -> None:
    one, other = JsonRpcPeer(LineFraming(), spec), JsonRpcPeer(LineFraming(), spec)
    await joined(one, other)
    with pytest.raises(SerializationFailed):
        await one.call("sum", ["\ud800"])
    assert await one.call("sum", [1]) == 1


class Colour(enum.StrEnum):
    RED = "red"


@pytest.mark.parametrize(
    "value",
    [
        float("inf"), float("-inf"), float("nan"), b"\xff", bytearray(b"x"), {1, 2}, (1, 2), {1: 2},
        {None: 1}, date(2024, 1, 1), timedelta(1), UUID(int=1), Decimal("1.50"), Colour.RED, 2**70,
        -(2**63) - 1, "\ud800", {"\ud800": 1}, Colour,
    ],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("wrapped", [lambda v: v, lambda v: [v], lambda v: {"a": [0, {"b": v}]}])
def test_what_json_cannot_say_exactly_is_refused_wherever_it_stands(
    value: Any, wrapped: Callable[[Any], Any]
) -> None:
    said: list[Any] = [
        Success(1, wrapped(value)),
        Request(1, "m", [wrapped(value)]),
        Notification("m", {"x": wrapped(value)}),
        Failure(1, RpcError(-1, "no", wrapped(value))),
    ]
    for message in [*said, [Success(2, 0), said[0]]]:
        with pytest.raises(SerializationFailed):
            write(message)


@pytest.mark.parametrize("bad", [float("inf"), b"x", True, [1], "\ud800"], ids=repr)
def test_an_id_that_is_none_and_params_that_are_none_are_refused(bad: Any) -> None:
    with pytest.raises(SerializationFailed):
        write(Success(bad, 1))
    with pytest.raises(SerializationFailed):
        write(Request(1, "m", "text"))  # type: ignore[arg-type]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False)
        | st.text() | st.binary() | st.dates(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
        max_leaves=8,
    )
)  # fmt: skip
def test_whatever_is_written_reads_back_as_it_was(value: Any) -> None:
    try:
        body = write(Success(1, value))
    except SerializationFailed:
        return
    (found,) = read(body).messages
    assert isinstance(found, Success)
    assert repr(found.result) == repr(value)


@pytest.mark.parametrize("id_", [7, 7.5, 2**70, "seven", None])
def test_an_id_goes_back_as_it_came(id_: Any) -> None:
    (found,) = read(write(Request(id_, "m", None))).messages
    assert isinstance(found, Request)
    assert json.loads(write(Success(found.id, 0)))["id"] == id_


class Scripted(asyncio.Protocol):
    """The other side of a peer: answers each body with bytes that a function makes of it."""

    def __init__(self, said: Callable[[Any], bytes]) -> None:
        self.said, self.framing, self.heard = said, LineFraming(), list[Any]()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        assert self.transport is not None
        for body in self.framing.feed(data):
            self.heard.append(json.loads(body))
            self.transport.write(self.said(self.heard[-1]))


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ('{"jsonrpc":"2.0","id":1,"result":5,"error":null}', 5),
        ('{"jsonrpc":"2.0","id":1,"error":null,"result":null}', None),
        ('{"jsonrpc":"2.0","id":1,"result":5,"error":false}', 5),
        ('{"id":1,"result":5,"error":null}', 5),
        ('{"jsonrpc":"1.0","id":1,"result":5}', 5),
        ('{"jsonrpc":"2.0","id":1.0,"result":5}', 5),
        ('{"jsonrpc":"2.0","id":"1","result":5}', 5),
        ('[{"jsonrpc":"2.0","id":1,"result":5}]', 5),
        ('{"jsonrpc":"2.0","id":1,"result":5,"extra":{"a":1}}', 5),
        ('\ufeff{"jsonrpc":"2.0","id":1,"result":5}', 5),
        ('{"jsonrpc":"2.0","id":1,"result":1180591620717411303424}', 2**70),
        # An answer to nothing that was asked disturbs nobody whose own answer comes.
        ('{"jsonrpc":"2.0","id":99,"result":0}\n{"jsonrpc":"2.0","id":1,"result":5}', 5),
        ('starting up\n[INFO] ready\n{"jsonrpc":"2.0","id":1,"result":5}', 5),
    ],
)
async def test_an_answer_is_taken_for_what_it_means(joined: Join, answer: str, result: Json) -> None:
    peer = JsonRpcPeer(LineFraming(), spec)
    await joined(Scripted(lambda heard: f"{answer}\n".encode() if "method" in heard else b""), peer)
    assert await peer.call("m") == result


@pytest.mark.parametrize(
    ("answer", "number", "why"),
    [
        ('{"jsonrpc":"2.0","id":1}', -32603, "no answer"),
        ('{"jsonrpc":"2.0","id":"1"}', -32603, "no answer"),
        ('{"jsonrpc":"2.0","id":1,"error":null}', -32603, "neither"),
        ('{"jsonrpc":"2.0","id":1,"result":null,"error":{"code":-1,"message":"no"}}', -1, "no"),
        ('{"jsonrpc":"2.0","id":1,"result":5,"error":{"code":-1,"message":"no"}}', -1, "no"),
        ('{"jsonrpc":"2.0","id":1,"error":{"code":-1.0,"message":"no"}}', -1, "no"),
        ('{"jsonrpc":"2.0","id":1,"error":{"code":"E7","message":"no"}}', -32603, "no"),
        ('{"jsonrpc":"2.0","id":1,"error":{"code":-32601}}', -32601, "Method not found"),
        ('{"jsonrpc":"2.0","id":1,"error":"no such thing"}', -32603, "no such thing"),
        ('{"jsonrpc":"2.0","id":1,"error":{}}', -32603, "Internal error"),
        ('{"jsonrpc":"2.0","id":1,"result":NaN}', -32603, "not JSON"),
        ('{"jsonrpc":"2.0","id":1,"result":1e999}', -32603, "not JSON"),
        ('{"jsonrpc":"2.0","id":1,"result":"\\ud800"}', -32603, "not JSON"),
        # From here on nobody can know which call is meant.
        ('{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}', -32700, "Parse"),
        ('{"jsonrpc":"2.0","id":null,"result":5}', -32603, "names no request"),
        ('{"jsonrpc":"2.0","result":5}', -32603, "names no request"),
        ('{"jsonrpc":"2.0","id":[1],"result":5}', -32603, "names no request"),
        ('{"jsonrpc":"2.0","id":true,"result":5}', -32603, "names no request"),
        ('{"jsonrpc":"2.0","id":99,"result":5}', -32603, "names no request"),
        ('{"jsonrpc":"2.0","id":"x","result":5}', -32603, "names no request"),
        ('{"jsonrpc":"2.0","id":1,"result":[1,2', -32603, "not JSON"),
        ('{"jsonrpc":"2.0","id":1,"resu', -32603, "not JSON"),
    ],
)
async def test_whatever_is_no_answer_nobody_waits_for_ever(
    joined: Join, answer: str, number: int, why: str
) -> None:
    peer = JsonRpcPeer(LineFraming(), spec, doubt_s=0)
    other = Scripted(lambda heard: f"{answer}\n".encode() if "method" in heard else b"")
    await joined(other, peer)
    with pytest.raises(RpcError, match=why) as caught:
        await peer.call("m")
    assert caught.value.number == number
    assert [one for one in other.heard if "method" not in one] == []  # an answer is not answered


async def test_a_batch_whose_answers_leave_one_out_does_not_wait_for_it(joined: Join) -> None:
    peer = JsonRpcPeer(LineFraming(), spec, doubt_s=0)
    await joined(Scripted(lambda heard: b'[{"jsonrpc":"2.0","id":2,"result":5}]\n'), peer)
    first, second, third = await peer.batch([("a", None), ("b", None), ("c", None)])
    assert second == 5
    assert [isinstance(one, RpcError) and "leaves this" in one.message for one in (first, third)] == [
        True
    ] * 2


async def test_the_answers_to_a_batch_take_time_by_their_number_and_not_by_its_square(joined: Join) -> None:
    def answered(heard: Any) -> bytes:
        return (
            json.dumps([{"jsonrpc": "2.0", "id": one["id"], "result": 0} for one in heard]).encode() + b"\n"
        )

    peer = JsonRpcPeer(LineFraming(), spec)
    await joined(Scripted(answered), peer)

    async def took_s(size: int) -> float:
        begun = time.process_time()
        assert await peer.batch([("m", None)] * size) == [0] * size
        return time.process_time() - begun

    # The best of some rounds: what else the process does, such as collecting garbage, is no matter of ours.
    few_s, many_s = [min([await took_s(size) for _ in range(4)]) for size in (400, 8_000)]
    assert many_s < 60 * few_s


async def test_an_error_that_cannot_be_sent_is_answered_in_other_words(joined: Join) -> None:
    async def broken(method: str, params: Params) -> Json:
        match method:
            case "data":
                raise RpcError(-5, "no", float("inf"))
            case "name":
                raise SymphonyError("no file \udcff")
            case "long":
                raise KeyError("x" * 100_000)
        return "x" * 100_000

    one, other = JsonRpcPeer(LineFraming(limit=50_000), broken), JsonRpcPeer(LineFraming(), spec)
    await joined(one, other)
    for method, why in (("data", "no"), ("name", r"no file \?"), ("long", "KeyError"), ("big", "bytes")):
        with pytest.raises(RpcError, match=why):
            await other.call(method)
    assert one.lost is None


async def test_calls_fail_when_the_stream_breaks_though_the_link_stays_open(joined: Join) -> None:
    wire, peer = Wire(HeaderFraming()), JsonRpcPeer(HeaderFraming(), spec)
    await joined(wire, peer)
    assert wire.transport is not None
    wire.transport.pause_reading()
    asking = [asyncio.ensure_future(peer.call("m", ["x" * 100_000])) for _ in range(8)]
    wire.transport.write(b"GET / HTTP/1.1\r\n\r\n")
    for call in asking:
        with pytest.raises(SymphonyError, match="is not a header line"):
            await call
    with pytest.raises(SymphonyError, match="is not a header line"):
        await peer.notify("m")
    wire.transport.abort()


@framings
@given(
    bodies=st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(json.dumps), max_size=6
    ),
    size=st.integers(1, 30),
)
def test_a_stream_cut_anywhere_gives_the_same_bodies(
    framing: type[Framing], bodies: list[str], size: int
) -> None:
    writer, reader = framing(), framing()
    stream = b"".join(writer.frame(body.encode()) for body in bodies)
    found = [body for at in range(0, len(stream), size) for body in reader.feed(stream[at : at + size])]
    assert found == [body.encode() for body in bodies]


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: -5\r\n\r\n",
        b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
        b"Content-Length: 0x5\r\n\r\n",
        b"Content-Type: text\r\n\r\n",
        b"no colon\r\n\r\n",
        b"X: " + b"y" * 5000,
        b"Content-Length: 9999999999999999\r\n\r\n",
    ],
    ids=["negative", "twice", "hexadecimal", "missing", "no colon", "endless", "absurd"],
)
def test_a_head_that_gives_no_length_is_refused(head: bytes) -> None:
    with pytest.raises(FramingBroken):
        HeaderFraming().feed(head)


@framings
def test_a_body_beyond_the_limit_is_refused_both_ways(framing: type[Framing]) -> None:
    with pytest.raises(FrameTooLarge):
        framing(limit=10).frame(b"x" * 11)
    with pytest.raises(FrameTooLarge):
        framing(limit=10).feed(framing().frame(b"x" * 11))


def test_other_heads_and_empty_lines_are_skipped() -> None:
    head = b"Content-Type: application/vscode-jsonrpc; charset=utf-8\r\ncontent-length:2\r\n\r\n{}"
    assert HeaderFraming().feed(head) == [b"{}"]
    assert LineFraming().feed(b"\r\n\n{}\r\n") == [b"{}"]
