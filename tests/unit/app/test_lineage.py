"""Trees of what artifacts were made of, and of what was made of them."""

import io
from collections.abc import Mapping

from symphony.app.lineage import ARTIFACTS_MAX, Lineage, LineageArtifact, Reads
from symphony.pit.artifacts import MemoryArtifacts
from symphony.pit.artifacts.values.codec import value_digest
from symphony.ports.artifacts import ArtifactRecord, Provenance
from symphony.ports.values import Digest

Told = tuple[str, list[tuple[str, "Told"]]]  # type: ignore[misc]


class Made:
    """A store in which nodes of runs make artifacts called as they are."""

    def __init__(self, reads: Mapping[str, Reads] | None = None) -> None:
        self.store, self._reads = MemoryArtifacts(), reads or {}

    def make(self, name: str, node: str = "n", run: str = "r", at: float = 1.0, **inputs: str) -> Digest:
        """Make an artifact whose content is its name, of inputs that are such contents."""
        ref = self.store.put(name.encode(), content_type="text/plain", name=name, encoding="text")
        by = Provenance(
            run_id=run, node=node, port="p", operator="o", version="1", created_at=at,
            inputs={key: value_digest(value) for key, value in inputs.items()},
        )  # fmt: skip
        self.store.link(ref, by)
        return ref.digest

    def of(self, name: str) -> ArtifactRecord:
        return self.store.find(name)

    def lineage(self) -> Lineage:
        return Lineage(self.store, self._reads.get)

    def up(self, name: str, depth: int = 5) -> object:
        return shape(self.lineage().up(self.of(name), depth))

    def down(self, name: str, depth: int = 5) -> object:
        return shape(self.lineage().down(self.of(name), depth))


def shape(tree: LineageArtifact) -> object:
    """The names in a tree, with the kinds of links."""
    name = tree.version.name if tree.version is not None else tree.digest
    marks = ("*" if tree.shown else "") + ("…" if tree.more else "")
    return (name + marks, [(link.kind, shape(child)) for link, child in tree.under])


def test_values_lead_from_one_artifact_to_another_in_both_directions() -> None:
    made = Made()
    made.make("a")
    made.make("b", text="a")
    made.make("c", run="r2", left="a", right="b", other="no artifact")
    assert made.up("c") == ("c", [("input", ("a", [])), ("input", ("b", [("input", ("a*", []))]))])
    assert made.down("a") == ("a", [("input", ("b", [("input", ("c*", []))])), ("input", ("c", []))])
    tree = made.lineage().up(made.of("c"), 1)
    assert tree.values == {value_digest("no artifact")}
    assert [link.names for link, _ in tree.under] == [("left",), ("right",)]


def test_a_tree_ends_at_its_depth_and_says_that_there_is_more() -> None:
    made = Made()
    made.make("a")
    for name, before in ("ba", "cb", "dc"):
        made.make(name, text=before)
    assert made.up("d", 2) == ("d", [("input", ("c", [("input", ("b…", []))]))])
    assert made.up("d", 3) == ("d", [("input", ("c", [("input", ("b", [("input", ("a", []))]))]))])


def test_a_circle_ends() -> None:
    made = Made()
    made.make("a", text="b")
    made.make("b", text="a")
    made.make("a", run="r2", text="a")
    assert made.up("a") == ("a", [("input", ("b", [("input", ("a*", []))]))])


def test_many_are_bounded() -> None:
    made = Made()
    made.make("a")
    for number in range(ARTIFACTS_MAX + 50):
        made.make(f"n{number}", node=f"k[{number}]", text="a")
    tree = made.lineage().down(made.of("a"), 3)
    assert len(tree.under) == ARTIFACTS_MAX - 1
    assert tree.more


def test_where_an_input_is_no_artifact_the_workflow_leads_to_the_nearest_before() -> None:
    reads = {
        "first": frozenset[str](), "second": frozenset({"first"}), "small": frozenset({"second"}),
        "last": frozenset({"small"}), "side": frozenset({"first"}),
    }  # fmt: skip
    made = Made({"r": reads})
    for name, node in (("a", "first"), ("b", "second"), ("c", "last[0].inner"), ("d", "side")):
        made.make(name, node=node, text="a text with something inside")
    assert made.up("c") == ("c", [("before", ("b", [("before", ("a", []))]))])
    assert made.down("a") == ("a", [("before", ("b", [("before", ("c", []))])), ("before", ("d", []))])
    unknown = Lineage(made.store, lambda _: None)
    assert shape(unknown.up(made.of("c"), 5)) == ("c", [])


def test_parents_that_people_named_are_found_in_both_directions_also_when_deleted() -> None:
    made = Made()
    parent = made.store.put(b"parent", content_type="text/plain").digest
    child = made.store.add_version(io.BytesIO(b"child"), name="child", content_type="a/b", parents=[parent])
    assert shape(made.lineage().down(made.store.find(parent), 2)) == (parent, [("parent", ("child", []))])
    made.store.collect(-1)
    tree = made.lineage().up(made.store.find("child"), 2)
    assert [(link.kind, under.digest, under.record) for link, under in tree.under] == [
        ("parent", parent, None)
    ]
    assert child.parents == (parent,)


def test_each_way_in_which_it_was_made_is_told_once_and_outputs_only_alone() -> None:
    made = Made()
    for run in ("r1", "r2", "r3"):
        made.make("a", run=run, text="x")
    made.make("a", run="r4", text="y")
    ref = made.store.put(b"a", content_type="text/plain")
    made.store.link(ref, Provenance(run_id="r1", node="", port="p", operator="output", version=""))
    tree = made.lineage().up(made.of("a"), 1)
    assert [(by.run_id, more) for by, more in tree.made] == [("r1", 2), ("r4", 0)]
