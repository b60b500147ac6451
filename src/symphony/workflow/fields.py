"""Reads single fields of a document: each reader gives a value, or `BAD` and a problem at its place. Pure.

A reader gets the place of the map that holds the field and the field's key: places are put
together only where something is wrong.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final, TypeAlias

from symphony.commons.integers import INTEGER_MAX, INTEGER_MIN
from symphony.commons.quantities import duration_s
from symphony.ports.values import Value
from symphony.workflow.documents.tree import DEPTH_MAX, Tree
from symphony.workflow.model import NAME, NODES_MAX
from symphony.workflow.problems import Findings, child, did_you_mean, shown
from symphony.workflow.values import plain, value_of

SEMVER = re.compile(
    r"(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)\.(?:0|[1-9][0-9]*)"
    r"(?:-(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
"""Semantic Versioning 2.0.0, semver.org, grammar of a valid version."""

SCOPE_NAMES = frozenset({"inputs", "item", "index", "run", "env", "state", "iteration", "nodes"})
"""Names that expressions use for things that are not nodes."""

_CEL_WORDS = (
    "as",
    "break",
    "const",
    "continue",
    "else",
    "false",
    "for",
    "function",
    "if",
    "import",
    "in",
    "let",
    "loop",
    "namespace",
    "null",
    "package",
    "return",
    "true",
    "var",
    "void",
    "while",
)
_CEL_TYPES = (
    "int",
    "uint",
    "double",
    "bool",
    "string",
    "bytes",
    "list",
    "map",
    "type",
    "dyn",
    "null_type",
)
RESERVED = SCOPE_NAMES.union(_CEL_WORDS, _CEL_TYPES)
"""Names that no node may have: `SCOPE_NAMES` and CEL's own (cel-spec, "Syntax", and its type names)."""

BAD: Final = object()
"""What a reader gives in place of a bad value, after reporting it."""

_NAME_HINT = "begin with a letter or _, go on with letters, digits, _ or -, at most 100 characters"


class Fields:
    """The problems that readers find; `broken` names the nodes that could not be read.

    `depth` is the number of lists and maps around the fields that are being read. `literal` documents
    come from Python, `binary` ones from MessagePack or Bincode: see `values.value_of`. In `indented`
    ones, indentation shows the structure.
    """

    def __init__(
        self, *, literal: bool = False, binary: bool = False, indented: bool = False,
        nodes_max: int = NODES_MAX,
    ) -> None:  # fmt: skip
        self.findings = Findings()
        self.broken: set[str] = set()
        self.aliases: dict[str, str] = {}
        self.literal = literal
        self.binary = binary
        self.indented = indented
        self.marker = "" if binary else "$"
        self.nodes_left = nodes_max
        self.nodes_max = nodes_max
        self.depth = 1
        self.names: set[str] = set()  # known to be good, as are the following
        self.durations: set[str] = set()

    def wrong(self, place: str, key: str | int, message: str, hint: str) -> object:
        """Report a bad value of a known key; return `BAD`."""
        self.findings.add("type-mismatch", child(place, key) if key != "" else place, message, hint)
        return BAD

    def legal(self, name: str, place: str) -> bool:
        """True if `name` may name a port, an input or a case; report it if not."""
        if name in self.names:
            return True
        if NAME.fullmatch(name):
            self.names.add(name)
            return True
        self.findings.add("bad-name", child(place, name), f"{shown(name)} is not a name", _NAME_HINT)
        return False

    def legal_node(self, name: str, place: str, at: str | None = None) -> bool:
        """True if `name` may name a node; report it if not, at `at` if given."""
        if not NAME.fullmatch(name):
            where = at or child(place, name)
            self.findings.add("bad-name", where, f"{shown(name)} is not a name", _NAME_HINT)
            return False
        if name in RESERVED:
            message = f"{name} has a meaning of its own in expressions"
            self.findings.add(
                "reserved-name", at or child(place, name), message, f"choose another name, such as {name}_"
            )
            return False
        return True

    def map(
        self, tree: Tree, place: str, key: str | int, what: str, hint: str = ""
    ) -> dict[str, Tree] | None:
        """Return a map with text keys. Report anything else and return None; the hint is by default the
        likely right spelling.
        """
        if not isinstance(tree, dict):
            self.wrong(place, key, f"{what} must be a map, not {shown(tree)}", hint or _map_hint(key, tree))
            return None
        strange = [name for name in tree if not isinstance(name, str)]
        for name in strange:
            self.wrong(place, key, f"a key must be text, not {shown(name)}", "put it in quotes")
        return {name: item for name, item in tree.items() if isinstance(name, str)} if strange else tree

    def known(self, tree: Mapping[str, Tree], place: str, keys: Collection[str], what: str) -> None:
        """Report every key that is not among `keys`."""
        for key in tree:
            if key not in keys:
                self.unknown(key, place, keys, what)

    def unknown(self, key: str, place: str, keys: Collection[str], what: str) -> None:
        """Report one key that `what` does not have."""
        from symphony.workflow.remedies import key_hint  # only where something is wrong

        hint = key_hint(key, keys, f"{what} may have {', '.join(keys)}")
        self.findings.add("unknown-key", child(place, key), f"{what} has no key {shown(key)}", hint)

    def value(self, tree: Tree, place: str, key: str | int, *, room: int | None = None) -> Value:
        """Read any value. What is not a value is reported, and null returned."""
        left = DEPTH_MAX - self.depth if room is None else room
        if not self.literal and plain(tree, left, self.marker):
            return tree  # type: ignore[return-value]  # that is what `plain` tells
        where = child(place, key)
        return value_of(tree, where, self.findings, left, literal=self.literal, binary=self.binary)


def _map_hint(key: str | int, tree: Tree) -> str:
    from symphony.workflow.remedies import map_hint  # only where something is wrong

    return map_hint(key, tree)


Owners: TypeAlias = Mapping[str, Collection[str] | None]
"""The keys of a map that take a map themselves, with the keys of that map; None: any."""

Reader: TypeAlias = Callable[[Fields, Tree, str, str], object]


def text(fields: Fields, tree: Tree, place: str, key: str) -> object:
    """Read any text."""
    if isinstance(tree, str):
        return tree
    return fields.wrong(place, key, f"{key} must be text, not {shown(tree)}", "put it in quotes")


def filled_text(fields: Fields, tree: Tree, place: str, key: str) -> object:
    """Read a text that is not blank."""
    found = text(fields, tree, place, key)
    if isinstance(found, str) and not found.strip():
        return fields.wrong(place, key, f"{key} is empty", "say what it is, or remove it")
    return found


def texts(fields: Fields, tree: Tree, place: str, key: str) -> object:
    """Read a list of texts, as a tuple."""
    if not isinstance(tree, list | tuple):
        from symphony.workflow.remedies import list_hint

        message = f"{key} must be a list of texts, not {shown(tree)}"
        return fields.wrong(place, key, message, list_hint(key, tree))
    for i, item in enumerate(tree):
        if not isinstance(item, str):
            fields.wrong(child(place, key), i, f"this must be text, not {shown(item)}", "put it in quotes")
    return tuple(item for item in tree if isinstance(item, str))


def condition(fields: Fields, tree: Tree, place: str, key: str) -> object:
    """Read CEL as text. A YAML boolean or number is read as the CEL that spells it."""
    if isinstance(tree, bool):
        return "true" if tree else "false"
    if isinstance(tree, int | float):
        return repr(tree)
    return text(fields, tree, place, key)


def boolean(fields: Fields, tree: Tree, place: str, key: str) -> object:
    """Read true or false."""
    if isinstance(tree, bool):
        return tree
    return fields.wrong(place, key, f"{key} must be true or false, not {shown(tree)}", "write true or false")


def whole(fields: Fields, tree: Tree, place: str, key: str) -> object:
    """Read a 64-bit integer."""
    if isinstance(tree, int) and not isinstance(tree, bool) and INTEGER_MIN <= tree <= INTEGER_MAX:
        return tree
    return fields.wrong(place, key, f"{key} must be a whole number, not {shown(tree)}", "write digits only")


def counted(fields: Fields, tree: Tree, place: str, key: str) -> object:
    """Read an integer of at least 1."""
    found = whole(fields, tree, place, key)
    if isinstance(found, int) and found < 1:
        return fields.wrong(place, key, f"{key} must be at least 1, not {found}", "write 1 or more")
    return found


def duration(fields: Fields, tree: Tree, place: str, key: str) -> object:
    """Read a duration such as `200ms`, as text."""
    if isinstance(tree, str) and (tree in fields.durations or _is_duration(tree)):
        fields.durations.add(tree)
        return tree
    hint = "write digits and one of ms, s, m, h, d, such as 500ms or 30s"
    return fields.wrong(place, key, f"{shown(tree)} is not a duration", hint)


def _is_duration(text: str) -> bool:
    try:
        duration_s(text)
    except ValueError:
        return False
    return True


def semver(fields: Fields, tree: Tree, place: str, key: str) -> object:
    """Read a semantic version."""
    if isinstance(tree, str) and SEMVER.fullmatch(tree):
        return tree
    hint = "write three numbers, such as 1.0.0"
    return fields.wrong(place, key, f"{shown(tree)} is not a semantic version", hint)


def choice(*choices: str) -> Reader:
    """Return a reader that accepts only `choices`."""
    return Choice(choices)


class Choice:
    """A reader whose choices others can ask for."""

    def __init__(self, choices: tuple[str, ...]) -> None:
        self.choices = choices

    def __call__(self, fields: Fields, tree: Tree, place: str, key: str) -> object:
        if isinstance(tree, str) and tree in self.choices:
            return tree
        few = len(self.choices) < 3
        hint = f"use {' or '.join(self.choices)}" if few else f"use one of {', '.join(self.choices)}"
        hint = did_you_mean(tree, self.choices, hint) if isinstance(tree, str) else hint
        return fields.wrong(place, key, f"{key} cannot be {shown(tree)}", hint)


def free_values(fields: Fields, tree: Tree, place: str, key: str) -> object:
    """Read a map of values with any keys: the map is itself a value."""
    if not isinstance(tree, dict):
        return fields.wrong(place, key, f"{key} must be a map, not {shown(tree)}", _map_hint(key, tree))
    found = fields.value(tree, place, key)
    return found if isinstance(found, dict) else BAD


def named_values(fields: Fields, tree: Tree, place: str, key: str) -> object:
    """Read a map of values whose keys are names."""
    if type(tree) is not dict and fields.map(tree, place, key, key) is None:
        return BAD
    assert isinstance(tree, dict)
    at, names = "", fields.names
    room = DEPTH_MAX - fields.depth - 1
    strict, marker = fields.literal, fields.marker
    copied: dict[str, Value] | None = None
    for name, item in tree.items():
        if name in names and not strict and (type(item) is str or plain(item, room, marker)):
            continue
        at = at or child(place, key)
        copied = dict(tree) if copied is None else copied
        _named_value(fields, name, item, at, room, copied)
    return tree if copied is None else copied


def _named_value(
    fields: Fields, name: object, item: Tree, place: str, room: int, into: dict[str, Value]
) -> None:
    if not isinstance(name, str):
        fields.wrong(place, "", f"a key must be text, not {shown(name)}", "put it in quotes")
    elif fields.legal(name, place):
        into[name] = fields.value(item, place, name, room=room)
        return
    into.pop(name, None)  # type: ignore[call-overload]  # the document's keys are what they are


def section(
    fields: Fields,
    tree: Mapping[str, Tree],
    place: str,
    readers: Mapping[str, Reader],
    what: str,
) -> dict[str, object]:
    """Read every key of a map with its own reader. Unknown keys are reported, bad values left out."""
    made: dict[str, object] = {}
    for key, item in tree.items():
        reader = readers.get(key)
        if reader is None:
            fields.unknown(key, place, readers, what)
            continue
        found = reader(fields, item, place, key)
        if found is not BAD:
            made[key] = found
    return made


def missing(fields: Fields, tree: Mapping[str, Tree], place: str, keys: Sequence[str], what: str) -> bool:
    """Report each of `keys` that is not in `tree`; True if any is missing."""
    absent = [key for key in keys if key not in tree]
    for key in absent:
        fields.findings.add("missing-input", child(place, key), f"{what} has no {key}", f"add {key}:")
    return bool(absent)
