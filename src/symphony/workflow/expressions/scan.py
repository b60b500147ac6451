"""Finds what an expression reads, without evaluating it: a tokenizer for CEL. Pure.

Grammar: the Common Expression Language specification (cel-spec, "Syntax"), lexis only; the CEL library's
    checker decides everything else.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, TypeAlias

import msgspec

from symphony.workflow.expressions.errors import BadExpression

LENGTH_MAX = 4096
MACROS_DEEP_MAX = 3
BRACKETS_DEEP_MAX = 60  # the library itself refuses more than 32 levels of grammar

ReadKind: TypeAlias = Literal[
    "input", "port", "node", "item", "index", "state", "iteration", "run", "env", "value"
]  # fmt: skip


_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


class Read(msgspec.Struct, frozen=True, gc=False):
    """One thing an expression reads. `name` is the input's, node's, state's or variable's.

    A read of kind `node` is the map of all ports of a node.
    """

    kind: ReadKind
    name: str = ""
    port: str = ""

    def __str__(self) -> str:
        roots = {"input": "inputs", "state": "state", "run": "run", "env": "env"}
        if self.kind in roots:
            return _selected(roots[self.kind], self.name)
        if self.kind in ("port", "node"):
            name = f'nodes["{self.name}"]' if "-" in self.name else self.name
            return _selected(name, self.port) if self.port else name
        return self.kind


def _selected(operand: str, name: str) -> str:
    return f"{operand}.{name}" if _IDENTIFIER.fullmatch(name) else f'{operand}["{name}"]'


class PlacedReference(msgspec.Struct, frozen=True, gc=False):
    """One reference: what it reads and where it stands in the text."""

    read: Read
    start: int
    end: int


class Token(msgspec.Struct, frozen=True, gc=False):
    """One token of CEL; `kind` is `string`, `number`, `ident`, `quoted` or `op`. Comments are left out.

    A `quoted` one is the name of a field in backquotes.
    """

    kind: str
    text: str
    start: int
    end: int


_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<string>(?:[rR][bB]?|[bB][rR]?)?(?:\"\"\"|'''|"|'))
    |(?P<number>0[xX][0-9a-fA-F]+[uU]?|(?:\d+\.\d+|\.\d+|\d+)(?:[eE][+-]?\d+)?[uU]?)
    |(?P<ident>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<quoted>`[A-Za-z0-9_.\-/ ]+`)
    |(?P<op>.)""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_PLAIN_STRING = re.compile(r"(\"|')[^\"'\\\n]*\1")
_ROOTS = frozenset({"nodes", "inputs", "state", "run", "env"})
_ALONE = frozenset({"item", "index", "iteration"})
_LITERALS = frozenset({"true", "false", "null", "in"})
_WORDS = _LITERALS | {
    "int", "uint", "double", "bool", "string", "bytes", "list", "map", "type", "dyn", "null_type"
}  # fmt: skip
_OPEN, _CLOSE = "([{", ")]}"
_MESSAGE = "{"
MACROS = frozenset({"all", "exists", "exists_one", "map", "filter"})

_REFERENCE = re.compile(
    r"\$\{\{[ \t\n\r\f\v]*([A-Za-z_][A-Za-z0-9_]*)\.([A-Za-z_][A-Za-z0-9_]*)[ \t\n\r\f\v]*\}\}"
)
_NO_NODES = _ROOTS | _ALONE | _WORDS | {"value"}


def reference_in(text: str) -> Read | None:
    """Return what a string reads that is exactly `${{ NODE.PORT }}` or `${{ inputs.NAME }}`, else None."""
    match = _REFERENCE.fullmatch(text)
    if match is None or len(text) > LENGTH_MAX:
        return None
    root, name = match.groups()
    if name in _LITERALS:
        return None
    if root in _NO_NODES:
        return Read("input", name) if root == "inputs" else None
    return Read("port", root, name)


def string_end(text: str, start: int) -> int:
    """Return the index after the CEL string literal at `start`, or -1 if it does not end."""
    match = _TOKEN.match(text, start)
    assert match is not None
    prefix = match["string"].rstrip("\"'").lower()
    quote = match["string"][len(prefix) :]
    at = match.end()
    while at < len(text):
        if text.startswith(quote, at):
            return at + len(quote)
        if text[at] == "\\" and "r" not in prefix:
            at += 1
        elif text[at] in "\n\r" and len(quote) == 1:
            return -1
        at += 1
    return -1


@lru_cache(maxsize=16_384)
def references(text: str, value: bool = False) -> tuple[PlacedReference, ...]:
    """Return every reference of one bare CEL text, in order.

    With `value`, the word `value` is what an edge carries; otherwise it is the name of a node. Raises
    BadExpression: empty, too long, nested too deeply, an unfinished string.
    """
    if not text.strip():
        raise BadExpression("the expression is empty", hint="write a CEL expression between ${{ and }}")
    if "\0" in text:
        raise BadExpression("the expression holds the character NUL", hint="write it as \\x00 in a string")
    if len(text) > LENGTH_MAX:
        raise BadExpression(
            f"the expression has {len(text)} characters, at most {LENGTH_MAX} are allowed",
            problem_code="limit-exceeded",
            hint="compute large values in an operator",
        )
    found = None if value else plain_references(text)
    return _Scanner(tokens(text), value).run() if found is None else found


_PLAIN = re.compile(
    r"(?:\s*(?:[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*|\d+(?:\.\d+)?\b(?!\.)|&&|\|\||[<>=!]=|[<>+*%-]))+\s*", re.ASCII
)
_CHAIN = re.compile(r"[A-Za-z_]\w*(?:\.\w+)*", re.ASCII)
_NAMED: Mapping[str, ReadKind] = {"inputs": "input", "state": "state", "run": "run", "env": "env"}


def plain_references(text: str) -> tuple[PlacedReference, ...] | None:
    """Find the references of a text of names, numbers and operators alone, without brackets: the short path.

    None for any other text, and where something is wrong.
    """
    if "(" in text or _PLAIN.fullmatch(text) is None:
        return None
    found: list[PlacedReference] = []
    for match in _CHAIN.finditer(text):
        root, dot, rest = match[0].partition(".")
        if root in _WORDS:
            continue
        name = rest.partition(".")[0]
        start = match.start()
        if name in _LITERALS or root in ("nodes", "google"):
            return None
        if root in _NAMED:
            if not dot:
                return None
            read = Read(_NAMED[root], name)
        elif root in _ALONE:
            found.append(PlacedReference(Read(root), start, start + len(root)))  # type: ignore[arg-type]  # in _ALONE
            continue
        else:
            read = Read("port", root, name) if dot else Read("node", root)
        found.append(PlacedReference(read, start, start + len(root) + len(dot) + len(name)))
    return tuple(found)


def scan(text: str, *, value: bool = False) -> tuple[Read, ...]:
    """Return what one bare CEL text reads, in order and without duplicates. Raises BadExpression.

    `value`: see `references`; set it for the `transform` of an edge.
    """
    return tuple(dict.fromkeys(found.read for found in references(text, value)))


def tokens(text: str) -> list[Token]:
    """Return the tokens of a CEL text. Raises BadExpression for a string that does not end."""
    found, at = list[Token](), 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        assert match is not None
        kind, end = match.lastgroup or "", match.end()
        if kind == "string":
            end = string_end(text, at)
            if end < 0:
                raise BadExpression(
                    f"a string that begins at character {at + 1} does not end", hint="close the quote"
                )
        if kind != "space":
            found.append(Token(kind, text[at:end], at, end))
        at = end
    return found


def ends_operand(token: Token) -> bool:
    """True if a selector, an index or a call may follow this token."""
    return token.text != "in" and (token.kind != "op" or token.text in _CLOSE)


class _Scanner:
    """One pass over the tokens.

    `stack` holds the variable that each open bracket binds; of the braces of a message, `{`.
    """

    def __init__(self, tokens: list[Token], value: bool) -> None:
        self.tokens, self.value = tokens, value
        self.stack: list[str | None] = []
        self.found: list[PlacedReference] = []

    def run(self) -> tuple[PlacedReference, ...]:
        at = 0
        while at < len(self.tokens):
            token = self.tokens[at]
            if token.kind == "ident":
                at = self._identifier(at)
                continue
            if token.text in _OPEN:
                at = self._bracket(at)
                continue
            if token.text in _CLOSE and self.stack:
                self.stack.pop()
            at += 1
        return tuple(self.found)

    def _at(self, at: int, *texts: str) -> bool:
        return at < len(self.tokens) and self.tokens[at].text in texts

    def _bracket(self, at: int) -> int:
        """Open a bracket; that of a macro binds its first argument."""
        bound, after = None, at + 1
        text, before = self.tokens[at].text, self.tokens[at - 1] if at else None
        if text == "(" and at >= 2 and before and before.text in MACROS and self.tokens[at - 2].text == ".":
            bound, after = self._variable(at + 1)
        elif text == "{" and before and before.kind == "ident":
            bound = _MESSAGE
        self.stack.append(bound)
        if len(self.stack) > BRACKETS_DEEP_MAX:
            raise BadExpression(
                f"brackets are nested more than {BRACKETS_DEEP_MAX} deep",
                problem_code="limit-exceeded",
                hint="split the expression over several nodes",
            )
        if sum(name not in (None, _MESSAGE) for name in self.stack) > MACROS_DEEP_MAX:
            raise BadExpression(
                f"macros are nested more than {MACROS_DEEP_MAX} deep",
                problem_code="limit-exceeded",
                hint="compute the inner list in a node of its own",
            )
        return after

    def _variable(self, at: int) -> tuple[str | None, int]:
        """Return the variable that a macro's first argument names, in parentheses or not, and the token
        after it.
        """
        first = at
        while self._at(at, "("):
            at += 1
        after = at + 1 + at - first
        closed = all(self._at(i, ")") for i in range(at + 1, after))
        if closed and at < len(self.tokens) and self.tokens[at].kind == "ident" and self._at(after, ","):
            return self.tokens[at].text, after
        return None, first

    def _identifier(self, at: int) -> int:
        token = self.tokens[at]
        if self._is_field(at) or self._at(at + 1, "("):
            return at + 1
        if token.text in self.stack and not (at and self.tokens[at - 1].text == "."):
            return at + 1  # a macro's variable; behind a leading dot, what is outside all macros
        if token.text in _ROOTS:
            return self._rooted(at)
        if token.text in _WORDS:
            return at + 1
        if token.text in _ALONE or (token.text == "value" and self.value):
            self._add(Read("value" if token.text == "value" else token.text), at, at)  # type: ignore[arg-type]  # in _ALONE
            return at + 1
        if token.text == "google" and self._at(at + 1, ".") and self._at(at + 2, "protobuf"):
            return at + 3
        return self._node(at, token.text, at)

    def _is_field(self, at: int) -> bool:
        """True if the identifier is a selected field, or a field of a message being built."""
        before = self.tokens[at - 1] if at else None
        if before is None or before.kind != "op":
            return False
        if before.text == "?" and at > 1 and self.tokens[at - 2].text == ".":
            return True  # optional selection, which the checker refuses
        if before.text == ".":
            return at > 1 and ends_operand(self.tokens[at - 2])
        inside = bool(self.stack) and self.stack[-1] == _MESSAGE
        return inside and before.text in ("{", ",") and self._at(at + 1, ":")

    def _member(self, at: int) -> tuple[str, int] | None:
        """Return the name selected after token `at` by `.name`, ``.`name` `` or `["name"]`, and its
        last token.
        """
        if self._at(at + 1, ".") and at + 2 < len(self.tokens) and self.tokens[at + 2].kind == "quoted":
            return self.tokens[at + 2].text[1:-1], at + 2
        if self._at(at + 1, ".") and at + 2 < len(self.tokens) and self.tokens[at + 2].kind == "ident":
            name = self.tokens[at + 2].text
            if name in ("true", "false"):
                raise BadExpression(
                    f"`.{name}` is not a field in an expression",
                    hint="the branch that was taken is NODE.taken; NODE.true and NODE.false are for `after`",
                )
            return None if name in _LITERALS else (name, at + 2)
        if self._at(at + 1, "[") and self._at(at + 3, "]") and self.tokens[at + 2].kind == "string":
            literal = self.tokens[at + 2].text
            if _PLAIN_STRING.fullmatch(literal):
                return literal[1:-1], at + 3
        return None

    def _rooted(self, at: int) -> int:
        root = self.tokens[at].text
        member = self._member(at)
        if member is None or (root != "nodes" and self._at(member[1] + 1, "(")):
            write = 'nodes["NAME"]' if root == "nodes" else f"{root}.NAME"
            raise BadExpression(f"`{root}` alone is not a value", hint=f"write {write}")
        name, last = member
        match root:
            case "nodes":
                return self._node(at, name, last)
            case "inputs":
                self._add(Read("input", name), at, last)
            case "state":
                self._add(Read("state", name), at, last)
            case "run":
                self._add(Read("run", name), at, last)
            case _:
                self._add(Read("env", name), at, last)
        return last + 1

    def _node(self, start: int, name: str, last: int) -> int:
        member = self._member(last)
        if member is None or self._at(member[1] + 1, "("):
            self._add(Read("node", name), start, last)
            return last + 1
        self._add(Read("port", name, member[0]), start, member[1])
        return member[1] + 1

    def _add(self, read: Read, first: int, last: int) -> None:
        self.found.append(PlacedReference(read, self.tokens[first].start, self.tokens[last].end))
