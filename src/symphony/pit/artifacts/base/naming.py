"""How an artifact is named: `NAME`, `NAME@NUMBER`, `NAME@TAG`, `NAME@latest`. Pure.

New names have no `@` and are normalised to NFC, so that what looks the same is the same name, whichever
keyboard or file system it comes from. Names stored by earlier versions are found as they are.
"""

import re
import unicodedata
from typing import Final, NamedTuple

from symphony.commons.cutting import beginning
from symphony.commons.errors import ValidationFailed
from symphony.pit.artifacts.base.rules import NOTE_CHARS_MAX, check_labels
from symphony.ports.artifacts import LATEST, NAME_HINT, is_label, is_name

_NUMBER: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
_SHOWN_CHARS: Final = 80


class VersionedName(NamedTuple):
    """A name, and what comes after its last `@`: a number, a tag, or neither for the newest version."""

    name: str
    number: int | None = None
    tag: str | None = None


def normal(name: str) -> str:
    """Return the form in which a name is stored."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def new_name(name: str) -> str:
    """Return a name that may be given, in the form in which it is stored. Raises ValidationFailed."""
    name = normal(name)
    if not is_name(name):
        told = f"{beginning(name, _SHOWN_CHARS)!r} is not a valid name for an artifact"
        raise ValidationFailed(told, details={"field": "name"}, hint=NAME_HINT)
    return name


def check_put(name: str | None, content_type: str) -> str | None:
    """Return the name under which a body is put. Raises ValidationFailed for a bad name or content type."""
    check_labels(None, content_type)
    return None if name is None else new_name(name)


def new_tag(tag: str) -> str:
    """Return a tag that may be given, in the form in which it is stored. Raises ValidationFailed."""
    tag = normal(tag)
    if not is_name(tag) or _NUMBER.fullmatch(tag) or tag == LATEST or tag != tag.strip():
        raise ValidationFailed(
            f"{beginning(tag, _SHOWN_CHARS)!r} is not a valid tag",
            details={"field": "tag"},
            hint=f"use a word such as best or v1: no number, no @, not {LATEST}, which is the newest version",
        )
    return tag


def check_note(note: str) -> None:
    """Raise ValidationFailed for a note that is too long or cannot be written down."""
    if len(note) > NOTE_CHARS_MAX or re.search(r"[\0\ud800-\udfff]", note):
        raise ValidationFailed(
            "this is not a valid note", details={"field": "note"},
            hint=f"use up to {NOTE_CHARS_MAX:,} characters of text",
        )  # fmt: skip


def parsed(text: str) -> list[VersionedName]:
    """Return what `text` may mean: a whole name, or a name and a version. The first that exists is meant."""
    found = [VersionedName(text)]
    name, at, rest = text.rpartition("@")
    if at and name:
        if rest == LATEST:
            found.append(VersionedName(name))
        elif _NUMBER.fullmatch(rest):
            found.append(VersionedName(name, int(rest)))
        elif is_label(rest):
            found.append(VersionedName(name, tag=normal(rest)))
    normals = [named._replace(name=normal(named.name)) for named in found]
    return list(dict.fromkeys([*found, *normals]))
