"""Workflows that are run, changed at random and rerun end as a new run of the changed workflow does."""

import asyncio
import copy
import json
import re
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from symphony import Symphony
from symphony.workflow.problems import WorkflowInvalid

pytestmark = pytest.mark.slow

INPUTS: Final = ("p", "q")
CHANGES: Final = 4
OPERATORS: Final = """
from symphony import operator

A = "a0"
B = "b0"

@operator("sim.a", version="1.0.0", pure=True)
def sim_a(value: str) -> str:
    return A + value

@operator("sim.b", version="1.0.0", pure=True)
def sim_b(value: str) -> str:
    return sim_b_text() + value

def sim_b_text() -> str:
    return B
"""
CHILD: Final = {
    "name": "child",
    "operators": ["ops.py"],
    "inputs": {"x": {"type": "any"}},
    "nodes": {
        "u": {"operator": "debug.value", "inputs": {"value": "${{ 'u' + string(inputs.x) }}"}},
        "v": {"operator": "sim.b", "inputs": {"value": "${{ 'v' + string(u.result) }}"}},
        "w": {"operator": "debug.value", "inputs": {"value": "w"}},
    },
    "outputs": {"result": "${{ v.result + w.result }}"},
}


def reading(rng: Random, before: dict[str, Any]) -> str:
    """An expression over some earlier nodes and inputs."""
    parts = [
        f"string(size({name}.result))" if "for_each" in before[name] else f"string({name}.result)"
        for name in rng.sample(list(before), min(len(before), rng.randint(0, 2)))
    ]
    parts.append(f"string(inputs.{rng.choice(INPUTS)})" if rng.random() < 0.5 else f"'{rng.randint(0, 3)}'")
    return "${{ " + " + ','  + ".join(parts) + " }}"


def node(rng: Random, before: dict[str, Any]) -> dict[str, Any]:
    value, kind = reading(rng, before), rng.random()
    lists = [name for name, one in before.items() if "for_each" in one]
    operator = rng.choice(["debug.value", "debug.value", "sim.a", "sim.b"])
    made: dict[str, Any] = {"operator": operator, "inputs": {"value": value}}
    if kind < 0.2:
        made["for_each"] = [1, 2, 3][: rng.randint(1, 3)]
        made["inputs"] = {"value": value.replace("${{ ", "${{ string(item) + ")}
    elif kind < 0.3:
        made = {"workflow": "child.json", "inputs": {"x": value}}
        if rng.random() < 0.5:
            made["for_each"] = rng.choices([1, 2, 3], k=rng.randint(1, 3))
            made["inputs"] = {"x": value.replace("${{ ", "${{ string(item) + ")}
    elif kind < 0.35 and lists:
        made["for_each"] = f"{rng.choice(lists)}.result"
        made["inputs"] = {"value": value.replace("${{ ", "${{ string(item) + ")}
    elif kind < 0.4:
        mark = rng.randint(0, 2)
        body = {"s": "${{ string(state.result) + 'x' }}", "t": f"${{{{ string(s.result) + '{mark}' }}}}"}
        made = {
            "control": "loop", "state": {"result": value}, "next": {"result": "t.result"},
            "body": {n: {"operator": "debug.value", "inputs": {"value": one}} for n, one in body.items()},
            "until": f"iteration >= {rng.randint(0, 2)}", "max_iterations": 5,
        }  # fmt: skip
    elif kind < 0.5:
        made["inputs"] = {"value": f"${{{{ ['a'][inputs.{rng.choice(INPUTS)}] }}}}"}
        made["on_error"] = rng.choice(["skip", {"value": {"result": "handled"}}])
    if rng.random() < 0.15:
        made["when"] = f"inputs.{rng.choice(INPUTS)} > 0"
    if before and rng.random() < 0.2:
        made["after"] = [rng.choice(list(before))]
    return made | ({"join": "any"} if rng.random() < 0.15 else {})


def workflow(rng: Random) -> dict[str, Any]:
    nodes: dict[str, Any] = {}
    for number in range(rng.randint(3, 7)):
        nodes[f"n{number}"] = node(rng, nodes)
    inputs = {name: {"type": "integer", "default": rng.randint(0, 2)} for name in INPUTS}
    outputs = {name: f"${{{{ {name}.result }}}}" for name in nodes}
    return {"name": "mending", "operators": ["ops.py"], "inputs": inputs, "nodes": nodes, "outputs": outputs}


def change(rng: Random, flow: dict[str, Any], child: dict[str, Any]) -> None:
    """Change one thing in a workflow or its sub-workflow."""
    names = list(flow["nodes"])
    name = rng.choice(names)
    one = flow["nodes"][name]
    before = {other: flow["nodes"][other] for other in names[: names.index(name)]}
    value = {"operator": "debug.value", "inputs": {"value": f"changed {rng.randint(0, 9)}"}}
    match rng.randint(0, 8):
        case 0:
            flow["nodes"][name] = node(rng, before)
        case 1:
            flow["inputs"][rng.choice(INPUTS)]["default"] = rng.randint(0, 3)
        case 2:
            child["nodes"][rng.choice("uvw")] = value
        case 3:
            child["outputs"]["result"] = "${{ u.result }}"
        case 4:
            child["nodes"][f"y{rng.randint(0, 3)}"] = value
        case 5 if "for_each" in one:
            items = [*one["for_each"], *rng.choices(range(1, 10), k=rng.randint(0, 3))]
            one["for_each"] = rng.sample(items, rng.randint(1, len(items)))
        case 6 if "body" in one and rng.random() < 0.5:
            one["body"][rng.choice("st")] = value
        case 6 if "body" in one:
            one["until"] = f"iteration >= {rng.randint(0, 4)}"
        case 7 if before:
            one["after"] = [rng.choice(list(before))]
        case _:
            flow["nodes"][f"extra{rng.randint(0, 3)}"] = node(rng, flow["nodes"])


async def mended(folder: Path, rng: Random) -> None:
    flow, child, file = workflow(rng), copy.deepcopy(CHILD), folder / "flow.json"
    code = OPERATORS

    def write(flow: dict[str, Any], child: dict[str, Any]) -> None:
        file.write_text(json.dumps(flow))
        (folder / "child.json").write_text(json.dumps(child))
        (folder / "ops.py").write_text(code)

    async with Symphony.open(folder / "home") as symphony:
        write(flow, child)
        earlier = (await (await symphony.start(file, cache=False)).result()).run_id
        for _ in range(CHANGES):
            changed = copy.deepcopy(flow), copy.deepcopy(child)
            for _ in range(rng.randint(1, 2)):
                change(rng, *changed)
            write(*changed)
            try:
                symphony.prepare(file)
            except WorkflowInvalid:
                continue
            flow, child = changed
            if rng.random() < 0.5:
                code = re.sub(rf"\b({rng.choice('ab')})\d", rf"\g<1>{rng.randint(0, 3)}", code)
                (folder / "ops.py").write_text(code)
            if rng.random() < 0.4:  # results of several times come together
                first = rng.sample(list(flow["nodes"]), rng.randint(0, 1))
                first = [one for one in first if one in symphony.runs.result(earlier).nodes]
                mixed = await symphony.rerun(earlier, first=first, cache=False)
                earlier = (await mixed.result()).run_id
            again = await symphony.rerun(earlier, file=file, cache=False)
            result = await again.result()
            new = await (await symphony.start(file, cache=False)).result()
            assert (result.status, result.outputs) == (new.status, new.outputs), again.reused
            earlier = result.run_id


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_mended_a_rerun_ends_as_a_new_run_would(seed: int, tmp_path: Path) -> None:
    asyncio.run(mended(tmp_path, Random(seed)))
