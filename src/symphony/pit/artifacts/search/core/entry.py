"""What the index has of one artifact. A pure value."""

from collections.abc import Mapping, Sequence

import msgspec

from symphony.ports.values import Digest


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One artifact as the index has it. `print` changes whenever anything else here would."""

    digest: Digest
    texts: Mapping[str, Sequence[str]]
    labels: Mapping[str, Sequence[str]]
    numbers: Mapping[str, float | None]
    told: str
    print: int

    @property
    def bytes(self) -> int:
        """Return about how much text it has."""
        return sum(len(text) for texts in self.texts.values() for text in texts)
