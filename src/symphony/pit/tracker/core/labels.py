"""Labels, by which people tell the elements of a fan-out apart in addition to their numbers. Pure.

A label is one line of printable text without secrets. By default it is the element itself, if that is
a short text, number or path.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from symphony.commons.cutting import beginning
from symphony.commons.unicode import escaped
from symphony.ports.values import Value

LABELLED_MAX: Final = 10_000
"""In fan-outs with more elements, only those that fail have their label recorded."""
SHORT: Final = 60
"""The most characters that an element may have to be its own label."""
_CHARS_MAX: Final = 100
_READ_MAX: Final = 4 * _CHARS_MAX
_BREAKS: Final = str.maketrans({"\n": "\\n", "\t": "\\t"})


def own_label(item: Value) -> str | None:
    """Return the text of an element that is its own label; None for any other."""
    if isinstance(item, str):
        return item if len(item) <= SHORT else None
    if isinstance(item, bool) or not isinstance(item, int | float):
        return None
    return str(item) if isinstance(item, int) or math.isfinite(item) else None


def shown_label(text: str, mask: Callable[[str], str]) -> str | None:
    """Return `text` as a label; None if nothing in it is visible. `mask` hides secrets, cut ones too."""
    plain = escaped(mask(beginning(text, _READ_MAX)).translate(_BREAKS))
    return None if not plain or plain.isspace() else beginning(plain, _CHARS_MAX)


def own_labels(items: Sequence[Value], mask: Callable[[str], str] | None) -> Sequence[str | None] | None:
    """Return the label of each element that is its own label, or None if there is no such element.

    `mask` is None if the run has no secrets. None also for more than `LABELLED_MAX` elements.
    """
    if len(items) > LABELLED_MAX:
        return None
    if mask is None and (usual := _usual(items)) is not None:
        return usual
    hide = mask or _as_it_is
    found = [None if (own := own_label(item)) is None else shown_label(own, hide) for item in items]
    return found if any(found) else None


def _usual(items: Sequence[Value]) -> Sequence[str] | None:
    """Return the labels of short texts or whole numbers, if all can be shown unchanged. A fast path."""
    kinds = set(map(type, items))
    if kinds == {int}:
        return [*map(str, items)]
    if kinds != {str}:
        return None
    texts: Sequence[str] = items  # type: ignore[assignment]  # `kinds` says so
    fits = max(map(len, texts)) <= SHORT and "".join(texts).isprintable() and "" not in texts
    return texts if fits and " " not in texts else None


def _as_it_is(text: str) -> str:
    return text


def joined(labels: Iterable[str | None]) -> str | None:
    """Join the labels of nested elements, outermost first, into one; None if there is none."""
    return " > ".join(filter(None, labels)) or None
