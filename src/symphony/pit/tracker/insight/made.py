"""The artifacts that the nodes of a run declared, found in what is recorded of it. Pure."""

from collections.abc import Callable, Container, Iterable, Sequence

from symphony.pit.tracker.core.masking import shown_outputs
from symphony.pit.tracker.core.names import folded
from symphony.pit.tracker.core.records import FinishedRecord, Record
from symphony.ports.insight import MadeArtifact
from symphony.ports.values import ArtifactRef

_DIGEST = b"\xd9\x40"
"""What the digest of a reference begins with in encoded outputs: a text of 64 characters."""


def made_of(
    records: Iterable[Record],
    name_of: Callable[[int], str],
    earlier: Callable[[str], Sequence[MadeArtifact]] = lambda _: (),
) -> list[MadeArtifact]:
    """Every declared artifact, in the order of the workflow, elements in theirs; `name_of` a slot.

    A node that only hands on what another declared is passed over. So are results inside a loop of
    which no more is recorded than how they differ from the round before: since artifacts in rounds are
    recorded whole, none of them is one. Of a fan-out, a loop or a sub-workflow that was taken over from
    another run, `earlier` gives what that run made inside of it.
    """
    found: list[tuple[int, MadeArtifact]] = []
    first: dict[tuple[str, str], str] = {}
    reused: dict[int, str] = {}
    for record in records:
        if not isinstance(record, FinishedRecord):
            continue
        slot, body = record.slot, record.outputs
        if record.cached_from is not None:
            reused[slot] = record.cached_from
        if not isinstance(body, bytes) or _DIGEST not in body:
            continue
        node = name_of(slot)
        for port, value in shown_outputs(body).items():
            if not isinstance(value, ArtifactRef) or value.name is None:
                continue
            if first.setdefault((value.name, value.digest), folded(node)) == folded(node):
                found.append((slot, MadeArtifact(node=node, port=port, ref=value)))
    for slot, run in reused.items():
        if not (node := name_of(slot)).endswith("]"):
            found += [(slot, one) for one in earlier(run) if _is_inside(one, node, first)]
    return [one for _, one in sorted(found, key=lambda item: item[0])]


def _is_inside(one: MadeArtifact, node: str, told: Container[tuple[str, str]]) -> bool:
    """Return whether an element of the node made it, or a graph inside the node that did not hand it on."""
    if one.node.startswith(f"{node}["):
        return True
    return one.node.startswith((f"{node}#", f"{node}.")) and (one.ref.name or "", one.ref.digest) not in told
