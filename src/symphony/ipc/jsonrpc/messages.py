"""The messages of JSON-RPC 2.0, read and written. No I/O.

Source: the JSON-RPC 2.0 Specification, 2013-01-04 (jsonrpc.org).
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import msgspec

from symphony.commons.errors import Detail, SerializationFailed, SymphonyError

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
"""Of the Language Server Protocol: the request was cancelled by the one who made it."""
SERVER_BUSY = -32000
"""More requests at once than this side takes."""

MEANINGS: Mapping[int, str] = {
    PARSE_ERROR: "Parse error",
    INVALID_REQUEST: "Invalid Request",
    METHOD_NOT_FOUND: "Method not found",
    INVALID_PARAMS: "Invalid params",
    INTERNAL_ERROR: "Internal error",
}

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
    """Why there is no result. `id` is None where the request could not even be read."""

    id: Id
    error: RpcError


Message: TypeAlias = Request | Notification | Success | Failure


class Incoming(NamedTuple):
    """What one body holds: `messages`, with a `Failure` to send back in the place of what is invalid.

    `batch`: the answers belong together, in one array.
    """

    messages: Sequence[Message]
    invalid: Sequence[Failure]
    batch: bool


class _Invalid(NamedTuple):
    """Something to be answered with a failure."""

    answer: Failure


def read(body: bytes) -> Incoming:
    """What `body` says; never raises."""
    try:
        tree: object = _decode(body)
    except (ValueError, RecursionError):
        return Incoming((), (Failure(None, RpcError(PARSE_ERROR)),), False)
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


def _read_one(tree: object) -> Message | _Invalid:
    if not isinstance(tree, dict):
        return _Invalid(_invalid(None))
    given = tree.get("id")
    has_id = "id" in tree
    good_id = given is None or (isinstance(given, int | float | str) and not isinstance(given, bool))
    id_: Id = given if good_id else None
    if tree.get("jsonrpc") != "2.0" or not good_id:
        return _Invalid(_invalid(id_))
    if "method" in tree:
        method, params = tree["method"], tree.get("params")
        if not isinstance(method, str) or not ("params" not in tree or isinstance(params, list | dict)):
            return _Invalid(_invalid(id_))
        return Request(id_, method, params) if has_id else Notification(method, params)
    if has_id and "result" in tree and "error" not in tree:
        return Success(id_, tree["result"])
    if (
        has_id
        and "error" in tree
        and "result" not in tree
        and (error := _read_error(tree["error"])) is not None
    ):
        return Failure(id_, error)
    return _Invalid(_invalid(id_))


def _read_error(tree: object) -> RpcError | None:
    if not isinstance(tree, dict):
        return None
    number, message = tree.get("code"), tree.get("message")
    if not isinstance(number, int) or isinstance(number, bool) or not isinstance(message, str):
        return None
    return RpcError(number, message, tree.get("data"))


def write(message: Message | Sequence[Message]) -> bytes:
    """The body for `message`, or for a batch of them. Raises SerializationFailed for what JSON cannot say."""
    tree: object
    if isinstance(message, Request | Notification | Success | Failure):
        tree = _tree(message)
    else:
        tree = [_tree(one) for one in message]
    try:
        return _encode(tree)
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise SerializationFailed(f"a message cannot be sent as JSON: {error}") from error


def _tree(message: Message) -> dict[str, Json]:
    match message:
        case Request(id_, method, params):
            return _with_params({"jsonrpc": "2.0", "id": id_, "method": method}, params)
        case Notification(method, params):
            return _with_params({"jsonrpc": "2.0", "method": method}, params)
        case Success(id_, result):
            return {"jsonrpc": "2.0", "id": id_, "result": result}
        case Failure(id_, error):
            said: dict[str, Json] = {"code": error.number, "message": error.message}
            if error.data is not None:
                said["data"] = error.data
            return {"jsonrpc": "2.0", "id": id_, "error": said}


def _with_params(tree: dict[str, Json], params: Params) -> dict[str, Json]:
    if params is not None:
        tree["params"] = params
    return tree
