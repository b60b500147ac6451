"""What differs between two artifacts: lines of texts, places in JSON, or only sizes and digests. Bounded."""

import difflib
import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final, Literal, NamedTuple, TypeAlias, cast

from symphony.app.contents import content
from symphony.commons.lines import lines_of
from symphony.pit.artifacts.values.media import media
from symphony.ports.artifacts import ArtifactRecord, ArtifactStore
from symphony.ports.values import JSON, ArtifactRef

BYTES_MAX: Final = 4 << 20
"""The most bytes of each side that are compared line by line, or as JSON."""
LINES_MAX: Final = 20_000
"""The most lines that differ, from the first to the last of them, in which lines are matched."""
CHANGES_MAX: Final = 1_000
_CONTEXT: Final = 3
_ELEMENTS_MAX: Final = 2_000
"""The most elements of a list that are matched; those of longer ones are compared place by place."""

DiffKind: TypeAlias = Literal["text", "json", "bytes"]


class JsonChange(NamedTuple):
    """One place in a document, such as `rows[2].score`, with what each side has there, or UNSET."""

    place: str
    kind: Literal["added", "removed", "changed"]
    a: JSON = None
    b: JSON = None


class ArtifactDiff(NamedTuple):
    """The difference of two artifacts. `why` says why texts or documents were compared as bytes.

    `lines` are a unified diff without its first two lines, `changes` those of JSON. There may be `more`.
    """

    same: bool
    kind: DiffKind
    lines: Sequence[str] = ()
    changes: Sequence[JsonChange] = ()
    more: bool = False
    why: str = ""
    first: int | None = None
    """The first byte, from 0, that differs."""


class _Side(NamedTuple):
    body: bytes
    content_type: str


def compare(
    store: ArtifactStore, a: ArtifactRecord, b: ArtifactRecord, *, text: bool = False
) -> ArtifactDiff:
    """Compare the contents of two artifacts; with `text`, JSON too is compared line by line.

    Raises ArtifactMissing, ArtifactCorrupt.
    """
    if a.digest == b.digest:
        return ArtifactDiff(True, "bytes")
    if max(a.size, b.size) > BYTES_MAX:
        first = _first_difference(store, a, b)
        return ArtifactDiff(first is None, "bytes", why=f"larger than {BYTES_MAX >> 20} MiB", first=first)
    one, other = _read(store, a), _read(store, b)
    if one.body == other.body:
        return ArtifactDiff(True, "bytes")
    if not text and (found := _as_json(one, other)) is not None:
        return found
    texts = _text(one), _text(other)
    if texts[0] is None or texts[1] is None:
        return ArtifactDiff(False, "bytes", first=_differ_at(one.body, other.body))
    return _as_text(lines_of(texts[0]), lines_of(texts[1]), _differ_at(one.body, other.body))


def _reference(record: ArtifactRecord) -> ArtifactRef:
    """Return a reference whose form its type alone tells."""
    return ArtifactRef(digest=record.digest, size=record.size, content_type=record.content_type, encoding="")


def _read(store: ArtifactStore, record: ArtifactRecord) -> _Side:
    with content(store, _reference(record)) as found:
        return _Side(found.stream.read(), found.content_type)


def _first_difference(store: ArtifactStore, a: ArtifactRecord, b: ArtifactRecord) -> int | None:
    """Return the first byte that differs, reading both in little memory."""
    at = 0
    with content(store, _reference(a)) as one, content(store, _reference(b)) as other:
        while True:
            left, right = one.stream.read(1 << 20), other.stream.read(1 << 20)
            if left != right:
                return at + _differ_at(left, right)
            if not left:
                return None
            at += len(left)


def _differ_at(a: bytes, b: bytes) -> int:
    """Return the first place where two different bodies differ, by halving: comparing bytes is quick."""
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _text(side: _Side) -> str | None:
    """Return a body as text, if it is that."""
    told = media(side.content_type)
    if told.form in ("binary", "msgpack") or b"\0" in side.body[: 1 << 16]:
        return None
    try:
        return side.body.decode(told.charset or "utf-8")
    except UnicodeDecodeError:
        return None


# -- texts


def _as_text(a: list[str], b: list[str], first: int) -> ArtifactDiff:
    head = 0
    while head < min(len(a), len(b)) and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < min(len(a), len(b)) - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    if max(len(a), len(b)) - head - tail > LINES_MAX:
        why = f"more than {LINES_MAX:,} lines differ or lie between those that do, from line {head + 1:,} on"
        return ArtifactDiff(False, "bytes", why=why, first=first)
    begin, kept = max(head - _CONTEXT, 0), max(tail - _CONTEXT, 0)
    some, others = a[begin : len(a) - kept], b[begin : len(b) - kept]
    lines = list(_unified(some, others, begin))
    why = "" if lines else "only the ends of lines differ"
    return ArtifactDiff(False, "text", lines=lines, why=why, first=first)


def _unified(a: list[str], b: list[str], skipped: int) -> Iterator[str]:
    """Yield the lines of a unified diff of two texts that `skipped` equal lines come before."""
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=len(a) + len(b) > 2_000)
    for group in matcher.get_grouped_opcodes(_CONTEXT):
        (_, a_from, _, b_from, _), (_, _, a_to, _, b_to) = group[0], group[-1]
        yield f"@@ -{_range(a_from, a_to, skipped)} +{_range(b_from, b_to, skipped)} @@"
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                yield from (f" {line}" for line in a[i1:i2])
            else:
                yield from (f"-{line}" for line in a[i1:i2])
                yield from (f"+{line}" for line in b[j1:j2])


def _range(begin: int, end: int, skipped: int) -> str:
    """Return the lines of one side of a hunk as a unified diff counts them."""
    length, first = end - begin, begin + skipped + 1
    return f"{first}" if length == 1 else f"{first if length else first - 1},{length}"


# -- documents


def _as_json(a: _Side, b: _Side) -> ArtifactDiff | None:
    """Compare two JSON documents; None if one of them is none."""
    if media(a.content_type).form != "json" or media(b.content_type).form != "json":
        return None
    try:
        one, other = (_document(side.body) for side in (a, b))
        found = list(islice(_changes(one, other, ""), CHANGES_MAX + 1))
    except (ValueError, RecursionError):
        return None
    if not found:  # they are spelled differently
        return ArtifactDiff(False, "json", why="only white space, escapes or the order of keys differ")
    return ArtifactDiff(False, "json", changes=found[:CHANGES_MAX], more=len(found) > CHANGES_MAX)


def _document(body: bytes) -> JSON:
    """Return a document of which nothing is lost. Raises ValueError, RecursionError."""

    def object_of(pairs: list[tuple[str, JSON]]) -> JSON:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key is there twice")
        return found

    return cast(JSON, json.loads(body, object_pairs_hook=object_of))


def _changes(a: JSON, b: JSON, place: str) -> Iterator[JsonChange]:
    if isinstance(a, dict) and isinstance(b, dict):
        for key in dict.fromkeys((*a, *b)):
            at = _key(place, key)
            if key not in b:
                yield JsonChange(at, "removed", a=a[key])
            elif key not in a:
                yield JsonChange(at, "added", b=b[key])
            else:
                yield from _changes(a[key], b[key], at)
    elif isinstance(a, list) and isinstance(b, list):
        yield from _list_changes(a, b, place)
    elif json.dumps(a) != json.dumps(b):  # NaN is not equal to itself
        yield JsonChange(place or "$", "changed", a, b)


def _list_changes(a: list[JSON], b: list[JSON], place: str) -> Iterator[JsonChange]:
    """Yield what differs between two lists, elements being matched where others were put in or taken out."""
    one, other = ([json.dumps(each, sort_keys=True) for each in some] for some in (a, b))
    if len(a) == len(b) or max(len(a), len(b)) > _ELEMENTS_MAX:
        opcodes: Sequence[tuple[str, int, int, int, int]] = [("replace", 0, len(a), 0, len(b))]
    else:
        opcodes = difflib.SequenceMatcher(None, one, other, autojunk=len(a) > 1_000).get_opcodes()
    for tag, i1, i2, j1, j2 in opcodes:
        if tag == "equal":
            continue
        both = min(i2 - i1, j2 - j1)
        for offset in range(both):
            if one[i1 + offset] != other[j1 + offset]:
                yield from _changes(a[i1 + offset], b[j1 + offset], f"{place}[{j1 + offset}]")
        for at in range(i1 + both, i2):
            yield JsonChange(f"{place}[{at}]", "removed", a=a[at])
        for at in range(j1 + both, j2):
            yield JsonChange(f"{place}[{at}]", "added", b=b[at])


def _key(place: str, key: str) -> str:
    plain = key.isidentifier()
    if not plain:
        return f"{place}[{json.dumps(key, ensure_ascii=False)}]"
    return f"{place}.{key}" if place else key
