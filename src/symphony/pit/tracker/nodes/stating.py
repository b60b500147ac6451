"""The state of a loop in short, as errors show it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Final, TypeVar

from symphony.commons.cutting import CUT, beginning
from symphony.commons.unicode import escaped
from symphony.ports.values import ArtifactRef, StoredValue, Value

_NAMES_MAX: Final = 10
_VALUE_MAX: Final = 60
_READ_MAX: Final = 4 * _VALUE_MAX
_DEPTH_MAX: Final = 2
_ITEMS_MAX: Final = 10
T = TypeVar("T")
_BREAKS: Final = str.maketrans({"\n": "\\n", "\r": "\\r", "\t": "\\t"})


def stated(state: Mapping[str, StoredValue], mask: Callable[[str], str]) -> str:
    """Return `; its last state: n = 3, word = "hello"`, or nothing for a loop without state.

    `mask` hides secrets, those at a cut too. It gets each text before it is escaped and shortened, after
    which a secret would no longer be found.
    """
    if not state:
        return ""
    told = [f"{escaped(name)} = {_shown(value, mask)}" for name, value in islice(state.items(), _NAMES_MAX)]
    more = len(state) - _NAMES_MAX
    return f"; its last state: {', '.join(told)}" + (f" and {more:,} more" if more > 0 else "")


def _shown(value: StoredValue, mask: Callable[[str], str]) -> str:
    if isinstance(value, ArtifactRef):
        return f"<{value.size:,} bytes>"
    text = escaped(_spelled(value, mask, 0).translate(_BREAKS))
    return beginning(text, _VALUE_MAX)


def _spelled(value: Value, mask: Callable[[str], str], depth: int) -> str:
    """Return the beginning of a value, much as JSON spells it; only as much is read as may be shown."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case str():
            return f'"{mask(beginning(value, _READ_MAX))}"'
        case bytes():
            return f"<{len(value):,} bytes>"
        case list():
            items = [_spelled(one, mask, depth + 1) for one in _few(value, depth)]
            return f"[{', '.join(_cut(items, len(value)))}]"
        case dict():
            names = _few(value, depth)
            pairs = [
                f"{_spelled(name, mask, depth)}: {_spelled(value[name], mask, depth + 1)}" for name in names
            ]
            return f"{{{', '.join(_cut(pairs, len(value)))}}}"
        case _:
            return mask(str(value))


def _few(items: Iterable[T], depth: int) -> Iterator[T]:
    return islice(items, _ITEMS_MAX if depth < _DEPTH_MAX else 0)


def _cut(shown: list[str], number: int) -> list[str]:
    return shown if len(shown) == number else [*shown, CUT]
