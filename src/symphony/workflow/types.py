"""Port types: `string`, `list[integer]`, `map[number]?`, `{enum: [a, b]}`. Pure."""

import math
import re

import msgspec

from symphony.commons.integers import INTEGER_MAX, INTEGER_MIN
from symphony.ports.values import ArtifactRef, StoredValue

SCALARS = ("any", "string", "integer", "number", "boolean", "bytes", "path", "json", "artifact", "embedding")
_DEPTH_MAX = 16
_WRAPPED = re.compile(r"(list|map)\[(.+)\]", re.DOTALL)
_CHOICES = re.compile(r"enum\[([^\[\]]+)\]")  # as `str` writes it; files say `enum:` where they can


class PortType(msgspec.Struct, frozen=True):
    """One type. `kind` is a scalar name, `list`, `map` or `enum`.

    `item` is set for `list` and `map`, `choices` for `enum`.
    """

    kind: str
    item: "PortType | None" = None
    choices: tuple[str, ...] = ()
    optional: bool = False

    def __str__(self) -> str:
        if self.kind == "enum":
            text = f"enum[{', '.join(self.choices)}]"
        else:
            text = self.kind if self.item is None else f"{self.kind}[{self.item}]"
        return text + "?" if self.optional else text


ANY = PortType("any")
STRING = PortType("string")
INTEGER = PortType("integer")


def list_of(item: PortType) -> PortType:
    """`list[item]`."""
    return PortType("list", item)


def parse_type(text: str) -> PortType:
    """The type that `text` names. Raises ValueError, saying what is wrong, if it names none."""
    return _parse(text, text, 0)


def _parse(text: str, whole: str, depth: int) -> PortType:
    if depth > _DEPTH_MAX:
        raise ValueError(f"a type is nested at most {_DEPTH_MAX} deep")
    text = text.strip()
    if text.endswith("?"):
        return msgspec.structs.replace(_parse(text[:-1], whole, depth + 1), optional=True)
    if text in SCALARS:
        return PortType(text)
    if choices := _CHOICES.fullmatch(text):
        return PortType("enum", choices=tuple(dict.fromkeys(c.strip() for c in choices[1].split(","))))
    if wrapped := _WRAPPED.fullmatch(text):
        return PortType(wrapped[1], _parse(wrapped[2], whole, depth + 1))
    raise ValueError(
        f"{whole[:60]!r} is not a type: use {', '.join(SCALARS)}, list[T], map[T], with ? for optional"
    )


def fits(source: PortType, target: PortType) -> bool:
    """May a port of type `source` feed one of type `target`?

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
        return source.kind == "string"  # any text may be a choice: checked at run time
    if target.kind == "embedding":
        return source.kind == "list" and source.item is not None and fits(source.item, PortType("number"))
    if source.kind == "embedding":
        return target.kind == "list" and target.item is not None and target.item.kind == "number"
    return target.kind == "artifact" and source.kind in ("bytes", "string", "path")


def mismatch(value: StoredValue, target: PortType) -> str | None:
    """Why `value` does not fit `target`, as half a sentence, or None if it fits.

    A reference to a large value fits by its encoding alone; what it holds is checked where
    it is loaded.
    """
    if value is None:
        return (
            None if target.optional or target.kind in ("any", "json") else f"null is not {_article(target)}"
        )
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
                return f"{kind_name(value)} is not {_article(target)}"
            if item.kind == "any":
                return None
            return next(
                (f"element {i}: {why}" for i, v in enumerate(value) if (why := mismatch(v, item))), None
            )
        case "map":
            if not isinstance(value, dict):
                return f"{kind_name(value)} is not {_article(target)}"
            item = target.item or ANY
            return next((f"key {k!r}: {why}" for k, v in value.items() if (why := mismatch(v, item))), None)
        case "enum":
            return None if value in target.choices else f"{value!r} is not one of {', '.join(target.choices)}"
    return (
        None
        if isinstance(value, _PYTHON[target.kind]) and _bool_ok(value, target.kind)
        else (f"{kind_name(value)} is not {_article(target)}")
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
    held = {"text": ("string", "path", "json"), "bytes": ("bytes",)}.get(ref.encoding)
    if held is None or target.kind in held:
        return None
    return f"a stored {ref.encoding} is not {_article(target)}"


def kind_name(value: object) -> str:
    """What kind of value it is, as messages say it: `a string`, `null`."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "an integer", float: "a number", str: "a string", bytes: "bytes"}
    return names.get(type(value), "a list" if isinstance(value, list) else "a map")


def _article(target: PortType) -> str:
    return f"{'an' if str(target)[0] in 'aeiou' else 'a'} {target}"
