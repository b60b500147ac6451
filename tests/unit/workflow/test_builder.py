"""Workflows built in Python."""

from dataclasses import dataclass, field

import msgspec
import pytest

from symphony.workflow import WorkflowBuilder, WorkflowInvalid, dumps, loads, validate
from symphony.workflow.builder import BuilderMisused
from symphony.workflow.catalog import Catalog, OperatorInfo, Port
from symphony.workflow.documents import FORMATS
from symphony.workflow.model import (
    Budget,
    CommandNode,
    ConditionalEdge,
    ControlEdge,
    ControlNode,
    DataEdge,
    InputSpec,
    InstrumentNode,
    OnFinish,
    OperatorNode,
    Retry,
    SubWorkflowNode,
    Workflow,
)
from symphony.workflow.types import PortType, list_of


class Sampling(msgspec.Struct):
    temperature: float = 0.2
    stop: tuple[str, ...] = ("END",)


@dataclass
class Parsing:
    strict: bool = True
    paths: list[str] = field(default_factory=lambda: ["$.x"])


def problems(builder: WorkflowBuilder) -> list[tuple[str, str]]:
    with pytest.raises(WorkflowInvalid) as error:
        builder.build()
    return [(p.code, p.place) for p in error.value.report.errors]


def test_the_example_of_the_design_builds() -> None:
    workflow = (
        WorkflowBuilder("data-processing")
        .version("1.0.0")
        .add_instrument("gpt-4", Sampling())
        .add_operator("json-parser", Parsing())
        .connect("gpt-4", "json-parser", DataEdge(output="text", input="text"))
        .build()
    )
    assert workflow == Workflow(
        name="data-processing",
        version="1.0.0",
        nodes={
            "gpt-4": InstrumentNode(instrument="gpt-4", config={"temperature": 0.2, "stop": ["END"]}),
            "json-parser": OperatorNode(operator="json-parser", config={"strict": True, "paths": ["$.x"]}),
        },
        edges=(DataEdge(source="gpt-4", target="json-parser", output="text", input="text"),),
    )


def test_everything_can_be_built_and_written() -> None:
    workflow = (
        WorkflowBuilder("all")
        .description("all there is")
        .tags("a", "b")
        .env("HOME")
        .metadata(owner={"$id": 5})
        .operators("my_ops.py")
        .budget(money=0.5, calls=20)
        .input("words", list_of(PortType("string")), default=["x"], description="to join")
        .input("n", "integer", min=1, max=5)
        .input("mode", ["fast", "slow"], default="fast")
        .add_operator(
            "text.join@1.0", {"$k": b"\x00"}, for_each="inputs.words", name="join",
            inputs={"parts": ("a", "b")},
        )
        .add_control("branch", name="big", condition="inputs.n > 1")
        .add_control("delay", for_="5s", after=["big.true"])
        .add_control(
            "loop", name="grow", state={"x": 1}, while_="state.x < 3", next={"x": "add.result"},
            max_iterations=5,
            body={"add": {"operator": "debug.value", "inputs": {"value": "${{ state.x + 1 }}"}}},
        )
        .add_command("echo hi", name="say", retry={"attempts": 2}, timeout="5s", position=(1, 2.5))
        .add_workflow("child.yaml", name="child", inputs={"y": {"$y": 2}})
        .connect("say", "child")
        .connect("join", "say", ConditionalEdge(when="inputs.n > 2", label="many"))
        .connect("big", "child", ControlEdge(branch="false", priority=3))
        .output("joined", "${{ join.result }}")
        .build()
    )  # fmt: skip
    assert workflow.inputs["mode"] == InputSpec(
        type=PortType("enum", choices=("fast", "slow")), default="fast"
    )
    assert workflow.nodes["join"] == OperatorNode(
        operator="text.join@1.0",
        config={"$k": b"\x00"},
        for_each="inputs.words",
        inputs={"parts": ["a", "b"]},
    )
    assert workflow.nodes["say"] == CommandNode(
        command="echo hi", retry=Retry(attempts=2), timeout="5s", position=(1, 2.5)
    )
    assert workflow.nodes["child"] == SubWorkflowNode(workflow="child.yaml", inputs={"y": {"$y": 2}})
    assert isinstance(workflow.nodes["delay"], ControlNode)
    assert workflow.metadata == {"owner": {"$id": 5}}
    assert workflow.operators == ("my_ops.py",)
    assert workflow.budget == Budget(money=0.5, calls=20)
    assert [type(edge).__name__ for edge in workflow.edges] == [
        "ControlEdge",
        "ConditionalEdge",
        "ControlEdge",
    ]
    for name in FORMATS:
        assert loads(dumps(workflow, name), name) == workflow


@pytest.mark.parametrize(
    ("operator", "name"),
    [
        ("text.join", "text-join"),
        ("json-parser@2.0", "json-parser"),
        ("4-x", "_4-x"),
        ("map", "map_"),
        ("…", "node"),
    ],
)
def test_nodes_are_called_after_what_they_run(operator: str, name: str) -> None:
    assert list(WorkflowBuilder("x").add_operator(operator).build().nodes) == [name]


def test_connect_takes_the_name_of_the_node_or_of_its_only_operator() -> None:
    builder = WorkflowBuilder("x").add_operator("text.join", name="one").add_operator("debug.value")
    assert builder.connect("text.join", "debug-value").build().edges == (
        ControlEdge(source="one", target="debug-value"),
    )
    builder.add_operator("text.join", name="two").connect("text.join", "two")
    assert problems(builder) == [("unknown-node", "edges[0].from"), ("unknown-node", "edges[1].from")]


def test_a_data_edge_finds_the_only_ports() -> None:
    text = Port(type=PortType("string"))
    catalog = Catalog(
        operators={
            "one": OperatorInfo(name="one", version="1.0.0", inputs={"in": text}, outputs={"out": text}),
            "two": OperatorInfo(
                name="two", version="1.0.0", outputs={"a": text, "b": text},
                inputs={"must": text, "may": Port(type=PortType("string"), default="")},
            ),
            "three": OperatorInfo(name="three", version="1.0.0", inputs={"x": text, "y": text}),
        }
    )  # fmt: skip
    nodes = WorkflowBuilder("x", catalog=catalog).add_operator("one").add_operator("two")
    edge = nodes.connect("one", "two", DataEdge(transform="value + '!'")).build().edges[0]
    assert edge == DataEdge(source="one", target="two", output="out", input="must", transform="value + '!'")
    nodes.add_operator("three", inputs={"x": "given"}).connect("two", "three", DataEdge(output="b"))
    assert nodes.build().edges[1] == DataEdge(source="two", target="three", output="b", input="y")
    nodes.connect("two", "one", DataEdge())
    assert problems(nodes) == [("missing-input", "edges[2].from")]
    nodes = WorkflowBuilder("x", catalog=catalog).add_operator("unknown").add_operator("three")
    assert problems(nodes.connect("unknown", "three", DataEdge())) == [("missing-input", "edges[0].to")]


@pytest.mark.parametrize(
    ("operator", "hint"),
    [
        ("json-parser", "did you mean json.parse? If it is your own, write DataEdge(input=…)"),
        ("text.jion@1.0.0", "did you mean text.join? If it is your own, write DataEdge(input=…)"),
        ("zzz", "write DataEdge(input=…)"),
    ],
)
def test_an_edge_to_an_unknown_operator_without_its_input_says_so(operator: str, hint: str) -> None:
    builder = WorkflowBuilder("x").add_instrument("gpt-4").add_operator(operator, name="o")
    with pytest.raises(WorkflowInvalid) as error:
        builder.connect("gpt-4", operator, DataEdge()).build()
    [problem] = error.value.report.errors
    assert (problem.code, problem.place, problem.hint) == ("unknown-operator", "nodes.o", hint)
    assert problem.message.startswith(f"unknown operator {operator}: ")


def test_an_edge_to_an_unknown_model_without_its_input_says_so() -> None:
    builder = WorkflowBuilder("x").add_operator("debug.value").add_instrument("minilmm")
    with pytest.raises(WorkflowInvalid, match="unknown model minilmm") as error:
        builder.connect("debug.value", "minilmm", DataEdge()).build()
    [problem] = error.value.report.errors
    assert (problem.code, problem.place) == ("unknown-model", "nodes.minilmm")
    assert (problem.hint or "").startswith("did you mean minilm?")


def test_a_built_workflow_can_make_sense() -> None:
    builder = (
        WorkflowBuilder("x")
        .add_operator("debug.value", inputs={"value": ["a", "b"]})
        .add_operator("text.join")
    )
    workflow = (
        builder.connect("debug.value", "text.join", DataEdge())
        .output("v", "${{ nodes['text-join'].result }}")
        .build()
    )
    assert workflow.edges[0] == DataEdge(
        source="debug-value", target="text-join", output="result", input="parts"
    )
    assert validate(workflow).errors == ()


def test_every_structural_problem_is_raised_at_once() -> None:
    builder = (
        WorkflowBuilder("")
        .version("1")
        .input("x", "bogus")
        .input("y", "integer", default="many")
        .add_operator("text.join", timeout="soon", colour="red")
        .add_operator("o", {"v": float("nan"), "w": "\ud800", "x": object()})
        .add_operator("o", name="two words")
        .connect("text.join", "nobody")
    )
    assert problems(builder) == [
        ("type-mismatch", "name"), ("type-mismatch", "version"),
        ("type-mismatch", "inputs.x.type"), ("type-mismatch", "inputs.y.default"),
        ("type-mismatch", "nodes.text-join.timeout"), ("unknown-key", "nodes.text-join.colour"),
        ("type-mismatch", "nodes.o.config.v"), ("type-mismatch", "nodes.o.config.w"),
        ("type-mismatch", "nodes.o.config.x"),
        ("bad-name", "nodes.two words"), ("unknown-node", "edges[0].to"),
    ]  # fmt: skip


def test_a_workflow_needs_nodes() -> None:
    assert problems(WorkflowBuilder("x")) == [("missing-input", "nodes")]


def test_values_nested_without_end_are_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    found = problems(WorkflowBuilder("x").add_operator("o", inputs={"v": endless}))
    assert [code for code, _ in found] == ["limit-exceeded"]
    body: dict[str, object] = {}
    body["a"] = {"control": "loop", "until": "true", "body": body}
    found = problems(WorkflowBuilder("x").add_control("loop", until="true", body=body))
    assert [code for code, _ in found] == ["limit-exceeded"]


def test_names_stand_once() -> None:
    builder = WorkflowBuilder("x").add_operator("o").input("a").output("b", 1)
    for call in (
        lambda: builder.add_operator("o"),
        lambda: builder.add_command("x", name="o"),
        lambda: builder.input("a"),
        lambda: builder.output("b", 2),
        lambda: builder.add_operator("p", 5),  # type: ignore[arg-type]  # that is the point
    ):
        with pytest.raises(BuilderMisused):
            call()


def test_what_was_built_does_not_change_with_the_builder() -> None:
    builder = WorkflowBuilder("x").add_operator("o", inputs={"v": [1]})
    first = builder.build()
    builder.add_operator("p").version("2.0.0").output("x", 1)
    assert list(first.nodes) == ["o"]
    assert (first.version, first.outputs) == ("0.1.0", {})
    assert len(builder.build().nodes) == 2


def test_the_end_of_runs_is_told_to_a_command_or_a_url() -> None:
    made = WorkflowBuilder("x").on_finish(command="echo $STATUS").add_command("true", name="a").build()
    assert made.on_finish == OnFinish(command="echo $STATUS")
    with pytest.raises(WorkflowInvalid, match="neither command nor url"):
        WorkflowBuilder("x").on_finish().add_command("true", name="a").build()
