"""A value with a secret goes from node to node as it is, however large; no file of the home holds it."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from tests.support.commands import CommandLine, kill
from tests.support.waiting import wait_for

from symphony.app import Symphony
from symphony.commons.errors import SymphonyError
from symphony.ports.runs import RunResult
from symphony.ports.values import INLINE_BYTES_MAX, ArtifactRef, Value
from symphony.workflow import loads

pytestmark = pytest.mark.slow

TOKEN = "tOk3n/with+20'chars!"
BIG = 40_000


def leaks(home: Path, token: str = TOKEN) -> list[str]:
    files = [path for path in home.rglob("*") if path.is_file()]
    assert len(files) > 1
    return [str(path.relative_to(home)) for path in files if token.encode() in path.read_bytes()]


class Desk(CommandLine):
    """A home and a folder; runs in this process, as a new process would find them each time."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, TOKEN=TOKEN)
        self.text = f"<{TOKEN}>" + "x" * BIG + TOKEN

    def symphony(self) -> Symphony:
        return Symphony.open(self.home)

    async def run(self, text: str, token: str = TOKEN, **inputs: Value) -> RunResult:
        flow = loads(f"name: case\nenv: [TOKEN]\n{text}", "yaml")
        async with self.symphony() as symphony:
            handle = await symphony.start(flow, inputs, cwd=self.folder, environment={"TOKEN": token})
            result = await handle.result()
            whole = {
                n: handle.load(v) if isinstance(v, ArtifactRef) else v for n, v in result.outputs.items()
            }
        assert result.status == "succeeded", result.error
        assert leaks(self.home, token) == []
        self.whole: Mapping[str, Value] = whole
        return result

    def told(self, *words: str, status: int = 0, token: str | None = TOKEN) -> dict[str, Any]:
        """What a process that knows `token` prints as JSON."""
        ended = self.call(*words, "--json", TOKEN=token)
        assert ended.status == status, ended
        assert TOKEN not in ended.err
        found = json.loads(ended.out)
        assert isinstance(found, dict)
        return found

    def written(self, name: str = "out") -> str:
        return (self.folder / name).read_text(encoding="utf-8")


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setenv("TOKEN", TOKEN)
    return Desk(tmp_path)


PADDED = '"<${{ env.TOKEN }}>${{ inputs.pad }}${{ env.TOKEN }}"'
PAD = f"inputs:\n  pad: {{type: string, default: {'x' * BIG}}}\n"


@pytest.mark.parametrize("artifact", ["", ", artifact: {name: kept, content_type: text/plain}"])
async def test_a_large_result_with_a_secret_is_written_as_it_is(desk: Desk, artifact: str) -> None:
    result = await desk.run(
        f"{PAD}nodes:\n"
        f"  make: {{operator: debug.value, inputs: {{value: {PADDED}}}{artifact}}}\n"
        "  write: {operator: fs.write, inputs: {path: out, text: '${{ make.result }}'}}\n"
        "outputs: {made: '${{ make.result }}'}"
    )
    assert desk.written() == desk.text
    assert desk.whole["made"] == desk.text
    ref = result.outputs["made"]
    assert isinstance(ref, ArtifactRef)
    async with desk.symphony() as symphony:  # what people see
        assert symphony.artifacts.get(ref.digest).decode() == "<***>" + "x" * BIG + "***"


SHAPES: dict[str, str] = {
    "a list": f"[1, {PADDED}, null]",
    "a map with a secret in a key": '"${{ {inputs.pad + env.TOKEN: [env.TOKEN], \'plain\': [\'\']} }}"',
    "bytes": '"${{ bytes(env.TOKEN + inputs.pad + env.TOKEN) }}"',
    "base64 of it": '"${{ inputs.pad }}${{ inputs.base64 }}"',
    "a url": '"${{ inputs.pad }}https://x/?q=${{ inputs.url }}"',
    "many of them": '"${{ inputs.pad }}' + "${{ env.TOKEN }}" * 300 + '"',
}  # fmt: skip


@pytest.mark.parametrize("value", SHAPES.values(), ids=SHAPES)
async def test_whatever_holds_it_the_next_node_gets_the_value(desk: Desk, value: str) -> None:
    spelled = {"base64": base64.b64encode(TOKEN.encode()).decode(), "url": quote(TOKEN)}
    await desk.run(
        f"{PAD}  base64: {{type: string}}\n  url: {{type: string}}\nnodes:\n"
        f"  make: {{operator: debug.value, inputs: {{value: {value}}}}}\n"
        "  small: {operator: debug.value, inputs: {value: 1}}\n"
        "  write: {operator: fs.write, inputs: {path: out, text: '${{ string(size(make.result)) }}'}}\n"
        f"outputs: {{made: '${{{{ make.result }}}}', straight: {value}}}",
        **spelled,
    )
    assert desk.whole["made"] == desk.whole["straight"]
    assert "***" not in repr(desk.whole["made"])
    assert any(text in str(desk.whole["made"]) for text in (TOKEN, *spelled.values()))
    assert [leaks(desk.home, text) for text in spelled.values()] == [[], []]
    assert desk.written() == str(len(desk.whole["made"]))  # type: ignore[arg-type]


@pytest.mark.parametrize("length", [INLINE_BYTES_MAX - 1, INLINE_BYTES_MAX, INLINE_BYTES_MAX + 1])
async def test_at_the_bound_of_what_travels_inline_nothing_changes(desk: Desk, length: int) -> None:
    pad = "y" * (length - len(TOKEN))
    await desk.run(
        "inputs: {pad: {type: string}}\n"
        "nodes: {make: {operator: debug.value, inputs: {value: '${{ inputs.pad + env.TOKEN }}'}}}\n"
        "outputs: {made: '${{ make.result }}'}",
        pad=pad,
    )
    assert desk.whole["made"] == pad + TOKEN


async def test_fan_outs_loops_and_sub_workflows_hand_it_on(desk: Desk) -> None:
    (desk.folder / "inner.yaml").write_text(
        "name: inner\ninputs: {given: {type: string}}\n"
        "nodes: {again: {operator: text.join, inputs: {parts: ['${{ inputs.given }}', '!']}}}\n"
        "outputs: {gave: '${{ again.result }}'}\n",
        encoding="utf-8",
    )
    (desk.folder / "flow.yaml").write_text(
        f"name: case\nenv: [TOKEN]\n{PAD}nodes:\n"
        f"  make: {{operator: debug.value, inputs: {{value: {PADDED}}}}}\n"
        "  each:\n    for_each: '[1, 2]'\n    operator: text.join\n"
        "    inputs: {parts: ['${{ make.result }}', '${{ string(item) }}']}\n"
        "  rounds:\n    control: loop\n    state: {said: '${{ make.result }}'}\n"
        "    body: {add: {operator: text.join, inputs: {parts: ['${{ state.said }}', '+']}}}\n"
        "    next: {said: add.result}\n    until: iteration == 2\n"
        "  sub: {workflow: inner.yaml, inputs: {given: '${{ rounds.said }}'}}\n"
        "  spare:\n    operator: debug.fail\n    inputs: {message: no}\n"
        "    on_error: {value: {result: '${{ make.result }}'}}\n"
        "  one: {operator: debug.value, inputs: {value: '${{ each.result[1] }}'}}\n"
        "  write: {operator: fs.write, inputs: {path: out, text: '${{ sub.gave }}'}}\n"
        "outputs: {each: '${{ each.result }}', one: '${{ one.result }}', spare: '${{ spare.result }}'}\n",
        encoding="utf-8",
    )
    async with desk.symphony() as symphony:
        handle = await symphony.start(desk.folder / "flow.yaml", cwd=desk.folder)
        result = await handle.result()
        whole = {n: handle.load(v) if isinstance(v, ArtifactRef) else v for n, v in result.outputs.items()}
    assert result.status == "succeeded", result.error
    assert desk.written() == desk.text + "+++!"
    assert whole == {"each": [desk.text + "1", desk.text + "2"], "one": desk.text + "2", "spare": desk.text}
    assert leaks(desk.home) == []


OPERATORS = """
from pathlib import Path
from typing import Any
from symphony import operator

def count(name: str) -> None:
    with Path(name).open("a") as file:
        file.write("x")

@operator("pure.make", version="1.0.0", pure=True)
def make(text: str, counter: str) -> str:
    count(counter)
    return text

@operator("write.make", version="1.0.0")
def wrote(text: str, counter: str) -> str:
    count(counter)
    return text
"""


def made(desk: Desk, operator: str = "pure.make", gate: str = "") -> str:
    (desk.folder / "ops.py").write_text(OPERATORS, encoding="utf-8")
    (desk.folder / "flow.yaml").write_text(
        f"name: case\nenv: [TOKEN]\n{PAD}nodes:\n"
        f"  make: {{operator: {operator}, inputs: {{text: {PADDED}, counter: '{desk.folder / 'made'}'}}}}\n"
        f"  gate: {{command: '{gate or 'true'}', idempotent: true, after: [make]}}\n"
        "  write: {operator: fs.write, after: [gate], inputs: {path: out, text: '${{ make.result }}'}}\n",
        encoding="utf-8",
    )
    return str(desk.folder / "flow.yaml")


def killed(desk: Desk, operator: str = "pure.make") -> None:
    """A run that was killed when its large value was there, before it was used."""
    flow = made(desk, operator, "touch begun; while [ ! -e go ]; do sleep 0.02; done")
    process = desk.start("run", flow, "--operators", "ops.py", "--json")
    wait_for(desk.folder / "begun", process)
    kill(process)
    (desk.folder / "go").touch()


def test_after_a_kill_the_value_is_what_it_was_and_is_not_made_again(desk: Desk) -> None:
    killed(desk)
    assert leaks(desk.home) == []
    desk.told("runs", "resume", "last")
    assert desk.written() == desk.text
    assert desk.written("made") == "x"
    assert leaks(desk.home) == []


@pytest.mark.parametrize("token", [None, "another-Token-of-20-chars"])
def test_without_the_secret_as_it_was_a_run_stays_as_it_is_and_says_why(
    desk: Desk, token: str | None
) -> None:
    killed(desk)
    refused = desk.told("runs", "resume", "last", token=token, status=1)
    errors = refused["errors"]
    assert isinstance(errors, list)
    assert errors[0]["code"] == "secret-missing"
    assert "TOKEN" in errors[0]["message"]
    assert ("runs rerun" in errors[0]["hint"]) == (token is not None)
    assert not (desk.folder / "out").exists()
    if token is not None:
        desk.told(*errors[0]["hint"].partition("symphony ")[2].split(), token=token)
        assert desk.written() == desk.text.replace(TOKEN, token)
        assert desk.written("made") == "xx"
        ids = [path.stem for path in (desk.home / "journal").glob("*.db")]
        desk.told("runs", "resume", min(ids))
        assert desk.written() == desk.text
        return
    desk.told("runs", "resume", "last")
    assert desk.written() == desk.text


async def test_the_result_of_a_run_that_has_ended_is_given_again_as_it_was(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await desk.run(
        f"{PAD}nodes:\n"
        f"  make: {{operator: debug.value, inputs: {{value: {PADDED}}}}}\n"
        "  small: {operator: debug.value, inputs: {value: ['${{ env.TOKEN }}', 1]}}\n"
        "outputs: {small: '${{ small.result }}', large: '${{ make.result }}'}"
    )
    async with desk.symphony() as symphony:
        handle = await symphony.resume(first.run_id)
        again = await handle.result()
        assert dict(again.outputs) == dict(first.outputs)
        assert again.outputs["small"] == [TOKEN, 1]
        large = again.outputs["large"]
        assert isinstance(large, ArtifactRef)
        assert handle.load(large) == desk.text
        assert symphony.runs.result(first.run_id).outputs["small"] == ["***", 1]  # what people see
        monkeypatch.setenv("TOKEN", "another-Token-of-20-chars")
        other = await (await symphony.resume(first.run_id)).result()
        assert other.outputs["small"] == ["***", 1]


def test_a_second_run_and_a_rerun_give_the_value_again(desk: Desk) -> None:
    flow = made(desk)
    for _ in range(2):
        desk.told("run", flow, "--operators", "ops.py")
        assert desk.written() == desk.text
        (desk.folder / "out").unlink()
    before = desk.written("made")
    desk.told("runs", "rerun", "last", "--from", "write")
    assert desk.written() == desk.text
    assert desk.written("made") == before
    (desk.folder / "out").unlink()
    first = desk.json("runs", "list")[-1]["run_id"]
    desk.told("runs", "rerun", first, "--from", "write")
    assert desk.written() == desk.text
    assert leaks(desk.home) == []


def test_a_rerun_with_another_secret_makes_again_what_held_the_old_one(desk: Desk) -> None:
    desk.told("run", made(desk), "--operators", "ops.py")
    (desk.folder / "out").unlink()
    desk.told("runs", "rerun", "last", "--from", "write", token="another-Token-of-20-chars")
    assert desk.written() == desk.text.replace(TOKEN, "another-Token-of-20-chars")
    assert desk.written("made") == "xx"


def test_a_rerun_with_another_secret_is_refused_if_its_maker_must_not_run_twice(desk: Desk) -> None:
    desk.told("run", made(desk, "write.make"), "--operators", "ops.py")
    refused = desk.told("runs", "rerun", "last", "--from", "write", token="another-Token-12", status=1)
    errors = refused["errors"]
    assert isinstance(errors, list)
    assert "make" in errors[0]["message"]
    assert "--from make" in errors[0]["hint"]
    assert desk.written("made") == "x"
    desk.told("runs", "rerun", "last", "--from", "make", token="another-Token-12")
    assert desk.written() == desk.text.replace(TOKEN, "another-Token-12")


async def test_a_rerun_with_another_secret_makes_elements_and_what_follows_again(desk: Desk) -> None:
    (desk.folder / "ops.py").write_text(OPERATORS, encoding="utf-8")
    flow = desk.folder / "flow.yaml"
    counter = desk.folder / "made"
    flow.write_text(
        f"name: case\nenv: [TOKEN]\n{PAD}nodes:\n"
        "  each:\n    for_each: [plain, secret, other]\n    operator: pure.make\n"
        "    inputs:\n      text: \"${{ item == 'secret' ? env.TOKEN + inputs.pad : item }}\"\n"
        f"      counter: '{counter}'\n"
        f"  apart: {{operator: pure.make, inputs: {{text: apart, counter: '{counter}'}}}}\n"
        "  one: {operator: debug.value, inputs: {value: '${{ each.result[1] }}'}}\n"
        "  write: {operator: fs.write, inputs: {path: out, text: '${{ one.result }}'}}\n"
        "outputs: {apart: '${{ apart.result }}'}\n",
        encoding="utf-8",
    )
    async with Symphony.open(desk.home, operators=[desk.folder / "ops.py"]) as symphony:
        first = await (await symphony.start(flow, cwd=desk.folder, cache=False)).result()
        assert first.status == "succeeded", first.error
        assert desk.written() == TOKEN + "x" * BIG
        assert desk.written("made") == "xxxx"
        again = await (
            await symphony.rerun(first.run_id, first="write", environment={"TOKEN": "another-Token-12"})
        ).result()
    assert again.status == "succeeded", again.error
    assert desk.written() == "another-Token-12" + "x" * BIG
    assert desk.written("made") == "xxxxx"
    assert leaks(desk.home) == leaks(desk.home, "another-Token-12") == []


@pytest.mark.parametrize("inside", ["sub", "rounds"])
async def test_a_rerun_with_another_secret_goes_into_what_holds_the_old_one(desk: Desk, inside: str) -> None:
    (desk.folder / "inner.yaml").write_text(
        "name: inner\ninputs: {given: {type: string}}\n"
        "nodes: {again: {operator: text.join, inputs: {parts: ['${{ inputs.given }}', '!']}}}\n"
        "outputs: {result: '${{ again.result }}'}\n",
        encoding="utf-8",
    )
    shapes = {
        "sub": f"{{workflow: inner.yaml, inputs: {{given: {PADDED}}}}}",
        "rounds": f"{{control: loop, state: {{result: {PADDED}}}, next: {{result: add.result}},"
        " body: {add: {operator: text.join, inputs: {parts: ['${{ state.result }}', '!']}}}, until: 'true'}",
    }
    flow = desk.folder / "flow.yaml"
    flow.write_text(
        f"name: case\nenv: [TOKEN]\n{PAD}nodes:\n  held: {shapes[inside]}\n"
        "  write: {operator: fs.write, inputs: {path: out, text: '${{ held.result }}'}}\n",
        encoding="utf-8",
    )
    async with desk.symphony() as symphony:
        first = await (await symphony.start(flow, cwd=desk.folder)).result()
        assert first.status == "succeeded", first.error
        assert desk.written() == desk.text + "!"
        (desk.folder / "out").unlink()
        same = await (await symphony.rerun(first.run_id, first="write")).result()
        assert same.status == "succeeded", same.error
        assert desk.written() == desk.text + "!"
        (desk.folder / "out").unlink()
        other = await (
            await symphony.rerun(first.run_id, first="write", environment={"TOKEN": "another-Token-12"})
        ).result()
        assert other.status == "succeeded", other.error
    assert desk.written() == desk.text.replace(TOKEN, "another-Token-12") + "!"


async def test_a_rerun_with_another_secret_repeats_nothing_inside_that_must_not_run_twice(desk: Desk) -> None:
    (desk.folder / "ops.py").write_text(OPERATORS, encoding="utf-8")
    (desk.folder / "inner.yaml").write_text(
        "name: inner\ninputs: {given: {type: string}, counter: {type: string}}\nnodes:\n"
        "  told: {operator: write.make, inputs: {text: plain, counter: '${{ inputs.counter }}'}}\n"
        "  again: {operator: text.join, inputs: {parts: ['${{ inputs.given }}', '${{ told.result }}']}}\n"
        "outputs: {result: '${{ again.result }}'}\n",
        encoding="utf-8",
    )
    flow = desk.folder / "flow.yaml"
    flow.write_text(
        f"name: case\nenv: [TOKEN]\n{PAD}nodes:\n"
        f"  sub: {{workflow: inner.yaml, inputs: {{given: {PADDED}, counter: '{desk.folder / 'made'}'}}}}\n"
        "  write: {operator: fs.write, inputs: {path: out, text: '${{ sub.result }}'}}\n",
        encoding="utf-8",
    )
    async with Symphony.open(desk.home, operators=[desk.folder / "ops.py"]) as symphony:
        first = await (await symphony.start(flow, cwd=desk.folder)).result()
        assert first.status == "succeeded", first.error
        with pytest.raises(SymphonyError, match=r"sub\.told must not run twice") as refused:
            await symphony.rerun(first.run_id, first="write", environment={"TOKEN": "another-Token-12"})
    assert refused.value.code == "secret-missing"
    assert desk.written("made") == "x"
