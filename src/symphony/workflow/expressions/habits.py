"""Suggests CEL for what authors know from Python, JavaScript or Jinja. Pure.

Only refused expressions are examined.
"""

import re
from itertools import pairwise
from typing import Final

from symphony.workflow.expressions.errors import BadExpression
from symphony.workflow.expressions.scan import Token, tokens

_CHARS_MAX: Final = 60
_LOGIC: Final = {"and": "&&", "or": "||", "not": "!", "is": "==", "is not": "!="}
_WORDS: Final = {
    **_LOGIC,
    **{word.upper(): sign for word, sign in _LOGIC.items()},
    **dict.fromkeys(("True", "TRUE"), "true"),
    **dict.fromkeys(("False", "FALSE"), "false"),
    **dict.fromkeys(("None", "NULL", "Null", "nil", "undefined"), "null"),
}
_OTHER_WORDS: Final = {
    "elif": "write test ? a : other ? b : c",
    "for": "write list.map(x, value) or list.filter(x, test)",
    "lambda": "write list.map(x, value) or list.filter(x, test)",
}
_SIGNS: Final = {
    ("=", "=", "="): "write ==",
    ("!", "=", "="): "write !=",
    ("*", "*"): "multiply: x * x",
    ("?", "?"): "write x == null ? other : x",
    ("+", "+"): "write x + 1",
}
_TRIM: Final = r"CEL cannot trim: use the operator text.regex with pattern ^\s+|\s+$ and replace ''"
_CASE: Final = "CEL cannot change case: use the operator text.render, for instance {{ data | %s }}"
_PART: Final = "CEL cannot cut texts: use the operator text.regex, or text.render with {{ data[:8] }}"
_PLACE: Final = "CEL cannot find places in texts: use text.contains(part), or the operator text.regex"
_KEYS: Final = "a map in a macro gives its keys, for instance map.map(key, map[key])"
_STATUS: Final = "a node runs if those before it succeeded: see `on_error` and `join` for others"
_CALLS: Final = {
    "len": "write size(x)",
    "length": "write size(x)",
    "count": "write size(x)",
    "str": "write string(x)",
    "toString": "write string(x)",
    "float": "write double(x)",
    "parseInt": "write int(x)",
    "parseFloat": "write double(x)",
    "Number": "write double(x) or int(x)",
    "any": "write list.exists(x, test)",
    "some": "write list.exists(x, test)",
    "every": "write list.all(x, test)",
    "includes": "write text.contains(part), or part in list",
    "find": "write text.contains(part), or list.filter(x, test)",
    "index": "write text.contains(part), or part in list",
    "startswith": "write text.startsWith(part)",
    "endswith": "write text.endsWith(part)",
    "match": "write text.matches(pattern)",
    "search": "write text.matches(pattern)",
    "isinstance": "write type(x) == string",
    "get": "write has(map.key) ? map.key : other",
    "append": "write list + [x]",
    "push": "write list + [x]",
    "concat": "write a + b",
    "first": "write list[0]",
    "last": "write list[size(list) - 1]",
    "empty": "write size(x) == 0",
    "isEmpty": "write size(x) == 0",
    "default": "write x == null ? other : x",
    "coalesce": "write x == null ? other : x",
    "now": "use run.started_at",
    "zip": "write other[index] in the `expression` of the operator data.map, or under for_each",
    "enumerate": "use index in the `expression` of the operator data.map, or under for_each",
    "strip": _TRIM,
    "lstrip": _TRIM,
    "rstrip": _TRIM,
    "trim": _TRIM,
    **dict.fromkeys(("substring", "substr", "charAt", "left", "right", "truncate"), _PART),
    **dict.fromkeys(("indexOf", "lastIndexOf", "rindex"), _PLACE),
    **dict.fromkeys(("keys", "values", "items", "entries"), _KEYS),
    **dict.fromkeys(("success", "failure", "always", "cancelled"), _STATUS),
    "upper": _CASE % "upper",
    "upperAscii": _CASE % "upper",
    "lowerAscii": _CASE % "lower",
    "toUpperCase": _CASE % "upper",
    "lower": _CASE % "lower",
    "toLowerCase": _CASE % "lower",
    "title": _CASE % "title",
    "capitalize": _CASE % "capitalize",
    "split": "CEL cannot split: use the operator text.split",
    "splitlines": "CEL cannot split: use the operator text.split",
    "join": "CEL cannot join: use the operator text.join",
    "replace": "CEL cannot replace: use the operator text.regex with replace",
    "format": 'join texts: "a" + string(x), or write text with ${{ }} in it: a${{ x }}',
    "sorted": "CEL cannot sort: use the operator data.sort",
    "sort": "CEL cannot sort: use the operator data.sort",
    "reverse": "CEL cannot reverse: use the operator data.sort",
    "reversed": "CEL cannot reverse: use the operator data.sort",
    "set": "CEL has no sets: use the operator data.unique",
    **dict.fromkeys(("unique", "distinct"), "use the operator data.unique"),
    **dict.fromkeys(("flatten", "flat"), "use the operator data.flatten"),
    **dict.fromkeys(("groupBy", "groupby"), "use the operator data.group"),
    **dict.fromkeys(("fromJSON", "fromJson", "json"), "use the operator json.parse"),
    **dict.fromkeys(
        ("toJSON", "toJson", "tojson"), "write text with ${{ }} in it: a list or a map becomes JSON"
    ),
    "range": "CEL has no ranges: use the operator data.range",
    "slice": "CEL has no slices: use list.filter(x, test), or the operator data.sort with limit",
    **dict.fromkeys(
        ("sum", "min", "max", "mean"), "CEL cannot sum up lists: use the operator data.group or data.reduce"
    ),
    **dict.fromkeys(("abs", "round", "floor", "ceil", "pow"), "compute it in the operator python.call"),
}
_ABSENT: Final = re.compile(r"there is no '(\w+)'")
_HYPHENED: Final = re.compile(r'nodes\["([\w-]+)"\]$')
_SLICE: Final = "use list.filter(x, test), the operator data.sort with limit, or text.regex for texts"


def foreign(text: str) -> BadExpression | None:
    """Return what is wrong with words of other languages in `text`, such as `and` and `None`; else None."""
    try:
        found = tokens(text)
    except BadExpression:
        return None
    told = _word(found, text)
    return None if told is None else BadExpression(told[0], hint=told[1])


def habitual(error: BadExpression, text: str) -> BadExpression:
    """Return `error` about the CEL `text`, reworded if a habit from another language explains it."""
    if error.problem_code == "limit-exceeded":
        return error
    try:
        found = tokens(text)
    except BadExpression:
        return error
    absent = _ABSENT.search(error.message)
    if absent is not None and absent[1] in _CALLS and _is_called(found, absent[1]):
        return BadExpression(error.message, hint=_CALLS[absent[1]])
    if error.problem_code == "unknown-node" and (hyphened := _HYPHENED.search(error.hint or "")):
        port = re.search(rf"{hyphened[1]}\.(\w+)", text)
        hint = f'did you mean nodes["{hyphened[1]}"].{port[1]}?' if port else error.hint
        return BadExpression(error.message, problem_code="unknown-node", hint=hint)
    told = _word(found, text) or _sign(found) or _slice(found)
    return error if told is None else BadExpression(told[0], hint=told[1])


def _is_called(found: list[Token], name: str) -> bool:
    return any(one.text == name and after.text == "(" for one, after in pairwise(found))


def _word(found: list[Token], text: str) -> tuple[str, str] | None:
    """Return what is wrong with words that CEL does not have, and what to write; None if there are none."""
    free = [
        (at, one)
        for at, one in enumerate(found)
        if one.kind == "ident"
        and not (at and found[at - 1].text == ".")
        and not (at + 1 < len(found) and found[at + 1].text == "." and one.text != "f")
    ]
    by_word = {one.text: at for at, one in reversed(free)}
    if "if" in by_word and "else" in by_word and 0 < by_word["if"] < by_word["else"]:
        first, last = found[by_word["if"]], found[by_word["else"]]
        parts = text[first.end : last.start], text[: first.start], text[last.end :]
        written = "{} ? {} : {}".format(*(part.strip() for part in parts))
        simple = len(written) <= _CHARS_MAX and not _WORDS.keys() & by_word.keys()
        return "CEL has no `if`", f"write {written if simple else 'test ? a : b'}"
    if "not" in by_word and (at := by_word["not"]) + 1 < len(found) and found[at + 1].text == "in":
        return "CEL has no `not in`", "write !(a in b)"
    for at, one in free:
        after = found[at + 1] if at + 1 < len(found) else None
        if one.text in ("f", "F") and after and after.kind == "string" and after.start == one.end:
            return "CEL has no f-strings", _CALLS["format"]
        if one.text in _OTHER_WORDS and after is not None:
            return f"CEL has no `{one.text}`", _OTHER_WORDS[one.text]
    used = [word for word in _WORDS if word in _joined(free, found)]
    if not used:
        return None
    *others, final = (f"`{word}`" for word in used)
    named = f"{', '.join(others)} and {final}" if others else final
    return f"CEL has no {named}", "write " + ", ".join(f"{_WORDS[word]} for {word}" for word in used)


def _joined(free: list[tuple[int, Token]], found: list[Token]) -> set[str]:
    """Return the words that stand alone, `is not` as one."""
    words, last = set[str](), -1
    for at, one in free:
        if at == last:
            continue
        after = found[at + 1].text if at + 1 < len(found) else ""
        if (pair := f"{one.text} {after}") in _WORDS:
            last = at + 1
        words.add(pair if pair in _WORDS else one.text)
    return words


def _sign(found: list[Token]) -> tuple[str, str] | None:
    """Return what is wrong with signs that CEL does not have, and what to write; None if there are none."""
    for at, one in enumerate(found):
        if one.kind != "op":
            continue
        for signs, hint in _SIGNS.items():
            if tuple(other.text for other in found[at : at + len(signs)]) == signs:
                return f"CEL has no `{''.join(signs)}`", hint
        around = (found[at - 1].text if at else "", found[at + 1].text if at + 1 < len(found) else "")
        if one.text == "=" and around[0] not in tuple("=!<>") and around[1] not in ("=", "~"):
            return "CEL has no `=`", "compare with =="
        if one.text == "|" and "|" not in around:
            return "CEL has no filters", "write || for or; for Jinja's filters use the operator text.render"
    return None


def _slice(found: list[Token]) -> tuple[str, str] | None:
    """Return what is wrong with `x[0:2]`; None if the text has no slice."""
    open_: list[str] = []
    for one in found:
        if one.kind != "op":
            continue
        if one.text in "([{?":
            open_.append(one.text)
        elif one.text in ")]}":
            while open_ and open_.pop() == "?":
                pass
        elif one.text == ":" and open_:
            if open_[-1] == "[":
                return "CEL has no slices", _SLICE
            if open_[-1] == "?":
                open_.pop()
    return None
