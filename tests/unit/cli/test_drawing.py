"""Drawings of workflows: what is drawn, what is only counted, and that every format is well-formed."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import pairwise

from symphony.cli.drawings.mermaid import draw_mermaid
from symphony.cli.drawings.picture import BOXES_MAX, Picture, picture, picture_of
from symphony.cli.drawings.svg import draw_svg
from symphony.cli.drawings.text import draw_text
from symphony.ports.insight import NodeLine, Overview
from symphony.ports.runs import NodeStatus
from symphony.workflow.model import (
    CommandNode,
    ConditionalEdge,
    ControlEdge,
    ControlNode,
    DataEdge,
    Edge,
    InstrumentNode,
    Node,
    OperatorNode,
    SubWorkflowNode,
    Workflow,
)
from symphony.workflow.nesting import Nested

SVG = "{http://www.w3.org/2000/svg}"


def small() -> Picture:
    nodes: dict[str, Node] = {
        "files": OperatorNode(operator="fs.glob"),
        "ask": InstrumentNode(instrument="minilm"),
        "any": ControlNode(control="branch", condition="true"),
        "sub": SubWorkflowNode(workflow="other.yaml"),
        "end": CommandNode(command='echo "a <b> & #c"'),
    }
    edges: Sequence[Edge] = (
        DataEdge(source="files", output="paths", target="ask", input="texts"),
        DataEdge(source="files", output="paths", target="ask", input="others"),
        DataEdge(source="ask", output="vectors", target="any", input="x"),
        ControlEdge(source="any", target="sub", branch="true"),
        ConditionalEdge(source="files", target="end", when='size(x) > 0 && y == "<"'),
        DataEdge(source="files", output="paths", target="sub", input="z"),
    )
    return picture(
        Workflow(name='A "title" <x>', nodes=nodes), [["files"], ["ask", "end"], ["any"], ["sub"]], edges
    )


def large(levels: int, height: int) -> Picture:
    names = [[f"n{level}_{i}" for i in range(height)] for level in range(levels)]
    nodes = {name: OperatorNode(operator="debug.value") for level in names for name in level}
    edges = [
        DataEdge(source=a, output="result", target=b, input="value")
        for before, after in pairwise(names)
        for a in before[:20]
        for b in after[:20]
    ]
    return picture(Workflow(name="large", nodes=nodes), names, edges)


def test_text_shows_levels_nodes_and_what_they_wait_for() -> None:
    assert draw_text(small(), width=100) == (
        'A "title" <x> (5 nodes, 6 edges, 4 levels)\n'
        "level 1\n└─ files  fs.glob\n"
        "level 2\n├─ ask  minilm  ← files\n"
        '└─ end  $ echo "a <b> & #c"  ← files (when size(x) > 0 && y == "<")\n'
        "level 3\n└─ any  branch  ← ask\n"
        "level 4\n└─ sub  other.yaml  ← any.true, files\n"
        "\n← waits for\n"
    )


def test_text_fits_a_narrow_terminal_and_one_without_unicode() -> None:
    text = draw_text(small(), width=24, unicode=False)
    assert max(map(len, text.splitlines())) <= 24
    assert draw_text(small(), width=200, unicode=False).isascii()


def test_mermaid_escapes_what_it_would_take_for_syntax() -> None:
    text = draw_mermaid(small())
    assert 'n0["files<br/><small>fs.glob</small>"]' in text
    assert "$ echo #quot;a #lt;b#gt; #amp; #35;c#quot;" in text
    assert 'n3 -.->|"true"| n4' in text
    assert text.count("n0 --> n1") == 1, "edges between the same two nodes are one arrow"


def test_svg_is_well_formed_and_holds_every_node_once() -> None:
    root = ET.fromstring(draw_svg(small()))
    titles = [title.text for title in root.iter(f"{SVG}title")]
    assert titles[0] == 'A "title" <x>'
    assert sorted(t.split(":")[0] for t in titles[1:] if t) == ["any", "ask", "end", "files", "sub"]
    assert "http" not in draw_svg(small()).replace("http://www.w3.org/2000/svg", "")


def test_boxes_of_an_svg_never_overlap() -> None:
    for drawn in (small(), large(6, 12)):
        rects = [
            rect
            for group in ET.fromstring(draw_svg(drawn)).iter(f"{SVG}g")
            for rect in group.findall(f"{SVG}rect")
        ]
        places = [tuple(float(rect.get(k, "0")) for k in ("x", "y", "width", "height")) for rect in rects]
        for i, (x1, y1, w1, h1) in enumerate(places):
            for x2, y2, w2, h2 in places[i + 1 :]:
                assert x1 + w1 <= x2 or x2 + w2 <= x1 or y1 + h1 <= y2 or y2 + h2 <= y1


def test_a_wide_workflow_is_bounded_and_says_what_is_missing() -> None:
    drawn = large(3, 3_000)
    boxes = [box for level in drawn.levels for box in level]
    assert len(boxes) <= BOXES_MAX
    assert not drawn.complete
    assert drawn.nodes_total == 9_000
    counted = sum(int(box.detail.split()[1].replace(",", "")) for box in boxes if box.kind == "more")
    assert counted + sum(box.kind != "more" for box in boxes) == 9_000
    assert len(draw_svg(drawn)) < 2_000_000


def test_a_deep_workflow_is_bounded_too() -> None:
    drawn = large(5_000, 1)
    assert sum(len(level) for level in drawn.levels) <= BOXES_MAX
    assert drawn.levels[-1][0].detail == "… 4,851 more nodes"
    ET.fromstring(draw_svg(drawn))


def test_an_empty_drawing_is_still_a_drawing() -> None:
    drawn = picture(Workflow(name="none"), [], [])
    ET.fromstring(draw_svg(drawn))
    assert draw_mermaid(drawn).endswith("flowchart LR\n")
    assert draw_text(drawn, width=80) == "none (0 nodes, 0 edges, 0 levels)\n"


# ---- graphs inside nodes, and how they went ----------------------------------------------------


class Files:
    """Sub-workflows by name; each finds itself, as a file that contains itself would."""

    def __init__(self, **workflows: Workflow) -> None:
        self._workflows = workflows

    def __call__(self, reference: str, /) -> Workflow | None:
        return self._workflows.get(reference)

    def child(self, reference: str, /) -> "Files":
        return self


def nested() -> Nested:
    inner = Workflow(
        name="Inner", nodes={"deep": CommandNode(command="echo"), "again": SubWorkflowNode(workflow="inner")}
    )
    loop = ControlNode(
        control="loop",
        state={"x": 0},
        until="state.x > 3",
        next={"x": "${{ state.x + 1 }}"},
        body={
            "one": OperatorNode(operator="debug.value", inputs={"value": "${{ state.x }}"}),
            "two": OperatorNode(operator="debug.value", inputs={"value": "${{ one.result }}"}),
        },
    )
    nodes: dict[str, Node] = {
        "numbers": OperatorNode(operator="data.range"),
        "each": SubWorkflowNode(workflow="inner", for_each="numbers.result"),
        "loop": loop,
        "gone": SubWorkflowNode(workflow="missing"),
        "end": CommandNode(command="true", after=("loop", "each")),
    }
    return Nested(Workflow(name="Outer", nodes=nodes), Files(inner=inner))


def went() -> Overview:
    counts = {NodeStatus.SUCCEEDED: 553, NodeStatus.FAILED: 1}
    lines = [
        NodeLine(name="numbers", status=NodeStatus.CACHED),
        NodeLine(name="each", status=NodeStatus.FAILED, took_s=7.2, statuses=counts),
        NodeLine(name="each.deep", status=NodeStatus.SUCCEEDED, took_s=0.5),
    ]
    return Overview(began_at=0.0, ended_at=8.0, lines=lines)


def test_loops_and_sub_workflows_are_opened_as_deep_as_asked() -> None:
    def names(depth: int) -> list[str]:
        return [box.name for box in picture_of(nested(), depth=depth).all_boxes()]

    assert sorted(names(0)) == ["each", "end", "gone", "loop", "numbers"]
    assert sorted(names(1)) == ["again", "deep", "each", "end", "gone", "loop", "numbers", "one", "two"]
    assert names(3).count("deep") == 3, "one that contains itself is opened as deep as asked, and no deeper"


def test_text_indents_what_is_inside_a_node_and_explains_its_signs() -> None:
    text = draw_text(picture_of(nested(), depth=1, overview=went()), width=120)
    assert text == (
        "Outer (5 nodes, 3 edges, 3 levels)\n"
        "level 1\n├─ numbers  data.range  ≡\n├─ loop     loop  ↻\n"
        "│  level 1\n│  └─ one  debug.value\n│  level 2\n│  └─ two  debug.value  ← one\n"
        "└─ gone     missing\n"
        "level 2\n└─ each  inner  ×each  553 ✓ 1 ✗ 7.2 s  ← numbers\n"
        "   level 1\n   ├─ deep   $ echo  ✓ 500 ms\n   └─ again  inner\n"
        "level 3\n└─ end  $ true  ← loop, each\n"
        "\n← waits for; ×each once for each element of a list; ↻ round after round;"
        " ✓ succeeded; ≡ cached; ✗ failed\n"
    )
    plain = draw_text(picture_of(nested(), depth=1, overview=went()), width=40, unicode=False)
    assert plain.isascii()
    assert max(map(len, plain.splitlines())) <= 40


def test_mermaid_draws_what_is_inside_a_node_as_a_subgraph_and_colours_statuses() -> None:
    text = draw_mermaid(picture_of(nested(), depth=1, overview=went()))
    lines = [line.strip() for line in text.splitlines()]
    assert lines.count("end") == sum(line.startswith("subgraph ") for line in lines) == 3
    assert any("553 ✓ 1 ✗ 7.2 s" in line for line in lines)
    colours = {line.split()[1] for line in lines if line.startswith("classDef")}
    assert colours == {"cached", "failed", "succeeded"}
    assert 'legend_workflow[["sub-workflow"]]' in text


def test_boxes_of_an_svg_stand_inside_what_holds_them_and_beside_all_others() -> None:
    root = ET.fromstring(draw_svg(picture_of(nested(), depth=3, overview=went())))
    (graph,) = root.findall(f"{SVG}g")
    checked = _check_places(graph)
    assert checked == sum(1 for _ in picture_of(nested(), depth=3).all_boxes())


def _check_places(group: ET.Element) -> int:
    """How many boxes are in the group; each graph inside a box comes right after it."""
    places: list[tuple[float, float, float, float]] = []
    count = 0
    for child in group.findall(f"{SVG}g"):
        if "transform" not in child.attrib:
            rect = child.findall(f"{SVG}rect")[-1]
            places.append(tuple(float(rect.get(k, "0")) for k in ("x", "y", "width", "height")))  # type: ignore[arg-type]
            count += 1
            continue
        left, top = (float(number) for number in child.attrib["transform"][10:-1].split())
        x, y, width, height = places[-1]
        for rect in child.iter(f"{SVG}rect"):
            assert left + float(rect.get("x", "0")) + float(rect.get("width", "0")) <= x + width + 0.2
            assert left >= x - 0.1
            assert y <= top <= y + height
        count += _check_places(child)
    for i, (x1, y1, w1, h1) in enumerate(places):
        for x2, y2, w2, h2 in places[i + 1 :]:
            assert x1 + w1 <= x2 + 0.1 or x2 + w2 <= x1 + 0.1 or y1 + h1 <= y2 + 0.1 or y2 + h2 <= y1 + 0.1
    return count


def test_an_svg_has_a_legend_of_what_is_in_it_and_colours_for_dark_pages() -> None:
    text = draw_svg(picture_of(nested(), depth=1, overview=went()))
    words = [
        element.text for element in ET.fromstring(text).iter(f"{SVG}text") if element.get("class") == "legend"
    ]
    assert words == [
        "operator", "command", "control", "sub-workflow", "once for each element of a list", "passes a value",
        "runs after", "succeeded", "cached", "failed",
    ]  # fmt: skip
    assert "@media(prefers-color-scheme:dark)" in text
    assert "var(" not in text, "some viewers know no variables"


def test_a_large_graph_inside_a_node_stays_closed() -> None:
    body: dict[str, Node] = {f"n{i}": OperatorNode(operator="debug.value") for i in range(BOXES_MAX)}
    loop = ControlNode(control="loop", state={"x": 0}, next={"x": "1"}, until="true", body=body)
    drawn = picture_of(Nested(Workflow(name="w", nodes={"a": loop, "b": loop})))
    assert [box.inside for box in drawn.boxes()] == [None, None]
    assert drawn.complete


def test_a_long_command_does_not_push_away_how_its_node_went() -> None:
    nodes: dict[str, Node] = {"a": CommandNode(command="echo " + "x" * 300)}
    line = NodeLine(name="a", status=NodeStatus.FAILED, took_s=2.9)
    overview = Overview(began_at=0.0, ended_at=3.0, lines=[line])
    text = draw_text(picture_of(Nested(Workflow(name="w", nodes=nodes)), overview=overview), width=80)
    assert "✗ 2.9 s" in text
    assert max(map(len, text.splitlines())) <= 80
