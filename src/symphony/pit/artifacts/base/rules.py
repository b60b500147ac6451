"""The rules of every store: the form of digests and labels, and the errors for violations. Pure."""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from symphony.commons.cutting import beginning
from symphony.commons.errors import ValidationFailed
from symphony.ports.artifacts import (
    LABEL_CHARS_MAX,
    LABEL_HINT,
    ArtifactAmbiguous,
    ArtifactCorrupt,
    ArtifactDeleted,
    ArtifactMissing,
    ArtifactTampered,
    Rating,
    is_label,
)
from symphony.ports.values import Digest

if TYPE_CHECKING:
    from symphony.ports.retention import ArtifactTrashed

MIN_AGE_S = 3600.0
READ_AGAIN_S = 3600.0
"""A read counts if the last one that counted is as old as that."""
NOTE_CHARS_MAX = 2_000
_SHOWN_CHARS = 80
UNKNOWN_TYPE = "application/octet-stream"
RECOVERED = "recovered"
"""The name of bodies of which no record is left: it keeps them."""
DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
PREFIX = re.compile(r"[0-9a-f]{8,64}", re.ASCII)


def check_labels(name: str | None, content_type: str) -> None:
    """Raise ValidationFailed unless `name` and `content_type` are short printable text."""
    for field, label in (("name", name), ("content_type", content_type)):
        if label is not None and not is_label(label):
            what = field.replace("_", " ")
            raise ValidationFailed(
                f"{beginning(label, _SHOWN_CHARS)!r} is not a valid {what} for an artifact",
                details={"field": field},
                hint=LABEL_HINT,
            )


def check_rating(rating: Rating) -> None:
    """Raise ValidationFailed unless the score is from 0 to 1 and the texts are short."""
    if rating.score is not None and not 0 <= rating.score <= 1:
        raise ValidationFailed(
            f"a rating of {rating.score} is out of range", details={"field": "score"}, hint="rate from 0 to 1"
        )
    if rating.by and not is_label(rating.by):
        raise ValidationFailed(
            f"{beginning(rating.by, _SHOWN_CHARS)!r} cannot be who rates",
            details={"field": "by"},
            hint=LABEL_HINT,
        )
    if len(rating.note) > NOTE_CHARS_MAX:
        raise ValidationFailed(
            f"the note has {len(rating.note)} characters", details={"field": "note"},
            hint=f"use at most {NOTE_CHARS_MAX}",
        )  # fmt: skip


def ambiguous(prefix: str, found: list[Digest]) -> ArtifactAmbiguous:
    return ArtifactAmbiguous(
        f"{len(found)} artifacts begin with {prefix}",
        details={"digests": found[:10]},
        hint="give more digits of the one you mean",
    )


def missing(digest_or_name: str) -> ArtifactMissing:
    return ArtifactMissing(
        f"artifact {digest_or_name[:LABEL_CHARS_MAX]} is not in the store",
        details={"artifact": digest_or_name[:LABEL_CHARS_MAX]},
        hint="list what there is with: symphony artifacts list",
    )


def no_version(name: str, said: str, known: str) -> ArtifactMissing:
    """Return the error for a version or tag `said` of an artifact that is there; `known` are those it has."""
    shown = beginning(f"{name}@{said}", LABEL_CHARS_MAX)
    return ArtifactMissing(
        f"artifact {shown} is not in the store: {known}",
        details={"artifact": shown, "name": name},
        hint=f"list its versions with: symphony artifacts log {beginning(name, _SHOWN_CHARS)}",
    )


def tags_known(tags: Iterable[str]) -> str:
    """Return which tags a name has, for the error that it has not another."""
    known = sorted(tags)
    return f"its tags are {', '.join(known[:10])}" if known else "it has no tags"


def deleted(label: str) -> ArtifactDeleted:
    return ArtifactDeleted(
        f"the content of {label} was deleted",
        details={"artifact": label},
        hint="its number is not given again: take another version, or store it again",
    )


def trashed(digest_or_name: str, digest: str) -> "ArtifactTrashed":
    """The error for what is in the trash."""
    from symphony.ports.retention import ArtifactTrashed

    return ArtifactTrashed(
        f"artifact {digest_or_name[:LABEL_CHARS_MAX]} is in the trash",
        details={"artifact": digest_or_name[:LABEL_CHARS_MAX], "digest": digest},
        hint=f"bring it back with: symphony artifacts gc undo {digest[:12]}",
    )


def corrupt(digest: str, why: str) -> ArtifactCorrupt:
    return ArtifactCorrupt(
        f"artifact {digest} is damaged: {why}",
        details={"digest": digest},
        hint="check the disk, then set it aside with symphony artifacts fsck --repair, and run again: what "
        "made it runs again",
    )


def tampered(digest: str, why: str) -> ArtifactTampered:
    return ArtifactTampered(
        f"artifact {digest} cannot be trusted: {why}",
        details={"digest": digest},
        hint="find out who can write there, and restore the folder artifacts from a copy; nothing repairs it",
    )


def invalid_digest(digest: str) -> ValidationFailed:
    return ValidationFailed(
        f"{digest!r:.80} is not a digest", hint="a digest has 64 lower-case hexadecimal digits"
    )


def writer_closed() -> ValidationFailed:
    return ValidationFailed("this artifact was stored or given up already", hint="begin another writer")


def require_range(start: int, length: int) -> None:
    """Raise ValidationFailed for a range that no body has."""
    if start < 0 or length < 0:
        raise ValidationFailed(f"there are no {length} bytes from byte {start} on", hint="count from 0")
