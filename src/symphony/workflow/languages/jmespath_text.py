"""JMESPath as `json.query` takes it."""

import re
from collections.abc import Iterator
from typing import Final

from symphony.workflow.languages.faults import LiteralFault
from symphony.workflow.problems import did_you_mean, shown

LENGTH_MAX: Final = 4096
_GENERAL: Final = "see jmespath.org for the language"
_CALL: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)\s*\(", re.ASCII)


def jmespath_faults(text: str) -> tuple[LiteralFault, ...]:
    """Return what is wrong with an expression: its syntax, or the functions that it calls."""
    import jmespath
    from jmespath.exceptions import IncompleteExpressionError, JMESPathError, LexerError, ParseError

    if len(text) > LENGTH_MAX:
        message = f"the expression has {len(text):,} characters, at most {LENGTH_MAX:,} are allowed"
        return (LiteralFault(message=message, hint="shorten it", code="limit-exceeded"),)
    try:
        parsed: object = jmespath.compile(text).parsed
    except LexerError as error:
        return (LiteralFault(message=str(error.message).lower(), hint=_GENERAL, at=error.lex_position),)
    except IncompleteExpressionError as error:
        return (LiteralFault(message="the expression is not complete", hint=_GENERAL, at=error.lex_position),)
    except ParseError as error:
        if error.token_type == "EOF":  # noqa: S105
            return (
                LiteralFault(message="the expression is not complete", hint=_GENERAL, at=error.lex_position),
            )
        number = error.token_type == "NUMBER"  # noqa: S105
        hint = "numbers are written between backquotes: `20`" if number else _GENERAL
        message = f"unexpected {shown(error.token_value)}"
        return (LiteralFault(message=message, hint=hint, at=error.lex_position),)
    except RecursionError:  # the depth that is left depends on the caller
        return ()
    except (JMESPathError, ValueError) as error:
        return (LiteralFault(message=" ".join(str(error).split()) or "it is empty", hint=_GENERAL),)
    return tuple(_of_functions(text, parsed))


def _of_functions(text: str, parsed: object) -> Iterator[LiteralFault]:
    """Return the faults of calls: unknown functions, and wrong numbers of arguments."""
    from jmespath.functions import Functions

    known = Functions.FUNCTION_TABLE
    for name, count in dict.fromkeys(_calls(parsed)):
        places = [call.start() for call in _CALL.finditer(text) if call[1] == name]
        at = places[0] if len(places) == 1 else None
        if name not in known:
            hint = did_you_mean(name, known, f"the functions are {', '.join(sorted(known))}")
            yield LiteralFault(message=f"there is no function {name}", hint=hint, at=at)
            continue
        wanted = known[name]["signature"]
        several = bool(wanted) and bool(wanted[-1].get("variadic"))
        if count < len(wanted) or (count > len(wanted) and not several):
            needs = f"{'at least ' if several else ''}{len(wanted)} argument{'s' * (len(wanted) != 1)}"
            yield LiteralFault(message=f"{name} takes {needs}, not {count}", hint=_GENERAL, at=at)


def _calls(parsed: object) -> Iterator[tuple[str, int]]:
    """Yield the functions that an expression calls, with the number of arguments."""
    waiting = [parsed]
    while waiting:
        node = waiting.pop()
        if not isinstance(node, dict):
            continue
        children = node.get("children")
        below = children if isinstance(children, list) else []
        if node.get("type") == "function_expression":
            yield str(node.get("value")), len(below)
        waiting += reversed(below)
