"""The graph: edges nobody wrote, and questions of order and reach, compared with networkx."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

import networkx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.workflow import graph, loads
from symphony.workflow.graph import Graph, GraphCyclic, NodeUnknown, all_edges
from symphony.workflow.model import (
    ConditionalEdge,
    ControlEdge,
    ControlNode,
    DataEdge,
    Edge,
    OnError,
    OperatorNode,
    Workflow,
)


def workflow(nodes: str, edges: str = "[]") -> Workflow:
    return loads(f"name: x\nnodes:\n{nodes}\nedges: {edges}\n", "yaml")


def data(source: str, output: str, target: str, entry: str) -> Edge:
    return DataEdge(source=source, target=target, output=output, input=entry, derived=True)


def control(source: str, target: str, branch: str | None = None) -> Edge:
    return ControlEdge(source=source, target=target, branch=branch, derived=True)


BASE = "  a: {operator: o}\n  gpt-4: {operator: o}\n  c: {control: branch, condition: 'true'}\n"
DERIVED: list[tuple[str, Sequence[Edge]]] = [
    ("inputs: {v: plain}", []),
    ("inputs: {v: '${{ a.result }}'}", [data("a", "result", "z", "v")]),
    ("inputs: {v: ['${{ a.x }}', '${{ a.x + a.x }}', 'and ${{ a.y }}']}",
     [data("a", "x", "z", "v"), data("a", "y", "z", "v")]),
    ("inputs: {v: '${{ a.x }}', w: {deep: [{k: '${{ a.x }}'}]}}",
     [data("a", "x", "z", "v"), data("a", "x", "z", "w")]),
    ("inputs: {v: '${{ nodes[\"gpt-4\"].text }}'}", [data("gpt-4", "text", "z", "v")]),
    ("inputs: {v: '${{ a }}'}", [data("a", "*", "z", "v")]),
    ("inputs: {v: '$${{ a.x }}'}", []),
    ("inputs: {v: '${{ inputs.x }}', w: '${{ run.id }} ${{ env.HOME }} ${{ item }}'}", []),
    ("inputs: {v: '${{ a.x + }}', w: '${{ a.y', u: '${{ a.z }}'}",
     [data("a", "z", "z", "u"), data("a", "x", "z", "v")]),
    ("inputs: {v: '${{ [1].map(a, a + 1) }}'}", []),
    ("after: [a, c.true]", [control("a", "z"), control("c", "z", "true")]),
    ("after: [a], inputs: {v: '${{ a.x }}'}", [data("a", "x", "z", "v"), control("a", "z")]),
    ("when: a.x > 1 && c.taken == 'true'", [control("a", "z"), control("c", "z")]),
    ("when: a.x > 1, inputs: {v: '${{ a.x }}'}", [data("a", "x", "z", "v")]),
    ("when: a.x > 1, after: [a]", [control("a", "z")]),
    ("for_each: a.items, inputs: {v: '${{ item }}'}", [control("a", "z")]),
    ("for_each: ['${{ a.x }}', 2]", [control("a", "z")]),
    ("config: {k: ['${{ a.x }}']}", [control("a", "z")]),
    ("on_error: {value: {result: '${{ a.x }}'}}", [control("a", "z")]),
    ("artifact: {name: 'of ${{ a.x }}'}", [control("a", "z")]),
    ("on_error: {fallback: a}", [control("z", "a")]),
    ("description: '${{ a.x }}', metadata: {k: '${{ a.x }}'}", []),
]  # fmt: skip


@pytest.mark.parametrize(("options", "edges"), DERIVED)
def test_shorthands_become_edges(options: str, edges: Sequence[Edge]) -> None:
    found = all_edges(workflow(f"{BASE}  z: {{operator: o, {options}}}"))
    assert len(found) == len(set(found))
    if "a.x + }}" in options:  # cannot be parsed, but what it reads can be told
        assert set(found) <= set(edges)
        assert edges[0] in found
    else:
        assert set(found) == set(edges)


WHILE_LOOP = (
    "control: loop, while: a.x > 1, next: {x: t.x}, body: {t: {operator: o, inputs: {v: '${{ b.x }}'}},"
    " u: {command: 'x', after: [t], when: t.x > iteration}}"
)
NESTED_LOOP = (
    "control: loop, until: t.x, body: {t: {control: loop, until: s.y, body: {s: {operator: o,"
    " inputs: {v: '${{ a.x }}', w: '${{ t.x }}'}}}}}"
)
CONTROLS: list[tuple[str, set[str]]] = [
    ("control: branch, condition: a.x > 1", {"a"}),
    ("control: branch, switch: b.x, cases: {one: 1}", {"b"}),
    ("control: delay, until: a.at", {"a"}),
    ("control: approval, message: 'Publish ${{ a.x }}?'", {"a"}),
    ("control: merge, after: [a, b]", {"a", "b"}),
    ("control: loop, state: {x: '${{ a.x }}'}, until: state.x > b.x, body: {t: {operator: o}}", {"a", "b"}),
    (WHILE_LOOP, {"a", "b"}),
    (NESTED_LOOP, {"a"}),
]  # fmt: skip


@pytest.mark.parametrize(("options", "sources"), CONTROLS)
def test_control_nodes_wait_for_what_they_read(options: str, sources: set[str]) -> None:
    found = all_edges(workflow(f"  a: {{operator: o}}\n  b: {{operator: o}}\n  z: {{{options}}}"))
    assert {edge.source for edge in found} == sources
    assert {edge.target for edge in found} == {"z"}


def test_explicit_edges_stand_once_and_first() -> None:
    wf = workflow(
        "  a: {operator: o}\n  b: {operator: o, after: [a], inputs: {v: '${{ a.x }}'}}\n",
        "[{from: a, to: b, priority: 3}, {from: a.x, to: b.v, transform: 'value + a.y'},"
        " {from: a, to: b, when: 'true'}]",
    )
    assert all_edges(wf) == wf.edges


def test_a_transform_waits_for_what_else_it_reads() -> None:
    wf = workflow("  a: {operator: o}\n  b: {operator: o}\n  c: {operator: o}\n",
                  "[{from: a.x, to: c.v, transform: value + b.y}]")  # fmt: skip
    assert all_edges(wf)[1:] == (control("b", "c"),)


def test_a_conditional_edge_orders_what_its_condition_reads_too() -> None:
    wf = workflow(
        "  a: {operator: o}\n  b: {operator: o}\n  c: {operator: o}\n", "[{from: a, to: c, when: b.x > 1}]"
    )
    assert all_edges(wf) == wf.edges
    assert graph.dependencies(wf, "c") == ("a", "b")


def test_readers_of_a_node_wait_for_its_fallback() -> None:
    wf = workflow(
        "  a: {operator: o, on_error: {fallback: b}}\n  b: {operator: o}\n"
        "  c: {operator: o, inputs: {v: '${{ a.x }}'}}"
    )
    assert graph.dependencies(wf, "b") == ("a",)
    assert graph.dependencies(wf, "c") == ("a", "b")
    assert graph.levels(wf) == (("a",), ("b",), ("c",))


def test_edges_of_nodes_that_do_not_exist_are_left_out_of_the_graph() -> None:
    wf = workflow(
        "  a: {operator: o, after: [none], on_error: {fallback: nobody}}\n",
        "[{from: x, to: a}, {from: a, to: y}]",
    )
    assert len(all_edges(wf)) == 4
    assert Graph.of(wf).before == ((),)


# ---- against networkx -------------------------------------------------------------------------


def linked(names: tuple[str, ...], pairs: Iterable[tuple[str, str]]) -> Graph:
    """The graph of those nodes with an edge for each (source, target)."""
    index = {name: i for i, name in enumerate(names)}
    before: list[set[int]] = [set() for _ in names]
    after: list[set[int]] = [set() for _ in names]
    for source, target in pairs:
        before[index[target]].add(index[source])
        after[index[source]].add(index[target])
    return Graph(names, index, *(tuple(tuple(sorted(one)) for one in side) for side in (before, after)))


@st.composite
def graphs(draw: st.DrawFn, *, cyclic: bool) -> tuple[Graph, "networkx.DiGraph[str]"]:
    names = tuple(f"n{i}" for i in draw(st.permutations(range(draw(st.integers(1, 12))))))
    places = st.integers(0, len(names) - 1)
    found = draw(st.lists(st.tuples(places, places), max_size=30))
    order = draw(st.permutations(names))
    pairs = [(order[a], order[b]) for a, b in found if cyclic or a < b]
    theirs: networkx.DiGraph[str] = networkx.DiGraph()
    theirs.add_nodes_from(names)
    theirs.add_edges_from(pairs)
    return linked(names, pairs), theirs


@given(graphs(cyclic=False))
def test_the_order_is_the_first_of_all_orders(both: tuple[Graph, "networkx.DiGraph[str]"]) -> None:
    ours, theirs = both
    order = graph.topological_order(ours)
    assert order == tuple(networkx.lexicographical_topological_sort(theirs, key=ours.names.index))


@given(graphs(cyclic=False))
def test_levels_are_the_longest_ways_from_the_start(both: tuple[Graph, "networkx.DiGraph[str]"]) -> None:
    ours, theirs = both
    generations = [sorted(g, key=ours.names.index) for g in networkx.topological_generations(theirs)]
    assert [list(level) for level in graph.levels(ours)] == generations


@given(graphs(cyclic=False), st.data())
def test_the_critical_path_takes_longest(
    both: tuple[Graph, "networkx.DiGraph[str]"], more: st.DataObject
) -> None:
    ours, theirs = both
    seconds = {name: float(more.draw(st.integers(0, 9), label=name)) for name in ours.names}
    path = graph.critical_path(ours, seconds)
    for source, target in pairwise(path):
        assert theirs.has_edge(source, target)
    for source, target in theirs.edges:
        theirs.edges[source, target]["weight"] = seconds[target]
    for first in list(theirs):
        theirs.add_edge("start", first, weight=seconds[first])
    assert sum(seconds[name] for name in path) == networkx.dag_longest_path_length(theirs)


@given(graphs(cyclic=True))
def test_dependencies_are_what_networkx_says(both: tuple[Graph, "networkx.DiGraph[str]"]) -> None:
    ours, theirs = both
    for name in ours.names:
        assert set(graph.dependencies(ours, name)) == set(theirs.predecessors(name))


@given(graphs(cyclic=True))
def test_a_cycle_is_found_exactly_if_there_is_one(both: tuple[Graph, "networkx.DiGraph[str]"]) -> None:
    ours, theirs = both
    cycle = graph.find_cycle(ours)
    assert (cycle is None) == networkx.is_directed_acyclic_graph(theirs)
    if cycle is None:
        assert len(graph.topological_order(ours)) == len(ours.names)
        return
    assert cycle[0] == cycle[-1]
    assert len(set(cycle)) == len(cycle) - 1
    for source, target in pairwise(cycle):
        assert theirs.has_edge(source, target)
    for ask in (graph.topological_order, graph.levels, graph.critical_path):
        with pytest.raises(GraphCyclic, match=" -> "):
            ask(ours)


# ---- single cases -----------------------------------------------------------------------------


def test_ties_are_broken_by_declaration() -> None:
    wf = workflow(
        "  z: {operator: o}\n  b: {operator: o, after: [a]}\n  a: {operator: o}\n  c: {operator: o}\n"
    )
    assert graph.topological_order(wf) == ("z", "a", "b", "c")
    assert graph.levels(wf) == (("z", "a", "c"), ("b",))
    assert graph.critical_path(wf) == ("a", "b")
    assert graph.critical_path(wf, {"z": 2.5}) == ("z",)


def test_questions_about_nothing_have_empty_answers() -> None:
    empty = Workflow(name="x")
    assert graph.topological_order(empty) == graph.levels(empty) == graph.critical_path(empty) == ()
    assert graph.find_cycle(empty) is None


def test_questions_about_unknown_nodes_are_refused() -> None:
    wf = workflow("  a: {operator: o}\n")
    with pytest.raises(NodeUnknown, match="'b'"):
        graph.dependencies(wf, "b")


def test_a_node_that_waits_for_itself_is_a_cycle() -> None:
    assert graph.find_cycle(workflow("  a: {operator: o, after: [a]}\n")) == ("a", "a")


@pytest.mark.slow
def test_a_chain_of_100_000_nodes_is_no_problem() -> None:
    count = 100_000
    names = tuple(f"n{i}" for i in range(count))
    chain = linked(names, pairwise(names))
    assert graph.topological_order(chain) == names
    names = names[:20_000]
    chain = linked(names, pairwise(names))
    assert len(graph.levels(chain)) == len(names)
    assert graph.critical_path(chain) == names
    ring = linked(names, zip(names, (*names[1:], names[0]), strict=True))
    assert graph.find_cycle(ring) == (*names, names[0])


def test_models_made_by_hand_work_as_well() -> None:
    wf = Workflow(
        name="x",
        nodes={
            "a": OperatorNode(operator="o", on_error=OnError(action="fallback", fallback="b")),
            "b": ControlNode(control="branch", condition="true", after=("a",)),
        },
        edges=(ConditionalEdge(source="a", target="b", when="a.x >"),),
    )
    assert graph.dependencies(wf, "b") == ("a",)
    assert len(all_edges(wf)) == 2
