"""Port types: `string`, `list[integer]`, `map[number]?`, `{enum: [a, b]}`. Pure."""

import math
import re
from typing import Final

import msgspec

from symphony.commons.integers import INTEGER_MAX, INTEGER_MIN
from symphony.ports.values import ArtifactRef, StoredValue

SCALARS = ("any", "string", "integer", "number", "boolean", "bytes", "path", "json", "artifact", "embedding")
_DEPTH_MAX = 16
_WRAPPED = re.compile(r"(list|map)\[(.+)\]", re.DOTALL)
_KEYED = re.compile(r"map\[\s*(\w+(?:\s*\|\s*\w+)*)\s*:(.+)\]", re.DOTALL)
_CHOICES = re.compile(r"enum\[([^\[\]]+)\]")  # as `str` writes it; files say `enum:` where they can

LANGUAGES: Final = {
    "cel": "a CEL expression",
    "jmespath": "a JMESPath expression",
    "regex": "a regular expression",
    "template": "a Jinja template",
    "template-file": "a Jinja template",
    "glob": "a glob pattern",
}
"""The languages that a text may be written in, and their names in messages. A text may also be in a file."""
_LANGUAGE = re.compile(rf"({'|'.join(LANGUAGES)})(?:\[([^\[\]>]*?)(?:->([^\[\]>]*))?\])?")
_NAME = re.compile(r"\*?[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


_ELSEWHERE: Final = {
    **dict.fromkeys(("str", "text", "char", "varchar"), "string"),
    **dict.fromkeys(("int", "long", "int64", "uint"), "integer"),
    **dict.fromkeys(("float", "double", "decimal", "num", "float64"), "number"),
    **dict.fromkeys(("list", "array", "tuple", "set", "sequence"), "list[T], such as list[string]"),
    **dict.fromkeys(("dict", "map", "object", "mapping", "struct"), "map[T], such as map[any]"),
    "bool": "boolean",
    "file": "path",
}
"""Names that other languages use for types, in lower case. Those of `list` and `map` lack the type of
the elements.
"""


class Language(msgspec.Struct, frozen=True):
    """The language of a text that a port takes: `name` is a key of LANGUAGES.

    `names` are those that the text may use, `*data` standing for the keys of what is given for `data`;
    with none at all, any name is let through. `gives` is the type that an expression must give,
    empty for any.
    """

    name: str
    names: tuple[str, ...] = ()
    gives: str = ""

    def __str__(self) -> str:
        inside = ", ".join(self.names) + (f" -> {self.gives}" if self.gives else "")
        return f"{self.name}[{inside.strip()}]" if inside else self.name


class PortType(msgspec.Struct, frozen=True):
    """One type. `kind` is a scalar name, `list`, `map` or `enum`.

    `item` is set for `list` and `map`, `choices` for `enum`, and for a `map` that has only these keys.
    `language` may be set for `string`: any text
    fits, and validation compiles one that is written out in a workflow.
    """

    kind: str
    item: "PortType | None" = None
    choices: tuple[str, ...] = ()
    optional: bool = False
    language: Language | None = None

    def __str__(self) -> str:
        if self.language is not None:
            text = str(self.language)
        elif self.kind == "enum":
            text = f"enum[{', '.join(self.choices)}]"
        else:
            keys = f"{' | '.join(self.choices)}: " if self.choices else ""
            text = self.kind if self.item is None else f"{self.kind}[{keys}{self.item}]"
        return text + "?" if self.optional else text

    @property
    def innermost(self) -> "PortType":
        """Return the type of the elements of lists and maps, however deep; any other type is returned
        unchanged.
        """
        return self if self.item is None else self.item.innermost


ANY = PortType("any")
STRING = PortType("string")
INTEGER = PortType("integer")


def list_of(item: PortType) -> PortType:
    """Return the type `list[item]`."""
    return PortType("list", item)


def language_of(name: str, names: tuple[str, ...] = (), gives: str = "") -> PortType:
    """Return the type of texts in a language. Raises ValueError for something that is not a name."""
    for one in names:
        if _NAME.fullmatch(one) is None:
            raise ValueError(f"{one!r} is not a name that {LANGUAGES[name]} can use")
    if gives:
        parse_type(gives)
    return PortType("string", language=Language(name, names, gives))


def parse_type(text: str) -> PortType:
    """Return the type that `text` names in a workflow file.

    Raises ValueError, saying what is wrong, if it names none.
    """
    return _parse(text, text, 0, languages=False)


def parse_port_type(text: str) -> PortType:
    """Return the type that `text` names in a catalogue.

    There, texts have languages (`cel[item, index -> boolean]`), and maps certain keys (`map[a | b:
    any]`).

    Raises ValueError as `parse_type` does.
    """
    return _parse(text, text, 0, languages=True)


def _parse(text: str, whole: str, depth: int, *, languages: bool) -> PortType:
    if depth > _DEPTH_MAX:
        raise ValueError(f"a type is nested at most {_DEPTH_MAX} deep")
    text = text.strip()
    if text.endswith("?"):
        plain = _parse(text[:-1], whole, depth + 1, languages=languages)
        return msgspec.structs.replace(plain, optional=True)
    if text in SCALARS:
        return PortType(text)
    if choices := _CHOICES.fullmatch(text):
        return PortType("enum", choices=tuple(dict.fromkeys(c.strip() for c in choices[1].split(","))))
    if languages and (found := _LANGUAGE.fullmatch(text)):
        names = (name.strip() for name in (found[2] or "").split(","))
        return language_of(found[1], tuple(name for name in names if name), (found[3] or "").strip())
    if languages and (keyed := _KEYED.fullmatch(text)):
        keys = tuple(key.strip() for key in keyed[1].split("|"))
        return PortType("map", _parse(keyed[2], whole, depth + 1, languages=languages), keys)
    if wrapped := _WRAPPED.fullmatch(text):
        return PortType(wrapped[1], _parse(wrapped[2], whole, depth + 1, languages=languages))
    if (known := _ELSEWHERE.get(text.partition("[")[0].lower())) is not None:
        raise ValueError(f"{whole[:60]!r} is not a type: did you mean {known}?")
    raise ValueError(
        f"{whole[:60]!r} is not a type: use {', '.join(SCALARS)}, list[T], map[T], with ? for optional"
    )


def fits(source: PortType, target: PortType) -> bool:
    """True if a port of type `source` may feed one of type `target`.

    `any` and `json` are allowed into narrower ports: the value is checked at run time.
    """
    if target.kind in ("any", "json") or source.kind in ("any", "json"):
        return True
    if source.optional and not target.optional:
        return False
    if source.kind == target.kind:
        if source.kind == "enum":
            return set(source.choices) <= set(target.choices)
        if source.item is not None and target.item is not None:
            return fits(source.item, target.item)
        return True
    if target.kind == "number":
        return source.kind == "integer"
    if target.kind in ("string", "path"):
        return source.kind in ("string", "path", "enum")
    if target.kind == "enum":
        return source.kind == "string"  # any text may be one of the choices: checked at run time
    if target.kind == "embedding":
        return source.kind == "list" and source.item is not None and fits(source.item, PortType("number"))
    if source.kind == "embedding":
        return target.kind == "list" and target.item is not None and target.item.kind == "number"
    return target.kind == "artifact" and source.kind in ("bytes", "string", "path")


def mismatch(value: StoredValue, target: PortType) -> str | None:
    """Return why `value` does not fit `target`, as half a sentence, or None if it fits.

    A reference to a large value fits by its encoding alone; what it holds is checked where it is
    loaded.
    """
    if value is None:
        return None if target.optional or target.kind in ("any", "json") else f"null is not {called(target)}"
    if isinstance(value, ArtifactRef):
        return _reference_mismatch(value, target)
    if isinstance(value, int) and not isinstance(value, bool) and not INTEGER_MIN <= value <= INTEGER_MAX:
        return "an integer beyond 64 bits"
    if isinstance(value, float) and not math.isfinite(value):
        return "a number that is not finite"
    match target.kind:
        case "any":
            return None
        case "list" | "embedding":
            item = target.item or PortType("number" if target.kind == "embedding" else "any")
            if not isinstance(value, list):
                return f"{kind_name(value)} is not {called(target)}"
            if item.kind == "any":
                return None
            return next(
                (f"element {i}: {why}" for i, v in enumerate(value) if (why := mismatch(v, item))), None
            )
        case "map":
            if not isinstance(value, dict):
                return f"{kind_name(value)} is not {called(target)}"
            if unknown := next((key for key in value if target.choices and key not in target.choices), None):
                return f"the key {unknown!r} is not one of {', '.join(target.choices)}"
            item = target.item or ANY
            return next((f"key {k!r}: {why}" for k, v in value.items() if (why := mismatch(v, item))), None)
        case "enum":
            return None if value in target.choices else f"{value!r} is not one of {', '.join(target.choices)}"
    return (
        None
        if isinstance(value, _PYTHON[target.kind]) and _bool_ok(value, target.kind)
        else (f"{kind_name(value)} is not {called(target)}")
    )


_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "path": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "bytes": (bytes,),
    "json": (bool, int, float, str, list, dict),
    "artifact": (str, bytes),
}


def _bool_ok(value: object, kind: str) -> bool:
    return not isinstance(value, bool) or kind in ("boolean", "json")


def _reference_mismatch(ref: ArtifactRef, target: PortType) -> str | None:
    if target.kind in ("any", "artifact"):
        return None
    held = {"text": ("string", "path", "json"), "bytes": ("bytes",)}.get(ref.encoding.partition(":")[0])
    if held is None or target.kind in held:
        return None
    return f"a stored {ref.encoding} is not {called(target)}"


def kind_name(value: object) -> str:
    """Return the kind of a value as messages name it: `a string`, `null`."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "an integer", float: "a number", str: "a string", bytes: "bytes"}
    return names.get(type(value), "a list" if isinstance(value, list) else "a map")


def called(target: PortType) -> str:
    """Return how messages name a value of the type: `a string`, `an integer`, `a CEL expression`."""
    if target.language is not None:
        return LANGUAGES[target.language.name]
    text = str(target)
    return f"{'an' if text[0] in 'aeiou' else 'a'} {text}"
