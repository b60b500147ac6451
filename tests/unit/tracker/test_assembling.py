"""Lists and maps of ports put together give what rendering gives, or nothing."""

from hypothesis import given
from hypothesis import strategies as st

from symphony.pit.tracker.nodes.assembling import assembled
from symphony.pit.tracker.nodes.limits import fits
from symphony.pit.tracker.nodes.sources import ListMade, MapMade, Sources
from symphony.pit.tracker.nodes.work import type_of_read
from symphony.ports.values import ArtifactRef, Digest, StoredValue, Value
from symphony.workflow.expressions import Compiler, Read, ValueTemplate

BASE, NODES = 7, {"a": 0, "b": 1, "skipped": 2}
ELEMENT: tuple[Value, int] = ("item", 3)
LEAVES: st.SearchStrategy[Value] = st.sampled_from(
    [
        "${{ a.x }}",
        "${{ b.y }}",
        "${{ skipped.z }}",
        "${{ a.missing }}",
        "${{ item }}",
        "${{ index }}",
        1,
        "t",
    ]
)
INPUTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("kl"), inner, max_size=2),
    max_leaves=6,
)
PORTS: st.SearchStrategy[StoredValue] = st.sampled_from(
    [None, True, 1, 2**63 - 1, 0.5, "", "text", "é" * 30, b"bytes", [1, [2]], {"k": "v"}]
)


def of(value: Value) -> tuple[ValueTemplate, ListMade | MapMade | None]:
    template = Compiler(type_of_read, value=False).template(value)
    source = Sources(NODES).of(template)
    return template, source if isinstance(source, ListMade | MapMade) else None


@given(INPUTS, PORTS, PORTS, st.sampled_from([0, 4, 9, 30, 1_000, 1 << 28]))
def test_what_is_put_together_is_what_would_be_rendered(
    value: Value, x: StoredValue, y: StoredValue, most: int
) -> None:
    template, source = of(value)
    held: dict[int, dict[str, StoredValue]] = {BASE: {"x": x}, BASE + 1: {"y": y}}

    def lookup(read: Read) -> Value:
        if read.kind in ("item", "index"):
            return ELEMENT[0 if read.kind == "item" else 1]
        found = held.get(BASE + NODES[read.name], {}).get(read.port)
        assert not isinstance(found, ArtifactRef)
        return found

    if source is None:
        return
    made = assembled(source, BASE, held, ELEMENT, most)
    rendered = template.render(lookup)
    if made is not None:
        assert (made, repr(made)) == (rendered, repr(rendered))
        assert fits(made, most)
    else:
        assert most < 1_000


def test_what_must_be_loaded_is_rendered() -> None:
    ref = ArtifactRef(digest=Digest("0" * 64), size=50_000, encoding="text")
    for value in (["${{ a.x }}"], {"k": ["${{ a.x }}", "${{ item }}"]}):
        _, source = of(value)
        assert source is not None
        assert assembled(source, BASE, {BASE: {"x": ref}}, ELEMENT, 1 << 28) is None
