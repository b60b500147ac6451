"""Drawings of workflows: what is drawn, what is only counted, and that every format is well-formed."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from itertools import pairwise

from symphony.cli.drawings.mermaid import draw_mermaid
from symphony.cli.drawings.picture import BOXES_MAX, Picture, picture
from symphony.cli.drawings.svg import draw_svg
from symphony.cli.drawings.text import draw_text
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
            for rect in group.iter(f"{SVG}rect")
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
