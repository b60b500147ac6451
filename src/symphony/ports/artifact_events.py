"""What happens to artifacts, as events tell it. Values only."""

from typing import Literal, TypeAlias

import msgspec

from symphony.ports.values import Digest

ArtifactEventKind: TypeAlias = Literal[
    "put", "linked", "unlinked", "tagged", "untagged", "rated", "trashed", "restored", "pinned", "unpinned",
    "moved", "deleted",
]  # fmt: skip


class ArtifactChanged(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something happened to an artifact, or, if `unlinked`, to all that a run referred to.

    `name` with `version`: the version that was put, tagged or untagged. `run`, `node` and `port`: what refers
    to it. `place` counts up in one log: an event that is told again has the same one. `at_s`: seconds since
    the Unix epoch, where the log tells.
    """

    kind: ArtifactEventKind
    place: int
    digest: Digest | None = None
    name: str | None = None
    version: int | None = None
    tag: str | None = None
    size: int | None = None
    content_type: str | None = None
    run: str | None = None
    node: str | None = None
    port: str | None = None
    rating: float | None = None
    why: str | None = None
    tier: str | None = None
    at_s: float | None = None
