"""The messages of JSON-RPC 2.0, read and written. No I/O.

Source: the JSON-RPC 2.0 Specification, 2013-01-04 (jsonrpc.org).
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from symphony.commons.errors import Detail, SerializationFailed, SymphonyError
from symphony.ipc import values

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
Params: TypeAlias = list[Json] | dict[str, Json] | None
"""By position, by name, or none at all."""
Id: TypeAlias = int | float | str | None

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
REQUEST_CANCELLED = -32800
"""The code for a request that the client cancelled (Language Server Protocol)."""
SERVER_BUSY = -32000
"""More requests at once than this side takes."""

MEANINGS: Mapping[int, str] = {
    PARSE_ERROR: "Parse error",
    INVALID_REQUEST: "Invalid Request",
    METHOD_NOT_FOUND: "Method not found",
    INVALID_PARAMS: "Invalid params",
    INTERNAL_ERROR: "Internal error",
}

_ID_TYPES = (int, float, str, type(None))
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class RpcError(SymphonyError):
    """The other side answered with an error; or what a handler raises to answer with one."""

    code = "rpc-error"

    def __init__(self, number: int, message: str | None = None, data: Json = None) -> None:
        """`number` is the protocol's code of the error."""
        said = message if message is not None else MEANINGS.get(number, "Server error")
        details: dict[str, Detail] = {"number": number, "data": data}
        super().__init__(said, details=details)
        self.number, self.data = number, data


class Request(NamedTuple):
    """Do `method` and answer with `id`."""

    id: Id
    method: str
    params: Params


class Notification(NamedTuple):
    """`method`, and no answer."""

    method: str
    params: Params


class Success(NamedTuple):
    """The result of the request `id`."""

    id: Id
    result: Json


class Failure(NamedTuple):
    """The error of a request. `id` is None if the request could not even be read."""

    id: Id
    error: RpcError


Message: TypeAlias = Request | Notification | Success | Failure


class Incoming(NamedTuple):
    """The messages of one body, with a `Failure` to send back in place of an invalid one.

    `batch`: the answers belong together, in one array.
    """

    messages: Sequence[Message]
    invalid: Sequence[Failure]
    batch: bool


class _Invalid(NamedTuple):
    """Something to be answered with a failure."""

    answer: Failure


class AnswerBroken(RpcError):
    """The other side answered, but with what is neither a result nor an error."""

    def __init__(self, why: str) -> None:
        """`why` goes on after "the answer"."""
        super().__init__(INTERNAL_ERROR, f"the answer {why}")


def read(body: bytes) -> Incoming:
    """Return what `body` says; never raises.

    An invalid answer comes as a `Failure` with AnswerBroken, for the caller that waits for it. It gets
    no reply, which the other side would take for an answer to a request of its own.
    """
    body = body.removeprefix(_BOM)
    try:
        tree: object = _decode(body)
    except (ValueError, RecursionError) as error:
        return _unreadable(body, str(error) or type(error).__name__)
    if not isinstance(tree, list):
        return _sorted([_read_one(tree)], batch=False)
    if not tree:
        return Incoming((), (_invalid(None),), False)
    return _sorted([_read_one(item) for item in tree], batch=True)


def _sorted(found: list[Message | _Invalid], *, batch: bool) -> Incoming:
    good = [one for one in found if not isinstance(one, _Invalid)]
    return Incoming(good, [one.answer for one in found if isinstance(one, _Invalid)], batch)


def _invalid(id_: Id) -> Failure:
    return Failure(id_, RpcError(INVALID_REQUEST))


def _unreadable(body: bytes, why: str) -> Incoming:
    """No JSON; perhaps an answer anyway, such as one that holds NaN or half of a character."""
    answers = [
        Failure(_id_of(one), AnswerBroken(f"is not JSON: {why}"))
        for one in _loosely(body)
        if isinstance(one, dict) and "method" not in one and "id" in one
    ]
    return Incoming(answers, () if answers else (Failure(None, RpcError(PARSE_ERROR)),), len(answers) > 1)


def _loosely(body: bytes) -> list[object]:
    try:
        tree: object = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        # Cut short or garbled, and nobody knows whose it is. Other lines, such as a log's, are no message.
        return [{"id": None}] if _OBJECT.match(body) and b'"method"' not in body else []
    return tree if isinstance(tree, list) else [tree]


_OBJECT = re.compile(rb"\s*(?:\[\s*)?\{")
_BOM = b"\xef\xbb\xbf"


def _read_one(tree: object) -> Message | _Invalid:
    if not isinstance(tree, dict):
        return _Invalid(_invalid(None))
    if "method" not in tree and ("result" in tree or "error" in tree):
        return _read_answer(tree)
    given, has_id = tree.get("id"), "id" in tree
    id_ = _id_of(tree)
    if tree.get("jsonrpc") != "2.0" or id_ != given or "method" not in tree:
        return _Invalid(_invalid(id_))
    method, params = tree["method"], tree.get("params")
    if not isinstance(method, str) or not ("params" not in tree or isinstance(params, list | dict)):
        return _Invalid(_invalid(id_))
    return Request(id_, method, params) if has_id else Notification(method, params)


def _id_of(tree: dict[str, Json]) -> Id:
    """Return the id, or None for what cannot be one."""
    given = tree.get("id")
    return given if isinstance(given, int | float | str) and not isinstance(given, bool) else None


def _read_answer(tree: dict[str, Json]) -> Success | Failure:
    """Return an answer, read for what it means: many servers send the member that says nothing as null.

    A version that is missing or another one changes nothing about that.
    """
    id_, error = _id_of(tree), tree.get("error")
    if error is None or error is False:
        if "result" in tree:
            return Success(id_, tree["result"])
        return Failure(id_, AnswerBroken("has neither a result nor an error"))
    return Failure(id_, _read_error(error))


def _read_error(tree: Json) -> RpcError:
    """Return an error, of which other versions and careless servers give only a part."""
    if not isinstance(tree, dict):
        return RpcError(INTERNAL_ERROR, tree if isinstance(tree, str) else _encode(tree).decode(), tree)
    number, message = tree.get("code"), tree.get("message")
    if isinstance(number, float) and number.is_integer():
        number = int(number)
    if not isinstance(number, int) or isinstance(number, bool):
        number = INTERNAL_ERROR
    return RpcError(number, message if isinstance(message, str) else None, tree.get("data"))


def write(message: Message | Sequence[Message]) -> bytes:
    """Return the body for `message`, or for a batch of them. Raises SerializationFailed for what JSON
    cannot say.

    Nothing is changed on its way: infinity, bytes, dates, sets, keys that are not text and the like are
    refused, for the encoder would turn them into something else.
    """
    tree: object
    try:
        if isinstance(message, Request | Notification | Success | Failure):
            tree = _tree(message)
        else:
            tree = [_tree(one) for one in message]
        return _encode(tree)
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise SerializationFailed(f"a message cannot be sent as JSON: {error}") from error


def _tree(message: Message) -> dict[str, Json]:
    tree: dict[str, Json] = {"jsonrpc": "2.0"}
    if isinstance(message, Request | Notification):
        tree["method"] = message.method
        if not isinstance(message.params, list | dict | None):
            raise SerializationFailed(
                "a message cannot be sent as JSON: its params are neither a list nor a map"
            )
        if message.params is not None:
            tree["params"] = message.params
    elif isinstance(message, Success):
        tree["result"] = message.result
    else:
        said: dict[str, Json] = {"code": message.error.number, "message": message.error.message}
        if message.error.data is not None:
            said["data"] = message.error.data
        tree["error"] = said
    values.check_json(tree, "a message")
    if not isinstance(message, Notification):
        id_ = message.id
        # An id goes back as it came, however large a number it is.
        if type(id_) not in _ID_TYPES:
            raise SerializationFailed(f"a message cannot be sent as JSON: {id_!r:.40} is no id")
        if type(id_) is not int:
            values.check_json(id_, "an id of a message")
        tree["id"] = id_
    return tree
