"""What each kind of node does, made ready before a run."""

import pytest

from symphony.pit.tracker.nodes.work import (
    ApprovalWork,
    BranchWork,
    DelayWork,
    LoopWork,
    MergeWork,
    ModelWork,
    NodeWork,
    OperatorWork,
    SubWorkflowWork,
    Work,
)
from symphony.pit.tracker.nodes.works import works_of
from symphony.ports.values import Value
from symphony.sdk import Operator, operator
from symphony.workflow import loads
from symphony.workflow.catalog import Catalog, ModelInfo
from symphony.workflow.compiled import Compiled

LOOP = """{control: loop, state: {x: 1}, next: {x: "${{ state.x }}"}, until: "true", max_iterations: 2,
           body: {a: {operator: take, inputs: {value: 1}}}}"""


@operator("take", version="1.0.0", pure=True)
async def take(value: Value) -> Value:
    """Itself."""
    return value


@operator("command", version="1.0.0")
def command(command: str, environment: dict[str, str]) -> str:
    """Nothing."""
    return command


def work(node: str) -> Work:
    operators: dict[str, Operator] = {"take": take, "command": command}
    infos = {name: one.info for name, one in operators.items()}
    catalog = Catalog(operators=infos, models={"m": ModelInfo(id="m", version="1")})
    nodes = f"{{n: {node}, a: {{operator: take, inputs: {{value: 1}}}}}}"
    return works_of(Compiled(loads(f"name: w\nnodes: {nodes}", "yaml")), catalog, operators)[0]


@pytest.mark.parametrize(
    ("node", "kind"),
    [
        ("{operator: take, inputs: {value: 1}}", OperatorWork),
        ("{command: 'true'}", OperatorWork),
        ("{instrument: m}", ModelWork),
        ("{workflow: ./other.yaml}", SubWorkflowWork),
        ("{control: branch, condition: 'true'}", BranchWork),
        ("{control: merge, after: [a]}", MergeWork),
        ("{control: delay, for: 1s}", DelayWork),
        ("{control: approval}", ApprovalWork),
        (LOOP, LoopWork),
    ],
)
def test_each_kind_of_node_does_its_own_kind_of_work(node: str, kind: type[NodeWork]) -> None:
    assert type(work(node)) is kind


def test_what_nothing_stands_before_is_called_directly() -> None:
    def direct(more: str) -> tuple[bool, bool]:
        found = work(f"{{operator: take, inputs: {{value: 1}}{more}}}")
        assert isinstance(found, OperatorWork)
        return found.direct, found.direct_elements

    assert direct("") == (True, False)
    assert direct(", for_each: [1]") == (False, True)
    assert direct(", when: 'true'") == (False, False)
    assert direct(", timeout: 1s") == (False, False)
    assert direct(", for_each: [1], timeout: 1s") == (False, False)
