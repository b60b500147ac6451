"""Makes a home with a run of every kind, as the code of today writes it, and says what it shows.

`python make.py NAME` writes `NAME.tar.gz` and `NAME.json` beside this file. Run it before a format
changes: the test reads homes of every name with the code that came later.
"""

import json
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SECRET = "topsecret-Value/42"
FLOW = """\
name: Flow
inputs: {rows: {type: integer, default: 2000}}
nodes:
  table: {operator: debug.value, inputs: {value: {zip: 1, name: {y: 2, b: [{q: 1, a: null}]}, age: 3}}}
  known: {operator: json.parse, inputs: {text: '{"zip": 1, "name": "x", "age": 3.5}'}}
  numbers: {operator: data.range, inputs: {count: "${{ inputs.rows }}"}}
  large:
    operator: data.map
    inputs: {items: "${{ numbers.result }}", expression: "{'zip': item, 'name': 'row', 'age': item * 2}"}
  report:
    operator: data.format
    inputs: {data: "${{ table.result }}", format: json}
    artifact: {name: report, content_type: application/json}
  each:
    operator: json.parse
    for_each: '["{\\"z\\": 1, \\"a\\": 2}", "{\\"z\\": 3, \\"a\\": 4}"]'
    inputs: {text: "${{ item }}"}
  grow:
    control: loop
    state: {found: {zip: 0, age: 0}}
    until: iteration >= 2
    body: {one: {operator: debug.value, inputs: {value: {zip: "${{ state.found.zip + 1 }}", age: 7}}}}
    next: {found: one.result}
  below: {workflow: below.yaml, inputs: {told: "${{ table.result }}"}}
  chosen: {control: branch, condition: table.result.zip == 1}
  left: {operator: debug.value, inputs: {value: left}, after: [chosen.true]}
  right: {operator: debug.value, inputs: {value: right}, after: [chosen.false]}
  either: {control: merge, after: [left, right]}
  broken: {operator: debug.fail, inputs: {message: no}, on_error: {value: {result: {z: 1, a: 2}}}}
  said: {command: 'printf %s "$V"', inputs: {v: "${{ table.result }}"}, idempotent: true}
MORE
outputs:
  table: "${{ table.result }}"
  known: "${{ known.result }}"
  large: "${{ large.result }}"
  each: "${{ each.result }}"
  found: "${{ grow.found }}"
  below: "${{ below.told }}"
  either: "${{ either.result }}"
  said: "${{ said.stdout }}"
"""
BELOW = """\
name: Below
inputs: {told: {type: json}}
nodes: {same: {operator: debug.value, inputs: {value: "${{ inputs.told }}"}}}
outputs: {told: "${{ same.result }}"}
"""
WAITS = (
    "  waits: {command: 'while [ -z \"$GO_ON\" ]; do sleep 0.02; done', after: [said], idempotent: true}\n"
)
KINDS = {
    "succeeded": FLOW.replace("MORE\n", ""),
    "waiting": FLOW.replace("MORE\n", "  asked: {control: approval, message: Well?}\n"),
    "failed": FLOW.replace(
        "MORE\n", "  fails: {command: 'test -n \"$GO_ON\"', after: [said, grow, below, each, large]}\n"
    ),
    "cancelled": FLOW.replace("MORE\n", WAITS),
    "killed": FLOW.replace("MORE\n", WAITS).replace(", idempotent: true}\n  waits", "}\n  waits"),
    "stopped": FLOW.replace("MORE\n", WAITS),
    "secret": """\
name: Secret
env: [TOKEN]
nodes:
  key:
    operator: json.parse
    inputs:
      text: '{"z": 1, "${{ env.TOKEN }}": "Bearer ${{ env.TOKEN }}", "a": {"y": "${{ env.TOKEN }}", "b": 2}}'
  asked: {control: approval, message: Well?, after: [key]}
  said: {command: 'printf %s "$V"', inputs: {v: "${{ key.result }}"}, after: [asked]}
outputs: {key: "${{ key.result }}", said: "${{ said.stdout }}"}
""",
}

TOGETHER = """\
import asyncio, pathlib, sys
from symphony import Symphony

FLOW = "name: Together\\nnodes: {a: {operator: debug.value, inputs: {value: NUMBER}}}\\n"
FLOW += "outputs: {a: '${{ a.result }}'}\\n"

async def main():
    async with Symphony.open() as symphony:
        for number in range(7):
            file = pathlib.Path(sys.argv[1], f"together-{number}.yaml")
            file.write_text(FLOW.replace("NUMBER", str(number)))
            handle = await symphony.start(file)
            await handle.result()
            print(handle.run_id)

asyncio.run(main())
"""
"""Runs of one process: the first ones have a journal each, the others share one."""
ENDS = {"cancelled": None, "killed": signal.SIGKILL, "stopped": signal.SIGTERM}
"""The signal that ends a run in the middle; one without is cancelled by another process."""


def main(name: str) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder, home = Path(place), Path(place) / "home"
        environment = {k: v for k, v in os.environ.items() if not k.startswith("SYMPHONY")}
        environment |= {"SYMPHONY_HOME": str(home), "TOKEN": SECRET}
        (folder / "below.yaml").write_text(BELOW)
        runs: dict[str, str] = {}
        shown: dict[str, object] = {}

        def symphony(*words: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-P", "-m", "symphony", *words],
                cwd="/", env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            )  # fmt: skip

        for kind, text in KINDS.items():
            path = folder / f"{kind}.yaml"
            path.write_text(text.replace("name: Flow", f"name: {kind.title()}"))
            if kind in ENDS:
                runs[kind] = stopped(path, environment, ENDS[kind])
            else:
                runs[kind] = json.loads(symphony("run", str(path), "--json").stdout)["run_id"]
        done = symphony("runs", "rerun", runs["failed"], "--json")
        runs["rerun"] = json.loads(done.stdout)["run_id"]
        done = subprocess.run(
            [sys.executable, "-P", "-c", TOGETHER, str(folder)],
            cwd="/", env=environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        runs |= {f"together-{number}": run for number, run in enumerate(done.stdout.split())}
        for kind, run in runs.items():
            told = json.loads(symphony("runs", "show", run, "--json").stdout)
            statuses = {node: one["status"] for node, one in told["nodes"].items()}
            shown[kind] = {"status": told["status"], "outputs": told["outputs"], "nodes": statuses}
        with tarfile.open(HERE / f"{name}.tar.gz", "w:gz") as packed:
            packed.add(home, "home", filter=lambda one: None if one.name.endswith("-shm") else one)
        (HERE / f"{name}.json").write_text(json.dumps({"runs": runs, "shown": shown}, indent=1) + "\n")


def stopped(path: Path, environment: dict[str, str], number: signal.Signals | None) -> str:
    running = subprocess.Popen(
        [sys.executable, "-P", "-m", "symphony", "run", str(path)],
        cwd="/", env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    while True:
        shown = subprocess.run(
            [sys.executable, "-P", "-m", "symphony", "runs", "show", "last", "--json"],
            cwd="/", env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if shown.returncode == 0 and json.loads(shown.stdout)["workflow"] == path.stem.title():
            nodes = json.loads(shown.stdout)["nodes"]
            if nodes["waits"]["status"] == "running" and nodes["below"]["status"] == "succeeded":
                break
    run: str = json.loads(shown.stdout)["run_id"]
    if number is None:
        words = [sys.executable, "-P", "-m", "symphony", "runs", "cancel", run]
        subprocess.run(words, cwd="/", env=environment, stdout=subprocess.DEVNULL, check=True)
    else:
        running.send_signal(number)
    running.wait()
    return run


main(sys.argv[1])
