"""What is hidden, and what is said of secrets that are not."""

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
