"""What a command, and every other child process, has of secrets: only what its inputs read."""

# ruff: noqa: ASYNC240  (the tests look at small files while nothing else runs)

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from symphony.app import Symphony
from symphony.commons.settings import Config, ModelConfig
from symphony.ports.runs import RunResult
from symphony.ports.values import Value
from symphony.workflow import Workflow, loads

pytestmark = pytest.mark.slow

KEYED = Config(models={"mine": ModelConfig(provider="openai", model="m", key="MY_KEY")})


async def outputs_of(flow: Workflow, folder: Path, **inputs: Value) -> dict[str, object]:
    return dict((await result_of(flow, folder, **inputs)).outputs)


async def result_of(flow: Workflow, folder: Path, **inputs: Value) -> RunResult:
    async with Symphony.open(memory=True, config=KEYED) as symphony:
        handle = await symphony.start(flow, inputs, cwd=folder)
        result = await handle.result()
    assert result.status == "succeeded", result.error
    return result


def yaml(text: str) -> Workflow:
    return loads(text, "yaml")


async def test_a_command_has_listed_variables_and_keys_only_if_an_input_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTED", "value-listed")
    monkeypatch.setenv("MY_KEY", "value-of-my-key")
    monkeypatch.setenv("OTHER", "value-other")
    flow = yaml("""
name: case
env: [LISTED, MY_KEY, HOME]
nodes:
  none: {command: 'printf %s "${LISTED-}-${MY_KEY-}-${OTHER-}-${HOME:+home}-${PATH:+path}"'}
  one: {command: 'printf %s "$X-${LISTED-}-${MY_KEY-}"', inputs: {x: "<${{ env.LISTED }}>"}}
  both:
    for_each: [1]
    command: 'printf %s "$K-$LISTED"'
    inputs: {k: "${{ env.MY_KEY }}", listed: "${{ env.LISTED + string(item) }}"}
  direct:
    operator: command
    inputs: {command: 'printf %s "${LISTED-}-$V"', environment: {v: 1}}
outputs:
  none: "${{ none.stdout }}"
  one: "${{ one.stdout }}"
  both: "${{ both.stdout }}"
  direct: "${{ direct.stdout }}"
""")
    assert await outputs_of(flow, tmp_path) == {
        "none": "--value-other-home-path",
        "one": "<value-listed>-value-listed-",
        "both": ["value-of-my-key-value-listed1"],
        "direct": "-1",
    }


async def test_a_command_in_a_loop_or_a_sub_workflow_has_no_variable_that_any_of_them_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OUTER", "value-outer")
    monkeypatch.setenv("INNER", "value-inner")
    show = "command: 'printf %s \"${OUTER-}-${INNER-}\"'"
    (tmp_path / "inner.yaml").write_text(
        f"name: inner\nenv: [INNER]\nnodes: {{c: {{{show}}}}}\noutputs: {{o: '${{{{ c.stdout }}}}'}}\n",
        encoding="utf-8",
    )
    (tmp_path / "outer.yaml").write_text(
        f"""
name: outer
env: [OUTER]
nodes:
  sub: {{workflow: inner.yaml}}
  again:
    control: loop
    state: {{said: ""}}
    body: {{c: {{{show}}}}}
    next: {{said: c.stdout}}
    until: "true"
outputs: {{sub: "${{{{ sub.o }}}}", again: "${{{{ again.said }}}}"}}
""",
        encoding="utf-8",
    )
    async with Symphony.open(memory=True, config=KEYED) as symphony:
        handle = await symphony.start(tmp_path / "outer.yaml", cwd=tmp_path)
        assert (await handle.result()).outputs == {"sub": "-", "again": "-"}


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in which git, as it is found now, writes its environment; beside it is a repository."""
    git, programs, seen = shutil.which("git"), tmp_path / "bin", tmp_path / "seen"
    programs.mkdir()
    (programs / "git").write_text(f'#!/bin/sh\nenv >> "{seen}"\nexec {git} "$@"\n', encoding="utf-8")
    (programs / "git").chmod(0o755)
    subprocess.run([str(git), "init", "-q", str(tmp_path / "repository")], check=True)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    return seen


async def test_git_has_neither_listed_variables_nor_keys(seen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTED", "value-listed")
    monkeypatch.setenv("MY_KEY", "value-of-my-key")
    flow = yaml("""
name: case
env: [LISTED]
nodes:
  files: {operator: fs.glob, inputs: {root: ".", patterns: ["*"], gitignore: true}}
  tags: {operator: git.tags, inputs: {}}
""")
    await result_of(flow, seen.parent / "repository")
    text = seen.read_text(encoding="utf-8", errors="replace")
    assert "PATH=" in text
    assert "value-listed" not in text
    assert "value-of-my-key" not in text


@pytest.mark.parametrize("name", ["LD_SDK_KEY", "LC_SECRET", "DYLD_TOKEN"])
async def test_a_secret_called_like_a_variable_of_the_loader_or_the_locale_is_withheld_as_any_other(
    name: str, seen: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "value-listed")
    monkeypatch.setenv("LC_TIME", "C")
    flow = yaml(f"""
name: case
env: [{name}, LC_TIME]
nodes:
  files: {{operator: fs.glob, inputs: {{root: ".", patterns: ["*"], gitignore: true}}}}
  none: {{command: 'printf %s "${{{name}-}}-$LC_TIME"'}}
  one: {{command: 'printf %s "$X"', inputs: {{x: "${{{{ env.{name} }}}}"}}}}
outputs: {{none: "${{{{ none.stdout }}}}", one: "${{{{ one.stdout }}}}"}}
""")
    assert await outputs_of(flow, seen.parent / "repository") == {"none": "-C", "one": "value-listed"}
    text = seen.read_text(encoding="utf-8", errors="replace")
    assert "LC_TIME=" in text
    assert "value-listed" not in text


async def test_an_operator_in_a_worker_has_the_listed_variables_in_its_context(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LISTED", "value-listed")
    (tmp_path / "ops.py").write_text(
        "from symphony import Context, operator\n"
        "@operator('look', version='1.0.0', cpu=True)\n"
        "def look(context: Context) -> str:\n"
        "    return context.environment['LISTED']\n",
        encoding="utf-8",
    )
    flow = yaml("name: c\nenv: [LISTED]\nnodes: {a: {operator: look}}\noutputs: {o: '${{ a.result }}'}")
    async with Symphony.open(memory=True, config=KEYED, operators=[tmp_path / "ops.py"]) as symphony:
        handle = await symphony.start(flow, cwd=tmp_path)
        assert (await handle.result()).outputs == {"o": "value-listed"}


def test_an_input_called_path_is_refused_before_anything_runs(fault: Callable[[str], Any]) -> None:
    case = fault("command-input-called-path")
    done = case.symphony("run", "flow.yaml", "--input", "file=flow.yaml", "--json")
    assert done.returncode == 2
    assert "reserved-name" in done.stdout + done.stderr
    assert "nodes.count.inputs.path" in done.stdout + done.stderr


def test_validate_and_run_warn_where_a_command_names_what_it_does_not_get(
    fault: Callable[[str], Any],
) -> None:
    case = fault("short-secret-kept-silently")
    (case.folder / "flow.yaml").write_text(
        "name: c\nenv: [PIN]\nnodes: {a: {command: 'echo \"$PIN ${MY_KEY:-none}\"'}}\n", encoding="utf-8"
    )
    settings = {"SYMPHONY__MODELS__MINE__PROVIDER": "openai", "SYMPHONY__MODELS__MINE__MODEL": "m"}
    settings["SYMPHONY__MODELS__MINE__KEY"] = "MY_KEY"
    for command in ("validate", "run"):
        done = case.symphony(command, "flow.yaml", env=settings)
        assert done.returncode == 0, done.stderr
        said = done.stdout + done.stderr
        assert said.count("missing-input") == 2
        assert "PIN, which is listed under env" in said
        assert "MY_KEY, which has a key or passphrase of the settings" in said


async def test_a_run_recorded_with_such_an_input_is_shown_resumed_and_rerun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = yaml("""
name: recorded
nodes:
  ask: {control: approval, message: go on?}
  count: {command: 'echo "$PATH"', inputs: {path: x y}, after: [ask]}
outputs: {n: "${{ count.stdout }}"}
""")
    home = tmp_path / "home"
    async with Symphony.open(home) as symphony:
        with monkeypatch.context() as earlier:
            earlier.setattr("symphony.workflow.validation.commands.is_vital", lambda variable: False)
            handle = await symphony.start(flow, cwd=tmp_path)
        waiting = await handle.result()
    assert waiting.status == "waiting"
    async with Symphony.open(home) as symphony:
        assert symphony.runs.result(waiting.run_id).status == "waiting"
        assert list(symphony.runs.events(waiting.run_id))
        symphony.runs.answer(waiting.run_id, "ask", approved=True)
        resumed = await (await symphony.resume(waiting.run_id)).result()
        assert resumed.outputs == {"n": "x y\n"}
        again = await (await symphony.rerun(waiting.run_id, first="count")).result()
        assert again.outputs == {"n": "x y\n"}
