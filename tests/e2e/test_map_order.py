"""The order of a map's keys on every way through a run: journal, cache, store, workers, a kill, a rerun."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from tests.support.commands import CommandLine, kill
from tests.support.waiting import wait_for

from symphony import Symphony
from symphony.pit.artifacts.values.typed import typed_value
from symphony.ports.values import ArtifactRef
from symphony.testing import run, workflow
from symphony.workflow.documents import format_named

pytestmark = pytest.mark.slow

SECRET = "topsecret-Value/42"

OPERATORS = '''
from symphony import operator
from symphony.ports.values import Value


@operator("order.thread", version="1.0.0", pure=True)
def in_thread(value: dict[str, Value]) -> dict[str, Value]:
    """As it is, from a thread."""
    return value


@operator("order.worker", version="1.0.0", pure=True, cpu=True)
def in_worker(value: dict[str, Value]) -> dict[str, Value]:
    """As it is, from a process."""
    return value


@operator("order.loop", version="1.0.0", pure=True)
async def on_the_loop(value: dict[str, Value]) -> dict[str, Value]:
    """As it is, from the event loop."""
    return value


@operator("order.text", version="1.0.0", pure=True)
def text(text: str) -> str:
    """As it is."""
    return text


@operator("order.many", version="1.0.0", pure=True)
def many(value: dict[str, Value], count: int) -> list[Value]:
    """Many of them, too many to travel inline."""
    return [value] * count
'''
BELOW = """\
name: Below
inputs: {told: {type: json}}
nodes: {same: {operator: order.worker, inputs: {value: "${{ inputs.told }}"}}}
outputs: {told: "${{ same.result }}", kept: "${{ inputs.told }}"}
"""
FLOW = """\
name: Flow
inputs:
  given: {type: json, default: {zip: 1, name: {y: [{q: 1, a: 2}], b: null}, age: 3}}
nodes:
  literal: {operator: debug.value, inputs: {value: {zip: 1, name: {y: [{q: 1, a: 2}], b: null}, age: 3}}}
  thread: {operator: order.thread, inputs: {value: "${{ literal.result }}"}}
  worker: {operator: order.worker, inputs: {value: "${{ thread.result }}"}}
  on_loop: {operator: order.loop, inputs: {value: "${{ worker.result }}"}}
  many: {operator: order.many, inputs: {value: "${{ on_loop.result }}", count: 2000}}
  declared: {operator: order.thread, inputs: {value: "${{ worker.result }}"}, artifact: {name: declared}}
  each:
    operator: order.thread
    for_each: '[{"zip": 1, "name": 2, "age": 3}, inputs.given]'
    inputs: {value: "${{ item }}"}
  grow:
    control: loop
    state: {found: {zip: 0, name: 0, age: 0}, told: "${{ inputs.given }}"}
    until: iteration >= 1
    body: {one: {operator: order.loop, inputs: {value: "${{ state.told }}"}}}
    next: {found: one.result, told: state.told}
  below: {workflow: below.yaml, inputs: {told: "${{ inputs.given }}"}}
  stands_in:
    operator: debug.fail
    inputs: {message: no}
    on_error: {value: {result: {zip: 1, name: {y: [{q: 1, a: 2}], b: null}, age: 3}}}
  merged: {control: merge, after: [literal, stands_in]}
  said: {command: 'printf %s "$V"', inputs: {v: "${{ inputs.given }}"}, idempotent: true}
  waits:
    command: touch waits; while [ ! -e go ]; do sleep 0.02; done
    idempotent: true
    after: [literal, thread, worker, on_loop, many, declared, each, grow, below, merged, said]
  asked: {operator: debug.value, inputs: {value: "${{ below.told }}"}, after: [waits]}
outputs:
  zulu: "${{ literal.result }}"
  thread: "${{ thread.result }}"
  worker: "${{ worker.result }}"
  on_loop: "${{ on_loop.result }}"
  many: "${{ many.result }}"
  declared: "${{ declared.result }}"
  each: "${{ each.result }}"
  grow: "${{ grow.found }}"
  told: "${{ grow.told }}"
  below: "${{ below.told }}"
  kept: "${{ below.kept }}"
  stands_in: "${{ stands_in.result }}"
  merged: "${{ merged.result }}"
  said: "${{ said.stdout }}"
  asked: "${{ asked.result }}"
  alpha: "${{ inputs.given }}"
"""
SEALED = """\
name: Sealed
env: [TOKEN]
nodes:
  parsed:
    operator: json.parse
    inputs:
      text: '{"z": "key ${{ env.TOKEN }}", "${{ env.TOKEN }}": {"y": 1, "b": "${{ env.TOKEN }}"}, "a": null}'
  listed:
    operator: debug.value
    inputs: {value: {zip: "${{ env.TOKEN }}", name: "${{ parsed.result }}", age: 3}}
  many: {operator: order.many, inputs: {value: "${{ listed.result }}", count: 1000}}
  waits:
    command: touch waits; while [ ! -e go ]; do sleep 0.02; done
    idempotent: true
    after: [many, parsed]
  last: {operator: order.worker, inputs: {value: "${{ many.result[999] }}"}, after: [waits]}
outputs: {parsed: "${{ parsed.result }}", listed: "${{ listed.result }}", last: "${{ last.result }}"}
"""
LOST = {
    # From reports of other tools that lost the order of keys, by repository and number.
    "apache/airflow 56561": {"C": 1, "B": 2, "A": 3},
    "spinje/pflow 333": {"concepts": [{"title": "t", "core_idea": "c", "angle": "a", "why": "w"}] * 3},
    "flyteorg/flyte 2924": {"x": {"c": {"b": 1, "a": [{"d": 1, "b": 2}]}, "a": 1}},
    "uiri/toml 89": {"a": {"b": 1, "c": {"d": 2, "e": 3}, "f": 4}},
    "dezhidki/Tommy 26": {"a": {"a": "foo", "b": {"c": 1, "b": 2, "a": 3}, "c": "bar"}},
    "emancu/toml-rb 141": {"report": {"columns": {"name": "A", "age": 2, "id": 3}, "title": "x"}, "by": "me"},
    "pallets/jinja 1933": {"e": "some", "b": "value", "a": "<b>", "d": "'", "c": ""},
    "ansible/ansible 16707": {"host": "h", "port": 587, "user": "u", "domain": {"some": "e", "other": "o"}},
    "pd4d10/json-viewer 36": {"16": {"id": 17}, "2": {"id": 3}, "23": {"id": 24}, "01": {"id": 1}},
    "godotengine/godot 99852": {"b": 1000, "a": 200, "": 0, "é": -1, "Z": 1.0},
    "clugg/sm-json 30": {"76561198034202275": "s", "76561198246607476": "b", "76561198121220486": "P"},
}
REPORTED = """\
name: Reported
inputs: {values: {type: json}}
nodes:
  made: {operator: order.worker, for_each: inputs.values, inputs: {value: "${{ item }}"}}
  prompt: {operator: order.text, for_each: made.result, inputs: {text: "Say ${{ [item] }}"}}
  keys: {operator: order.text, for_each: made.result, inputs: {text: "Of ${{ item.map(k, k) }}"}}
  json: {operator: data.format, for_each: made.result, inputs: {data: "${{ item }}", format: json}}
  yaml: {operator: data.format, for_each: made.result, inputs: {data: "${{ item }}", format: yaml}}
  toml: {operator: data.format, for_each: made.result, inputs: {data: "${{ item }}", format: toml}}
  page:
    operator: text.render
    for_each: made.result
    inputs: {text: "{{ data | tojson }}", data: "${{ item }}"}
outputs:
  made: "${{ made.result }}"
  prompt: "${{ prompt.result }}"
  keys: "${{ keys.result }}"
  page: "${{ page.text }}"
  json: "${{ json.text }}"
  yaml: "${{ yaml.text }}"
  toml: "${{ toml.text }}"
"""
KEPT = '{"zip":1,"name":{"y":[{"q":1,"a":2}],"b":null},"age":3}'


class Place(CommandLine):
    """A home and a workflow."""

    def __init__(self, folder: Path, text: str = FLOW) -> None:
        super().__init__(folder, TOKEN=SECRET)
        self.write("operators.py", OPERATORS)
        self.write("below.yaml", BELOW)
        self.write("w.yaml", text)

    def killed_when(self, file: str, *words: str) -> None:
        """Start a command, and kill it as soon as the file is there."""
        process = self.start(*words)
        wait_for(self.folder / file, process)
        kill(process)


def texts(outputs: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Every output that stands in the result itself, as text; for lists each element."""
    for name, value in outputs.items():
        if isinstance(value, dict) and "$artifact" in value:
            continue
        for one in value if isinstance(value, list) else [value]:
            yield name, one if isinstance(one, str) else json.dumps(one, separators=(",", ":"))


def check(result: Mapping[str, object]) -> None:
    outputs = result["outputs"]
    assert isinstance(outputs, dict)
    assert next(iter(outputs)) == "zulu"
    assert list(outputs)[-1] == "alpha"  # in the file's order themselves
    found = dict.fromkeys(texts(outputs))
    assert [one for one in found if one[1] != KEPT] == [("each", '{"age":3,"name":2,"zip":1}')]


async def kept_rows(home: Path) -> list[str]:
    """The elements of the large output of the newest run, as texts, and what the declared artifact holds."""
    async with Symphony.open(home) as symphony:
        outputs = symphony.runs.result(symphony.runs.ids()[0]).outputs
        assert next(iter(outputs)) == "zulu"
        many, declared = outputs["many"], outputs["declared"]
        assert isinstance(many, ArtifactRef)
        assert isinstance(declared, ArtifactRef)
        rows = typed_value(symphony.artifacts.get(many.digest), many.encoding)
        one = typed_value(symphony.artifacts.get(declared.digest), declared.encoding)
        assert isinstance(rows, list)
        return [json.dumps(row, separators=(",", ":")) for row in [*rows, one]]


def test_keys_keep_their_order_through_a_run_its_cache_a_kill_and_a_rerun(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.killed_when("waits", "run", "w.yaml", "--operators", "operators.py")
    (tmp_path / "go").touch()
    resumed = place.json("runs", "resume", "last")
    check(resumed)
    check(place.json("runs", "show", "last"))
    check(place.json("run", "w.yaml", "--operators", "operators.py"))  # a kill may lose what was to be cached
    cached = place.json("run", "w.yaml", "--operators", "operators.py")
    check(cached)
    nodes = cached["nodes"]
    assert isinstance(nodes, dict)
    for name in ("thread", "worker", "many", "each[0]"):
        assert nodes[name]["status"] == "cached"
    rerun = place.json("runs", "rerun", "last", "--from", "waits")
    check(rerun)
    check(place.json("run", "w.yaml", "--operators", "operators.py", "--no-cache"))
    assert set(asyncio.run(kept_rows(tmp_path / "home"))) == {KEPT}


def test_keys_keep_their_order_where_they_and_their_values_hold_secrets(tmp_path: Path) -> None:
    place = Place(tmp_path, SEALED)
    place.killed_when("waits", "run", "w.yaml", "--operators", "operators.py")
    (tmp_path / "go").touch()
    parsed = {"z": f"key {SECRET}", SECRET: {"y": 1, "b": SECRET}, "a": None}
    listed = {"zip": SECRET, "name": parsed, "age": 3}
    for words in (("runs", "resume", "last"), ("runs", "rerun", "last", "--from", "waits")):
        outputs = place.json(*words)["outputs"]
        assert repr(outputs) == repr({"parsed": parsed, "listed": listed, "last": listed})


def test_keys_keep_their_order_in_memory_and_from_python() -> None:
    given = {"zip": 1, "name": {"y": [{"q": 1, "a": 2}], "b": None}, "age": 3}
    flow = workflow("""\
        name: x
        inputs: {given: {type: json}}
        nodes:
          same: {operator: debug.value, inputs: {value: "${{ inputs.given }}"}}
          grown: {operator: data.map, inputs: {items: [1, 2], expression: "[item, {'z': 1, 'a': 2}]"}}
        outputs: {same: "${{ same.result }}", grown: "${{ grown.result }}", given: "${{ inputs.given }}"}
        """)
    expected = {"same": given, "grown": [[1, {"a": 2, "z": 1}], [2, {"a": 2, "z": 1}]], "given": given}
    assert repr(dict(run(flow, {"given": given}).outputs)) == repr(expected)


def test_orders_that_other_tools_lost_are_kept(tmp_path: Path) -> None:
    place, values = Place(tmp_path, REPORTED), [*LOST.values()]
    (tmp_path / "values.json").write_text(json.dumps(values), encoding="utf-8")
    for status in ("succeeded", "cached"):
        result = place.json(
            "run", "w.yaml", "--operators", "operators.py", "--input-file", "values=values.json"
        )
        outputs, nodes = result["outputs"], result["nodes"]
        assert isinstance(outputs, dict)
        assert isinstance(nodes, dict)
        for i, (report, value) in enumerate(LOST.items()):
            assert {nodes[f"{name}[{i}]"]["status"] for name in ("made", "prompt", "keys", "toml")} == {
                status
            }
            assert repr(outputs["made"][i]) == repr(value), report
            assert outputs["prompt"][i] == f"Say [{json.dumps(value, ensure_ascii=False)}]", report
            assert outputs["keys"][i] == f"Of {json.dumps(list(value), ensure_ascii=False)}", report
            assert repr(json.loads(outputs["page"][i])) == repr(value), report
            for name in ("json", "yaml", "toml"):
                tree = format_named(name).parse(outputs[name][i].encode()).tree
                assert repr(tree) == repr(value), (report, name)
