"""Makes entries of the index: what is known of an artifact, the text of its body, and its quality."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from symphony.pit.artifacts.encryption.errors import EncryptionKeyMissing
from symphony.pit.artifacts.search.core.contents import text_of
from symphony.pit.artifacts.search.core.entry import Entry, Facts, StoredHit
from symphony.pit.artifacts.search.core.quality import WEIGHTS, quality
from symphony.pit.artifacts.search.core.validity import Validity, validity
from symphony.pit.artifacts.search.core.words import identifiers, prepared, term
from symphony.pit.artifacts.search.schema import VERSION
from symphony.pit.artifacts.values.sealed import SEALED_TYPE
from symphony.ports.artifacts import (
    ArtifactCorrupt,
    ArtifactMissing,
    ArtifactRecord,
    ArtifactStore,
)
from symphony.ports.object_storage import StorageRefused, StorageUnreachable
from symphony.ports.runs import short_id
from symphony.ports.search import Quality
from symphony.ports.values import Digest

VERSIONS_MAX: Final = 1_000
"""So many versions of one body are found by their labels, tags and notes."""
USES_MAX: Final = 100
"""More later runs than that add nothing to see in a score that comes near 1."""
TEXT_BYTES_MAX: Final = 1 << 20
"""Of larger bodies the beginning is indexed."""

_WITHOUT_TEXTS: Final = " without texts"
UNREAD: Final = (StorageUnreachable, StorageRefused, EncryptionKeyMissing)
"""Bodies that may be readable another time."""

_encode = msgspec.msgpack.Encoder().encode


class Entries:
    """Makes entries of the artifacts of one store.

    Without `texts` no words of bodies are in them. `outcomes` tells which runs have ended, and how.
    """

    def __init__(
        self,
        store: ArtifactStore,
        *,
        weights: Mapping[str, float] = WEIGHTS,
        texts: bool = True,
        outcomes: Callable[[Sequence[str]], Mapping[str, bool]] = lambda _: {},
    ) -> None:
        self._store, self._weights, self._outcomes = store, weights, outcomes
        self.texts = texts
        self.made_by = f"{VERSION} {sorted(weights.items())}{'' if texts else _WITHOUT_TEXTS}"

    def refuses(self, made_by: str) -> bool:
        """Return whether an index that was made so holds words that must not lie there any more."""
        return not self.texts and bool(made_by) and not made_by.endswith(_WITHOUT_TEXTS)

    def find(self, digest: Digest) -> Facts | None:
        """Return what is known of a body; None of one that is gone, or not for people."""
        try:
            found = self._store.find(digest)
        except ArtifactMissing:
            return None
        return self.facts(found) if self.shown(found) else None

    def shown(self, record: ArtifactRecord) -> bool:
        """True unless only runs may open the body, since secrets are sealed in it."""
        return record.content_type != SEALED_TYPE

    def facts(self, record: ArtifactRecord) -> Facts:
        """Return what is known of an artifact."""
        return Facts(
            record=record,
            versions=self._store.versions_of(record.digest, limit=VERSIONS_MAX) if record.names else (),
            uses=self._uses(record),
            ended=self._outcomes(_distinct(one.run_id for one in record.provenance)),
        )

    def _uses(self, record: ArtifactRecord) -> int:
        """Return how many later runs have made something of an artifact, up to `USES_MAX`."""
        own = {one.run_id for one in record.provenance}
        return min(len(self._store.users(record.digest, limit=USES_MAX + len(own)) - own), USES_MAX)

    def print_of(self, facts: Facts) -> int:
        """Return a number that changes when the entry of an artifact would."""
        body = _encode((self.made_by, facts))
        return int.from_bytes(hashlib.sha256(body).digest()[:8], "big")

    def entry(self, facts: Facts) -> Entry | None:
        """Return the entry of an artifact; None if its body is gone.

        A damaged one has no text. Nor has one that cannot be reached outside of the home, or for which there
        is no key: its print says that it is to be looked at again.
        """
        record, versions = facts.record, facts.versions
        reached = True
        try:
            body, whole = self._head(record)
        except ArtifactMissing:
            return None
        except UNREAD:
            body, whole, reached = b"", False, False
        text = text_of(record.content_type, body, whole=whole) if self.texts else None
        scored = self._quality(facts, body, whole=whole)
        by = record.provenance
        ratings = [rating.score for rating in record.ratings if rating.score is not None]
        notes = (*(one.note for one in versions), *(one.note for one in record.ratings))
        return Entry(
            digest=record.digest,
            texts={
                "text": () if text is None else (prepared(text),),
                "identifier": _distinct(
                    parts
                    for one in (text or "", *record.names)
                    for parts in identifiers(one).values()
                ),
                "name": [prepared(name) for name in record.names],
                "parameter": _distinct(
                    prepared(f"{name} {value}") for one in by for name, value in one.parameters.items()
                ),
                "note": _distinct(prepared(note) for note in notes if note),
            },
            labels={
                "type": types_of(record.content_type),
                "tag": [term(tag) for tag in facts.tags],
                "version": _distinct(term(one.label) for one in versions),
                "run": _distinct(run for one in by for run in (term(one.run_id), term(short_id(one.run_id)))),
                "node": _distinct(term(one.node) for one in by if one.node),
                "port": _distinct(term(one.port) for one in by if one.port),
                "operator": _distinct(term(one.operator) for one in by if one.operator),
                "model": _distinct(term(one.model) for one in by if one.model),
                "digest": (record.digest,),
            },
            numbers={
                "size": float(record.size), "created": record.created_at, "quality": scored.score,
                "rating": sum(ratings) / len(ratings) if ratings else None, "uses": facts.uses,
            },
            told=_encode(StoredHit(record, scored, facts.tags)),
            print=self.print_of(facts) if reached else 0,
        )  # fmt: skip

    def quality(self, record: ArtifactRecord) -> Quality:
        """Return how good an artifact is; of one that cannot be read it is not known how valid it is.

        Raises ArtifactMissing.
        """
        try:
            body, whole = self._head(record)
        except UNREAD:
            body, whole = b"", False
        return self._quality(self.facts(record), body, whole=whole)

    def head(self, record: ArtifactRecord) -> tuple[bytes, bool]:
        """Return the beginning of a body, and whether that is all of it."""
        return self._store.peek(record.digest, TEXT_BYTES_MAX), record.size <= TEXT_BYTES_MAX

    def _head(self, record: ArtifactRecord) -> tuple[bytes, bool]:
        """Return the beginning of a body, nothing of a damaged one. Raises ArtifactMissing."""
        try:
            return self.head(record)
        except ArtifactCorrupt:
            return b"", False

    def text(self, record: ArtifactRecord) -> str | None:
        """Return the text of an artifact as it was indexed. Raises ArtifactMissing, ArtifactCorrupt."""
        body, whole = self.head(record)
        text = text_of(record.content_type, body, whole=whole)
        return None if text is None else prepared(text)

    def _quality(self, facts: Facts, body: bytes, *, whole: bool) -> Quality:
        record = facts.record
        if not body and record.size:
            found = Validity(None, "its body cannot be read")
        else:
            found = validity(record.content_type, body, whole=whole)
        return quality(
            record.size, found, uses=facts.uses, ratings=record.ratings, runs=facts.ended,
            weights=self._weights,
        )  # fmt: skip


def types_of(content_type: str) -> Sequence[str]:
    """Return what a content type is found by: `text/markdown; charset=utf-8` by its parts, too.

    Such as `text/markdown`, `text` and `markdown`; `image/svg+xml` by `svg+xml`, `svg` and `xml`.
    """
    bare = content_type.partition(";")[0].strip()
    top, _, rest = bare.partition("/")
    return _distinct(term(one) for one in (content_type, bare, top, rest, *rest.split("+")) if one)


def _distinct(values: Iterable[str]) -> Sequence[str]:
    return list(dict.fromkeys(values))
