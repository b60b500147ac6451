"""Names that mean something elsewhere are ordinary node names."""

from symphony import WorkflowBuilder, run


def test_a_node_may_be_called_value() -> None:
    workflow = (
        WorkflowBuilder("names")
        .add_operator("debug.value", name="value", inputs={"value": 20})
        .add_operator("debug.value", name="next", inputs={"value": "${{ value.result + 1 }}"})
        .output("both", "${{ [value.result, next.result] }}")
        .build()
    )
    assert run(workflow, memory=True).outputs == {"both": [20, 21]}
