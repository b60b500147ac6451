"""Encodes values as differences from the bytes recorded when a loop's round began. Pure.

A loop's state mostly grows: a list gets an element, a text a line, a map another value for a key.
The new bytes are then the recorded ones with short pieces inserted somewhere. A state that changed
altogether is written whole. So is a state whose differences since the last whole record come to half of
its size. A run's journal thus grows only with the changes, and reading any state takes at most its own
size of differences since a whole one.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

from symphony.commons.errors import SerializationFailed, SymphonyError
from symphony.ports.values import ArtifactRef, Digest, StoredValue

Difference: TypeAlias = tuple[object, ...]
"""The CRC-32 of the resulting bytes, then repeated: the offset and length to copy from the base, and the
bytes to append after that.
"""
WHOLE_BYTES_MAX = 512
"""Up to this many bytes are always written whole."""
EXPANDED_BYTES_MAX = 16 << 20
"""Larger artifacts are not used as a base: reading them each round would cost more than it saves."""
_PIECES_MAX = 256
_PIECES_LOOKED_AT, _PIECE_BYTES_MIN = 16, 256
_CHUNK = 1 << 16
_ANCHOR, _SKIPS, _WINDOW = 16, (0, 1, 2, 3, 4, 5, 8, 16, 32), 1 << 16


class Base:
    """The recorded state of a round: its bytes, and those of the artifacts that it refers to.

    `spent` is how many bytes of differences were written since the last whole state.
    """

    def __init__(
        self,
        body: bytes,
        state: Mapping[str, StoredValue],
        load: Callable[[ArtifactRef], bytes],
        *,
        spent: int = 0,
        before: "Base | None" = None,
    ) -> None:
        """`before` is the base of the previous round: artifacts that it has loaded are not loaded again."""
        self.body, self.spent, self._load = body, spent, load
        found = (value for value in state.values() if isinstance(value, ArtifactRef))
        self._digests = {ref.sealed or ref.digest: ref for ref in found if ref.size <= EXPANDED_BYTES_MAX}
        known = {} if before is None else before.loaded
        self.loaded: dict[Digest, bytes] = {
            digest: known[digest] for digest in self._digests if digest in known
        }
        self._whole: bytes | None = None
        self._last: tuple[bytes, Difference | None] = (b"", None)

    @property
    def whole(self) -> bytes:
        """Return the bytes that differences are taken from.

        Raises ArtifactMissing, ArtifactCorrupt, IoFailed.
        """
        if self._whole is None:
            for digest, ref in self._digests.items():
                if digest not in self.loaded:
                    self.loaded[digest] = self._load(ref)
            self._whole = b"".join((self.body, *(self.loaded[digest] for digest in self._digests)))
        return self._whole

    def difference(self, body: bytes) -> Difference | None:
        """Return `body` as a difference, or None if it should be written whole. O(bytes). Thread-safe."""
        if not WHOLE_BYTES_MAX < len(body) <= EXPANDED_BYTES_MAX:
            return None
        last = self._last
        if last[0] is not body:
            try:
                last = (body, difference(self.whole, body))
            except SymphonyError:  # an artifact's body is gone, so there is no base
                return None
            self._last = last
        return last[1]

    def change(self, body: bytes) -> tuple[Difference | None, int]:
        """Return the next state as a difference, and the new `spent`; (None, 0) if it must be whole."""
        found = self.difference(body)
        if found is None:
            return None, 0
        spent = self.spent + size_of(found)
        return (found, spent) if spent <= len(body) // 2 else (None, 0)


def difference(base: bytes, body: bytes) -> Difference | None:
    """Return the difference that rebuilds `body` from `base`, or None if it would take over half its size."""
    pieces: list[object] = [zlib.crc32(body)]
    used = at = to = 0
    end = _common_end(base, body)
    while to < len(body):
        same = _common(base, at, body, to)
        at, to = at + same, to + same
        skipped, put = _next(base, at, body, to, end)
        used += put + 16
        if used > len(body) // 2 or len(pieces) > 3 * _PIECES_MAX:
            return None
        if len(pieces) == 3 * _PIECES_LOOKED_AT + 1 and to < _PIECES_LOOKED_AT * _PIECE_BYTES_MIN:
            return None  # pieces this small save nothing, and finding them takes long
        pieces += (at - same, same, body[to : to + put])
        at, to = at + skipped, to + put
    return tuple(pieces)


def size_of(found: Sequence[object]) -> int:
    """Return about how many bytes a difference takes."""
    return sum(len(part) if isinstance(part, bytes) else 3 for part in found)


def restored(base: bytes, found: Sequence[object]) -> bytes:
    """Rebuild bytes from `base` and a difference. Raises SerializationFailed if the result does not match."""
    body = b"".join(_pieces(base, found))
    if not found or zlib.crc32(body) != found[0]:
        raise SerializationFailed("a difference in the journal does not give what it was made of")
    return body


def _pieces(base: bytes, found: Sequence[object]) -> Iterator[bytes]:
    for number in range(1, len(found) - 2, 3):
        at, size, put = found[number : number + 3]
        if not (isinstance(at, int) and isinstance(size, int) and isinstance(put, bytes)):
            raise SerializationFailed("a difference in the journal is damaged")
        yield base[at : at + size]
        yield put


def _common(one: bytes, at: int, other: bytes, to: int) -> int:
    """Return how many bytes are the same from `at` and `to` on. Compares slices, which is fast."""
    same, most, size = 0, min(len(one) - at, len(other) - to), _CHUNK
    while size := min(size, most - same):
        if one[at + same : at + same + size] == other[to + same : to + same + size]:
            same += size
        else:
            size //= 2
    return same


def _common_end(one: bytes, other: bytes) -> int:
    """Return how many bytes are the same at the ends."""
    same, most, size = 0, min(len(one), len(other)), _CHUNK
    while size := min(size, most - same):
        at, to = len(one) - same, len(other) - same
        if one[at - size : at] == other[to - size : to]:
            same += size
        else:
            size //= 2
    return same


def _next(base: bytes, at: int, body: bytes, to: int, end: int) -> tuple[int, int]:
    """Return how much of the base to skip, and of the body to put, until both go on alike.

    The length at the head of a list or text changes, and pieces are inserted; a few bytes that are found
    again nearby show where. `end` is how many bytes match at the ends; a few count as none.
    """
    found_at = set[tuple[int, int]]()
    for skip in _SKIPS:
        for one, first, other, second, turned in ((base, at, body, to, False), (body, to, base, at, True)):
            anchor = one[first + skip : first + skip + _ANCHOR]
            if len(anchor) < _ANCHOR:
                continue
            found = other.find(anchor, second, second + _WINDOW)
            if found >= 0:
                found_at.add((found - second, skip) if turned else (skip, found - second))
    tail = min(end, len(base) - at, len(body) - to)
    tail = tail if tail >= _ANCHOR else 0
    best, most = (len(base) - at - tail, len(body) - to - tail), tail - (len(body) - to - tail)
    for skip, put in sorted(found_at):  # the longest match is most likely the right one
        won = _common(base, at + skip, body, to + put) - put
        if won > most:
            best, most = (skip, put), won
    return best
