"""Errors of expressions, at validation and at run time."""

import re
from collections.abc import Mapping

from symphony.commons.errors import SymphonyError
from symphony.commons.lines import lines_of
from symphony.workflow.problems import Code, did_you_mean

DOUBLES = "more than 32 doubles or durations are added up"


class BadExpression(SymphonyError):
    """An expression cannot be used. `problem_code` is the code that validation reports."""

    code = "bad-expression"

    def __init__(
        self, message: str, *, problem_code: Code = "bad-expression", hint: str | None = None
    ) -> None:
        super().__init__(message, code=problem_code, hint=hint)
        self.problem_code: Code = problem_code


class ExpressionFailed(SymphonyError):
    """A valid expression failed on the values that it met."""

    code = "expression-failed"


GENERAL = "“Functions of expressions” in the reference of the documentation lists all that CEL has here"
"""The hint for an expression when nothing special is known."""
_FIRST = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_STATUS = re.compile(r"^[A-Z_]+: | \[[A-Z_]+\]$")
_OPERATORS = {
    "_&&_": "&&",
    "_||_": "||",
    "@in": "in",
    "!_": "!",
    "-_": "-",
    "_[_]": "[]",
    "_?_:_": "? :",
    "@not_strictly_false": "!",
    "<jump_condition>": "? :",
} | {f"_{sign}_": sign for sign in ("+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=")}
_REWORDED = (
    (r"wrapper\((\w+)\)", r"\1"),
    (r"(expression of type '.*') cannot be the operand of a select.*", r"\1 has no fields"),
    (r"Syntax error: \w+ input '<EOF>'.*", "the expression is not complete"),
    (r"Syntax error: (.*?) expecting .*", r"\1"),
    (r"Syntax error: ", ""),
    (r"token recognition error at: ", "unexpected "),
    (r"(?:mismatched|extraneous) input ", "unexpected "),
    (r"no viable alternative at input ", "cannot read "),
    (r" \(in container '.*?'\)", ""),
    (r"undeclared reference to '(.*?)'", r"there is no '\1'"),
    (r"[Nn]o matching overloads? found : (\S+)\((.*)\)", r"`\1` does not take (\2)"),
    (r"found no matching overload for '(.*?)' applied to '\((.*)\)'", r"`\1` does not take (\2)"),
    (r"[Nn]o matching overloads found : <jump.*", "the condition is neither true nor false"),
    (r"[Nn]o matching overloads found : (\S+)", r"`\1` does not take these values"),
    (rf'Key not found in map : "({DOUBLES})"', r"\1"),
    (r"Key not found in map : (.*)", r"there is no key \1"),
    (r"Index error: index=(-?\d+) size=(\d+)", r"there is no element \1 in a list of \2"),
    (r"Applying SELECT to non-message type", "a field is read from something that is not a map"),
    (r"Type conversion error from '(\w+)' to '(\w+)'", r"cannot convert \1 to \2"),
    (r"String to Timestamp conversion failed", "cannot convert string to timestamp"),
    (r"String to Duration conversion failed", "cannot convert string to duration"),
    (r"(\w+?)(?:64)? out of (u?int)64 range", r"\1 is out of the range of \2"),
    (r"malformed UTF-8 bytes", "the bytes are not a text in UTF-8"),
    (r"divide by zero", "division by zero"),
    (r"modulus by zero", "remainder of a division by zero"),
    (r"Iteration budget exceeded", "it takes more than 10,000 steps"),
    (r"basic_string: construction from null is not valid", "a text is not valid Unicode"),
)  # fmt: skip
_TYPES = (
    (r"\b(u?int)64\b", r"\1"),
    (r"\bnull_type\b", "null"),
)
_MISSING = re.compile(r"there is no '(\w+)'")
_HINTS = (
    (r"does not take \(.*(?:int.*double|double.*int)", "integers and doubles do not mix: write double(x)"),
    (r"`[!=]=` does not take \(.*null", "it is never null: leave the comparison out"),
    (r"does not take \(.*null", "test for null first: x == null ? … : …"),
    (r"does not take \(.*string", "convert with string(x), int(x) or double(x)"),
    (
        r"there is no '",
        "check the name: inputs.NAME, NODE.PORT, item, run.id, or a function: size, contains, matches, …",
    ),
    (r"there is no key", 'test it first: has(x.key), or "key" in x'),
    (r"there is no element", "test the size first: size(x) > 0"),
    (DOUBLES, "add them up in an operator"),
    (r"takes more than", "compute it in an operator, such as data.map or data.filter"),
    (r"has\(\) argument", "ports are always there: compare them with null"),
)


def first_error(message: str) -> tuple[str, int, int]:
    """Return the library's first problem in Symphony's words, with line and column (0: unknown)."""
    match = _FIRST.search(message)
    if match is None:
        return reworded((lines_of(message.strip()) or ["unknown error"])[0]), 0, 0
    return reworded(match[3]), max(0, int(match[1])), max(0, int(match[2]))


def reworded(message: str) -> str:
    """Return the library's message without words about its internals."""
    message = _STATUS.sub("", _STATUS.sub("", message))
    for pattern, text in (*_TYPES, *_REWORDED) if "overload" in message else _REWORDED:
        message = re.sub(pattern, text, message)
    return re.sub(r"`([^`]*)`", lambda m: f"`{_OPERATORS.get(m[1], m[1])}`", message)


def named(message: str, names: Mapping[str, str]) -> str:
    """Return the message with the internal names of variables replaced by what the author wrote."""
    return re.sub(r"\b_0\w+", lambda found: names.get(found[0], found[0]), message)


def hint_for(message: str, general: str = GENERAL) -> str:
    """Return how to fix a reworded message; `general` if nothing special is known."""
    if (missing := _MISSING.search(message)) is not None:
        from symphony.workflow.expressions.library import CALLABLE

        if close := did_you_mean(missing[1], sorted(CALLABLE), ""):
            return close
    return next((hint for pattern, hint in _HINTS if re.search(pattern, message)), general)
