"""Reads single fields of a document: each returns its value or reports what is wrong with it."""

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

from symphony.ports.values import Value
from symphony.workflow.documents.tree import Tree, child, value_of
from symphony.workflow.model import NAME, duration_s
from symphony.workflow.problems import Code, Problem
from symphony.workflow.types import PortType, parse_type

SEMVER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(\.(0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*)?"
    r"(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
"""Semantic Versioning 2.0.0, semver.org."""

RESERVED = frozenset(
    "inputs item index run env state iteration nodes "
    "false in null true as break const continue else for function if import let loop package "
    "namespace return var void while "
    "int uint double bool string bytes list map type dyn null_type".split()
)


class Fields:
    """Reads fields and collects problems. `broken` names the nodes that could not be read."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.broken: set[str] = set()

    def report(self, code: Code, place: str, message: str, hint: str) -> None:
        """Note one problem."""
        self.problems.append(Problem(code=code, place=place, message=message, hint=hint))

    def wrong(self, place: str, message: str, hint: str) -> None:
        """Note a bad value of a known key."""
        self.report("type-mismatch", place, message, hint)

    def map(self, tree: Tree, place: str, what: str) -> dict[str, Tree] | None:
        """A map with text keys."""
        if not isinstance(tree, dict):
            self.wrong(place, f"{what} must be a map, not {kind_of(tree)}", "write `key: value` pairs")
            return None
        for key in tree:
            if not isinstance(key, str):
                self.wrong(place, f"the key {key!r} is no string", "quote the key")
        return {key: item for key, item in tree.items() if isinstance(key, str)}

    def known(self, tree: Mapping[str, Tree], place: str, keys: Collection[str], what: str) -> None:
        """Every key must be one of `keys`."""
        for key in tree:
            if key not in keys:
                near = difflib.get_close_matches(key, keys, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"{what} may have: {', '.join(sorted(keys))}"
                self.report("unknown-key", child(place, key), f"{what} has no key {key!r}", hint)

    def name(self, name: str, place: str) -> bool:
        """Is it a legal name of a node or an input?"""
        if not NAME.fullmatch(name):
            hint = "letters, digits, `_` and `-`, beginning with a letter or `_`, at most 100"
            self.report("bad-name", place, f"{name!r} is no name", hint)
            return False
        if name in RESERVED:
            self.report("reserved-name", place, f"{name!r} has a meaning in expressions", "choose another name")
            return False
        return True

    def text(self, tree: Tree, place: str, *, default: str = "") -> str:
        """Any text."""
        if isinstance(tree, str):
            return tree
        self.wrong(place, f"text is expected, not {kind_of(tree)}", "quote it")
        return default

    def texts(self, tree: Tree, place: str) -> tuple[str, ...]:
        """A list of texts."""
        if not isinstance(tree, list):
            self.wrong(place, f"a list of texts is expected, not {kind_of(tree)}", "write [a, b]")
            return ()
        return tuple(self.text(item, f"{place}[{i}]") for i, item in enumerate(tree))

    def condition(self, tree: Tree, place: str) -> str:
        """CEL; a plain boolean or number stands for itself."""
        if isinstance(tree, bool):
            return "true" if tree else "false"
        if isinstance(tree, int | float):
            return repr(tree)
        return self.text(tree, place, default="true")

    def integer(self, tree: Tree, place: str, *, least: int | None = None, default: int = 0) -> int:
        """A whole number, at least `least`."""
        if isinstance(tree, int) and not isinstance(tree, bool) and abs(tree) < 2**63:
            if least is None or tree >= least:
                return tree
            self.wrong(place, f"{tree} is less than {least}", f"use at least {least}")
            return default
        self.wrong(place, f"a whole number is expected, not {kind_of(tree)}", "write digits only")
        return default

    def boolean(self, tree: Tree, place: str, *, default: bool) -> bool:
        """true or false."""
        if isinstance(tree, bool):
            return tree
        self.wrong(place, f"true or false is expected, not {kind_of(tree)}", "write true or false")
        return default

    def choice(self, tree: Tree, place: str, choices: Sequence[str], default: str) -> str:
        """One of `choices`."""
        if isinstance(tree, str) and tree in choices:
            return tree
        self.wrong(place, f"{tree!r} is not a choice here", f"use one of {', '.join(choices)}")
        return default

    def duration(self, tree: Tree, place: str, default: str = "1s") -> str:
        """A duration such as `200ms`."""
        if isinstance(tree, str):
            try:
                duration_s(tree)
                return tree
            except ValueError:
                pass
        self.wrong(place, f"{tree!r} is not a duration", "digits and one of ms, s, m, h, d, such as 30s")
        return default

    def semver(self, tree: Tree, place: str) -> str:
        """A semantic version."""
        if isinstance(tree, str) and SEMVER.fullmatch(tree):
            return tree
        self.wrong(place, f"{tree!r} is not a semantic version", "write three numbers, such as 1.0.0 (quoted if need be)")
        return "0.1.0"

    def value(self, tree: Tree, place: str) -> Value:
        """Any value."""
        return value_of(tree, place, self.problems)

    def values(self, tree: Tree, place: str, what: str) -> dict[str, Value]:
        """A map of values."""
        found = self.map(tree, place, what)
        return {} if found is None else {key: self.value(item, child(place, key)) for key, item in found.items()}

    def type(self, tree: Mapping[str, Tree], place: str) -> PortType:
        """The type in `type:` or `enum:`."""
        if "enum" in tree:
            choices = tree["enum"]
            sound = isinstance(choices, list) and choices and all(isinstance(c, str) for c in choices)
            if sound and isinstance(choices, list) and "type" not in tree:
                return PortType("enum", choices=tuple(str(c) for c in choices))
            self.wrong(child(place, "enum"), "enum is a list of texts, in place of a type", "write enum: [a, b]")
            return PortType("any")
        if "type" not in tree:
            return PortType("any")
        text = tree["type"]
        if isinstance(text, dict) and set(text) == {"enum"}:
            return self.type(text, child(place, "type"))
        try:
            return parse_type(text if isinstance(text, str) else repr(text))
        except ValueError as error:
            self.wrong(child(place, "type"), str(error), "for instance string, list[integer], map[string]?")
            return PortType("any")


def kind_of(tree: Tree) -> str:
    """What a tree is, for messages."""
    if tree is None:
        return "nothing"
    names: Iterable[tuple[type, str]] = (
        (bool, "a boolean"), (int, "an integer"), (float, "a number"), (str, "text"), (list, "a list"), (dict, "a map"),
    )  # fmt: skip
    return next((name for kind, name in names if isinstance(tree, kind)), type(tree).__name__)
