"""Artifacts as they are typed: a digest, the beginning of one, or a name."""

from typing import Final

from symphony.commons.errors import SymphonyError
from symphony.ports.artifacts import ArtifactMissing, ArtifactRecord, ArtifactStore

_NAMES_MAX: Final = 1000


def found(store: ArtifactStore, typed: str) -> ArtifactRecord:
    """Return the artifact that was meant.

    Raises ArtifactMissing, with a name that is near if there is one, and as `ArtifactStore.find`.
    """
    try:
        return store.find(typed)
    except ArtifactMissing as missing:
        from symphony.workflow.problems import did_you_mean

        otherwise = missing.hint or ""
        try:
            known = dict.fromkeys(name for record in store.records(limit=_NAMES_MAX) for name in record.names)
        except SymphonyError:
            raise missing from None
        missing.hint = did_you_mean(typed, known, otherwise)
        raise
