"""What is hidden, and what is said of secrets that are not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from symphony.app import Symphony
from symphony.commons.settings import Config, ModelConfig
from symphony.workflow import loads

pytestmark = pytest.mark.slow

KEY = "sk-a-key-of-a-model"
KEYED = Config(models={"mine": ModelConfig(provider="openai", model="m", key="MY_KEY")})


def test_a_secret_too_short_to_be_hidden_is_told(fault: Callable[[str], Any]) -> None:
    case = fault("short-secret-kept-silently")
    done = case.symphony("run", "flow.yaml", "--json", env={"PIN": "4711"})
    assert done.returncode == 0
    assert "too short to be hidden" in done.stderr
    assert "PIN" in done.stderr
    assert "4711" not in done.stderr
    again = case.symphony("runs", "rerun", "last", "--json", env={"PIN": "4711"})
    assert "too short to be hidden" in again.stderr


@pytest.mark.parametrize("pin", ["471147", ""])
def test_nothing_is_said_of_a_secret_that_is_hidden_or_empty(fault: Callable[[str], Any], pin: str) -> None:
    done = fault("short-secret-kept-silently").symphony("run", "flow.yaml", "--json", env={"PIN": pin})
    assert done.returncode == 0
    assert "hidden" not in done.stderr


@pytest.mark.slow
def test_the_command_line_names_a_variable_that_is_not_set(fault: Callable[[str], Any]) -> None:
    done = fault("short-secret-kept-silently").symphony("run", "flow.yaml", "--quiet")
    assert "warning: not set: PIN. Commands and texts that read it get `null`" in done.stderr


async def test_who_starts_a_run_in_python_can_ask_what_is_not_hidden(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = loads("name: c\nenv: [PIN, LANG, NONE]\nnodes: {a: {operator: debug.value}}", "yaml")
    monkeypatch.setenv("LANG", "C")
    async with Symphony.open(memory=True) as symphony:
        handle = await symphony.start(flow, cwd=tmp_path, environment={"PIN": "4711"})
        await handle.result()
    assert handle.unhidden == ("PIN",)


async def test_the_key_of_a_model_is_hidden_in_a_run_that_asks_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    home = tmp_path / "home"
    flow = loads(
        f"""
name: c
inputs: {{given: {{type: string}}}}
nodes:
  said: {{command: 'echo "$GIVEN"; echo "$GIVEN" >&2', inputs: {{given: "${{{{ inputs.given }}}}"}}}}
  refused: {{operator: debug.fail, inputs: {{message: "${{{{ inputs.given }}}}"}}, on_error: skip}}
  large: {{operator: debug.value, inputs: {{value: "${{{{ inputs.given }}}}{"x" * 40_000}"}}}}
outputs: {{said: "${{{{ said.stdout }}}}", large: "${{{{ large.result }}}}"}}
""",
        "yaml",
    )
    async with Symphony.open(home, config=KEYED) as symphony:
        handle = await symphony.start(flow, {"given": KEY}, cwd=tmp_path)
        result = await handle.result()
    assert result.outputs["said"] == f"{KEY}\n"
    error = result.nodes["refused"].error
    assert error is not None
    assert error.message == "***"
    files = [path for path in home.rglob("*") if path.is_file()]
    assert [path for path in files if KEY.encode() in path.read_bytes()] == []


OPERATORS = """
import sys
from symphony import operator

def say(text: str) -> str:
    half = len(text) // 2
    sys.stdout.write("x" * (65_536 - half) + text[:half])
    sys.stdout.flush()
    sys.stdout.write(text[half:] + "y\\n")
    print("said", text, sep="=")
    return text

thread = operator("say.thread", version="1.0.0")(say)
worker = operator("say.worker", version="1.0.0", cpu=True)(say)
"""


async def test_no_cut_lets_a_secret_into_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token, home = "hunter2-hunter3-hunter4", tmp_path / "home"
    monkeypatch.setenv("TOKEN", token)
    (tmp_path / "ops.py").write_text(OPERATORS, encoding="utf-8")
    long = "".join(
        f"""  c{n}: {{command: 'head -c {n} /dev/zero | tr "\\\\0" x; printf %s "$T" | head -c 9; sleep 0; """
        f"""printf %s "$T" | tail -c +10; echo y', inputs: {{t: "${{{{ env.TOKEN }}}}"}}}}\n"""
        for n in (0, 65_520, 65_530, 65_536, 131_060)
    )
    flow = loads(
        f"name: c\nenv: [TOKEN]\nnodes:\n{long}"
        '  t: {operator: say.thread, inputs: {text: "${{ string(env.TOKEN) }}"}}\n'
        '  w: {operator: say.worker, inputs: {text: "${{ string(env.TOKEN) }}"}}\n'
        'outputs: {t: "${{ t.result }}", w: "${{ w.result }}", c: "${{ c131060.stdout }}"}\n',
        "yaml",
    )
    async with Symphony.open(home, operators=[tmp_path / "ops.py"]) as symphony:
        result = await (await symphony.start(flow, cwd=tmp_path)).result()
        assert result.status == "succeeded", result.error
        lines = {node: [line.text for line in symphony.runs.logs(result.run_id, node)] for node in flow.nodes}
    assert result.outputs["t"] == result.outputs["w"] == token
    half = "x" * (65_536 - len(token) // 2)
    assert {node: "".join(texts) for node, texts in lines.items()} == {
        **{f"c{n}": "x" * n + "***y" for n in (0, 65_520, 65_530, 65_536, 131_060)},
        "t": f"{half}***ysaid=***",
        "w": f"{half}***ysaid=***",
    }
    assert lines["t"][-1] == lines["w"][-1] == "said=***"
    for path in home.rglob("*"):
        body = path.read_bytes() if path.is_file() else b""
        assert token.encode() not in body, path
        assert token[4:].encode() not in body, path


async def test_no_error_that_is_cut_shows_a_part_of_a_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, home = "hunter2-hunter3-hunter4", tmp_path / "home"
    monkeypatch.setenv("TOKEN", token)
    (tmp_path / "f.py").write_text("def f() -> int:\n    return 1\n", encoding="utf-8")
    token_is, long, short = "${{ env.TOKEN }}", "0" * 190, "0" * 48
    nodes: dict[str, dict[str, object]] = {
        "end": {"command": f'printf "{long}%s" "$T" >&2; exit 1', "inputs": {"t": token_is}},
        "begin": {"command": 'printf "%s%01990d" "$T" 0 >&2; exit 1', "inputs": {"t": token_is}},
        "glob": {
            "operator": "fs.glob",
            "inputs": {"root": ".", "patterns": [f"/{short}{short[:15]}{token_is}"]},
        },
        "call": {
            "operator": "python.call",
            "inputs": {"file": str(tmp_path / "f.py"), "function": f"{short}{token_is}"},
        },
        "host": {"operator": "http.get", "inputs": {"url": f"x:{short}{short[:40]}{token_is}"}},
        "wait": {"control": "delay", "until": f"'{short}' + env.TOKEN"},
    }
    document = {
        "name": "c",
        "env": ["TOKEN"],
        "nodes": {n: {**v, "on_error": "skip"} for n, v in nodes.items()},
    }
    flow = loads(json.dumps(document), "json")
    async with Symphony.open(home) as symphony:
        handle = await symphony.start(flow, cwd=tmp_path)
        result = await handle.result()
    messages = {name: node.error.message for name, node in result.nodes.items() if node.error is not None}
    assert messages.keys() == nodes.keys()
    assert all("***" in message for message in messages.values()), messages
    assert "unter" not in str(messages)
    parts = (b"hunter2", b"hunter4")
    files = [path for path in home.rglob("*") if path.is_file()]
    assert [path for path in files if any(part in path.read_bytes() for part in parts)] == []


async def test_a_variable_that_is_not_set_is_told_where_it_becomes_the_text_null(tmp_path: Path) -> None:
    flow = loads(
        """
name: c
env: [TOKEN, HEADER, TESTED, WHOLE, UNUSED, SET, INSIDE]
nodes:
  a: {command: 'true', inputs: {token: "${{ env.TOKEN }}", set: "${{env.SET}}"}}
  b: {operator: debug.value, inputs: {value: {authorization: "Bearer ${{ env.HEADER }}"}}}
  c: {operator: debug.value, inputs: {value: "${{ env.WHOLE }}"}}
  d: {command: 'true', inputs: {n: "${{ env.TESTED == null ? 'none' : env.TESTED }}"}}
  e:
    control: loop
    state: {n: 0}
    body: {f: {command: 'true', inputs: {x: "${{ env.INSIDE }}"}}}
    next: {n: state.n + 1}
    until: state.n > 0
""",
        "yaml",
    )
    async with Symphony.open(memory=True) as symphony:
        handle = await symphony.start(flow, cwd=tmp_path, environment={"SET": "", "PATH": "/usr/bin:/bin"})
        await handle.result()
        assert handle.unset == ("TOKEN", "HEADER", "INSIDE")
        handle = await symphony.start(
            flow,
            cwd=tmp_path,
            environment=dict.fromkeys(
                ("TOKEN", "HEADER", "TESTED", "WHOLE", "UNUSED", "SET", "INSIDE"), "value of it"
            ),
        )
        await handle.result()
        assert handle.unset == ()
