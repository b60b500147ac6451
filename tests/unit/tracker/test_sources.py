"""Where inputs come from, resolved before a run."""

from symphony.pit.tracker.nodes.sources import (
    Constant,
    ElementRead,
    ListMade,
    MapMade,
    PortRead,
    Rendered,
    Source,
)
from symphony.pit.tracker.nodes.works import works_of
from symphony.ports.values import Value
from symphony.sdk import Operator, operator
from symphony.workflow import loads
from symphony.workflow.catalog import Catalog
from symphony.workflow.compiled import Compiled


@operator("take", version="1.0.0", pure=True)
async def take(value: Value) -> Value:
    """Itself."""
    return value


def source(text: str, more: str = "") -> Source:
    nodes = f"""
  a: {{operator: take, inputs: {{value: 1}}}}
  b: {{operator: take, inputs: {{value: 2}}, on_error: {{fallback: c}}}}
  c: {{operator: take, inputs: {{value: 3}}}}
  d: {{operator: take, inputs: {{value: {text}}}{more}}}
"""
    operators: dict[str, Operator] = {"take": take}
    catalog = Catalog(operators={"take": take.info})
    works = works_of(Compiled(loads(f"name: w\nnodes:{nodes}", "yaml")), catalog, operators)
    return works[3].sources["value"]


def test_a_reference_becomes_the_number_of_its_node() -> None:
    assert source('"${{ c.result }}"') == PortRead(2, "result")


def test_a_list_of_references_becomes_their_numbers() -> None:
    found = source('["${{ a.result }}", "${{ c.result }}"]')
    assert isinstance(found, ListMade)
    assert found.ports == (PortRead(0, "result"), PortRead(2, "result"))


def test_constants_stand_beside_references() -> None:
    found = source('[1, "${{ a.result }}", {x: "${{ c.result }}"}]')
    assert isinstance(found, ListMade)
    assert found.ports is None
    first, second, third = found.items
    assert (first, second) == (Constant(1), PortRead(0, "result"))
    assert isinstance(third, MapMade)
    assert third.items == {"x": PortRead(2, "result")}
    assert source("[1, {x: 2}]") == Constant([1, {"x": 2}])


def test_an_element_of_a_fan_out_is_known_by_its_part() -> None:
    assert source('"${{ item }}"', ", for_each: [1]") == ElementRead(0)
    assert source('"${{ index }}"', ", for_each: [1]") == ElementRead(1)


def test_what_has_a_fallback_or_computes_is_rendered() -> None:
    for text in ('"${{ b.result }}"', '"${{ a.result + 1 }}"', '"text ${{ a.result }}"', '"${{ run.id }}"'):
        assert isinstance(source(text), Rendered)
