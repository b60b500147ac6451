"""What was made of a body, by what an index knows."""

from symphony.pit.artifacts.metadata.index import Index
from symphony.ports.artifacts import Derivation
from symphony.ports.values import Digest


def derived(index: Index, digest: Digest, limit: int) -> list[Derivation]:
    """Return up to `limit` bodies that nodes made of this one, and as many versions that people did."""
    found = dict[tuple[Digest, str, str, str], Derivation]()
    for value in sorted(index.links.values_of(digest)):
        for made, by in index.links.made_of(value, limit):
            names = tuple(name for name, of in by.inputs.items() if of == value)
            found[made, by.run_id, by.node, by.port] = Derivation(digest=made, by=by, inputs=names)
    by_nodes = sorted(found.values(), key=derived_when)[:limit]
    said = [
        Derivation(digest=version.digest, version=version)
        for version in index.versions.children(digest, limit)
    ]
    return [*by_nodes, *said]


def derived_when(one: Derivation) -> tuple[float, str, str]:
    """Return what puts derivations by nodes in order."""
    return (one.by.created_at, one.by.run_id, one.by.node) if one.by is not None else (0.0, "", "")
