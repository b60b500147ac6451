"""The content of an artifact: its bytes, or JSON if it is a value without a content type."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import BinaryIO, Final, NamedTuple

from symphony.commons.errors import SerializationFailed
from symphony.pit.artifacts.values.codec import decode_value
from symphony.pit.artifacts.values.media import JSON_TYPE, media
from symphony.pit.artifacts.values.typed import json_text
from symphony.ports.artifacts import ArtifactStore
from symphony.ports.values import ArtifactRef

_JSON_BEGINS: Final = frozenset(b' \t\r\n{["-0123456789tfn')
"""Bytes with which no list, map, null or boolean begins in MessagePack."""


class ArtifactContent(NamedTuple):
    """A body to be read once; `digest` and `size`, in bytes, are those of what `stream` gives."""

    stream: BinaryIO
    content_type: str
    size: int
    digest: str


@contextmanager
def content(store: ArtifactStore, ref: ArtifactRef) -> Iterator[ArtifactContent]:
    """Return what is handed out of an artifact. A reference with an empty `encoding` is known by its
    type alone.

    Raises ArtifactMissing, ArtifactCorrupt.
    """
    if _is_value(store, ref):
        body = store.get(ref.digest)
        try:
            told = json_text(decode_value(body))
        except SerializationFailed:  # it turned out not to be a value
            told = body
        with BytesIO(told) as stream:
            yield ArtifactContent(stream, JSON_TYPE, len(told), hashlib.sha256(told).hexdigest())
        return
    with store.open(ref.digest) as stored:
        yield ArtifactContent(stored, ref.content_type, ref.size, ref.digest)


def shown_type(ref: ArtifactRef) -> str:
    """Return the content type under which the artifact is handed out."""
    return JSON_TYPE if _is_untyped(ref) else ref.content_type


def is_text(ref: ArtifactRef) -> bool:
    """True if what is handed out is text."""
    return ref.encoding != "bytes" and media(shown_type(ref)).form != "msgpack"


def _is_untyped(ref: ArtifactRef) -> bool:
    """True if it is MessagePack without a content type. Declared artifacts of earlier versions are
    that, too.
    """
    if ref.encoding == "msgpack":
        return ref.name is None or media(ref.content_type).form != "msgpack"
    return not ref.encoding and media(ref.content_type).form == "msgpack"


def _is_value(store: ArtifactStore, ref: ArtifactRef) -> bool:
    if _is_untyped(ref):
        return True
    if ref.encoding or media(ref.content_type).form != "json":
        return False
    with store.open(ref.digest) as stream:  # earlier versions kept MessagePack under types of JSON
        first = stream.read(1)
    return bool(first) and first[0] not in _JSON_BEGINS
