"""Reads the answers of servers, only the parts that are used. Pure.

Many programs speak the interfaces of OpenAI and Anthropic, each a little otherwise: nulls for what
they do not know, counts as `5.0`, texts in parts, fields of their own. None of that may throw a good
answer away; what is missing where it is needed is told by those who need it.
"""

import json
import math
from collections.abc import Mapping, Sequence

import msgspec

from symphony.kit.errors import InputRefused
from symphony.kit.instruments.hosted.faults import UNPAID, UNPAID_HINT, Fault
from symphony.kit.instruments.hosted.retrying import OVERLOADED, RETRIED
from symphony.kit.instruments.hosted.wire import (
    URL_HINT,
    BrokenAnswer,
    Overloaded,
    ServerFailed,
    TemporaryFailure,
    Tokens,
    shown,
)
from symphony.kit.json_pieces import PIECE_BYTES, parsed
from symphony.ports.models import ModelFailed
from symphony.ports.values import Value

LOOSE_BYTES_MAX = 4 * 1024 * 1024
"""A body that is not quite JSON is read up to this size: the lenient reader is slower."""
PARTS_OF_TEXT = ("text", "output_text", "input_text", None)
_MARK = "\ufeff"


def tree(body: bytes | str, what: str) -> Mapping[str, Value]:
    """Return the map in a JSON body. Raises BrokenAnswer.

    NaN, halves of characters and bytes that are no UTF-8 are let through: they may stand where nobody
    looks.
    """
    found: Value
    try:
        if len(body) <= PIECE_BYTES:
            found = msgspec.json.decode(body)
        else:  # in a thread, where it leaves others their turn
            found = parsed(body if isinstance(body, str) else body.decode(), lambda: None)
    except (InputRefused, msgspec.DecodeError, UnicodeError, RecursionError) as error:
        found = _loosely(body, what, error)
    if not isinstance(found, dict):
        raise _not_promised(what, f"expected an object, got {type(found).__name__}")
    return found


def _loosely(body: bytes | str, what: str, why: Exception) -> Value:
    if len(body) > LOOSE_BYTES_MAX:
        raise _not_promised(what, why) from why
    text = body if isinstance(body, str) else body.decode("utf-8", "replace")
    try:
        found: Value = json.loads(text.removeprefix(_MARK))
    except (ValueError, RecursionError):
        raise _not_promised(what, why) from why
    return found


def _not_promised(what: str, why: object) -> BrokenAnswer:
    return BrokenAnswer(f"{what} is not what the interface promises: {why}", hint=URL_HINT)


def fields(value: Value) -> Mapping[str, Value]:
    """Return a map; an empty one in place of null and of anything else."""
    return value if isinstance(value, dict) else {}


def items(value: Value) -> Sequence[Value]:
    """Return a list; an empty one in place of null and of anything else."""
    return value if isinstance(value, list) else ()


def word(value: Value) -> str | None:
    """Return `value` if it is a text and not an empty one; else None."""
    return value if isinstance(value, str) and value else None


def text_of(content: Value) -> str:
    """Text as it is, or in parts of which those that are text count."""
    if isinstance(content, str):
        return content
    found: list[str] = []
    for part in items(content):
        if isinstance(part, str):
            found.append(part)
        elif isinstance(part, dict) and part.get("type") in PARTS_OF_TEXT:
            found.append(word(part.get("text")) or "")
    return "".join(found)


def count(value: Value) -> int | None:
    """Return a number of tokens: a float or digits in a text are one, too. None for what says nothing."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return math.ceil(value)


def tokens(read: int | None, written: int | None, total: int | None, *, cached: int | None) -> Tokens | None:
    """Counts, of which one may follow from the total; None if the answer must be estimated."""
    if total is not None and read is None and written is not None:
        read = total - written
    if total is not None and written is None and read is not None:
        written = total - read
    if read is None or written is None:
        return None
    return Tokens.told(read=read, written=written, cached=cached or 0)


class Pieces:
    """A text that comes in pieces. Halves of a character in two of them are put together."""

    def __init__(self) -> None:
        self._all: list[str] = []
        self._held = ""

    def add(self, piece: str) -> str:
        """One more; as much of the text as is whole now and was not before."""
        piece, self._held = self._held + piece, ""
        if "\ud800" <= piece[-1:] <= "\udbff":
            piece, self._held = piece[:-1], piece[-1]
        piece = whole(piece)
        if piece:
            self._all.append(piece)
        return piece

    def text(self) -> str:
        """Return all of it."""
        return "".join(self._all) + whole(self._held)


def whole(text: str) -> str:
    """Return `text` with pairs of halves as characters, and � for a half alone."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def fault_of(error: Value) -> Fault | None:
    """Return the error in the field of that name; None where that says that there is none."""
    if not error:
        return None
    if not isinstance(error, dict):
        return Fault(words=error if isinstance(error, str) else shown(json.dumps(error, default=str)))
    given = [error.get("code"), error.get("type"), error.get("status")]
    numbers = [number for one in given if (number := count(one)) is not None and 100 <= number < 600]
    codes = frozenset(one.lower() for one in given if isinstance(one, str))
    said = word(error.get("message")) or word(error.get("error")) or ", ".join(sorted(codes))
    return Fault(
        words=said or shown(json.dumps(error, default=str)), codes=codes, status=next(iter(numbers), None)
    )


def fault_in(body: bytes) -> Fault:
    """Return the error in the body of a refusal, as OpenAI, Anthropic and many others shape it."""
    try:
        found = tree(body, "the error")
    except BrokenAnswer:
        listed = _first(body)
        return Fault(words=body.decode("utf-8", "replace")) if listed is None else listed
    for error in (found.get("error"), found.get("message"), found.get("detail"), found.get("errors")):
        fault = fault_of(error if not isinstance(error, list) else next(iter(error), None))
        if fault is not None:
            more = fault_of({**found, "error": None}) or fault
            return Fault(fault.words, fault.codes | more.codes, fault.status or more.status)
    return Fault(words=body.decode("utf-8", "replace"))


def _first(body: bytes) -> Fault | None:
    """Return the first of a list of errors, such as one of Google's interfaces answers; None for
    anything else.
    """
    try:
        found: Value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    first = fields(next(iter(items(found)), None))
    return fault_of(first.get("error"))


def raise_fault(error: Value) -> None:
    """Raise the `error` of an answer of status 200, with which some servers begin before they fail.

    An empty one is not an error. Raises ModelFailed; Overloaded or ServerFailed for what may pass.
    """
    fault = fault_of(error)
    if fault is None:
        return
    if fault.unpaid or fault.status == 402:
        raise ModelFailed(f"the provider broke off: {shown(fault.words)}", code=UNPAID, hint=UNPAID_HINT)
    if fault.status is not None and 400 <= fault.status < 500 and fault.status not in RETRIED:
        raise ModelFailed(
            f"the provider broke off: {shown(fault.words)}",
            code="model-unauthorized" if fault.status in (401, 403) else "model-refused",
            hint="look at the node's inputs and config, and at what the provider says",
        )
    status = f" with {fault.status}" if fault.status is not None else ""
    message = f"the provider broke off{status}: {shown(fault.words)}"
    failed: TemporaryFailure
    if fault.status in OVERLOADED or fault.overloaded:
        failed = Overloaded(message, hint="try again later")
    else:
        failed = ServerFailed(message, hint="the fault is at the provider: try again later")
    failed.ill = not fault.limited and (fault.status is None or fault.status >= 500)
    raise failed
