"""Running again where an artifact of the old run is gone or has another size."""

import asyncio
import hashlib
from pathlib import Path

import pytest
from tests.support.packs import lose, old_object

from symphony import operator
from symphony.app import Symphony
from symphony.commons.errors import SymphonyError
from symphony.pit.artifacts import FileArtifacts
from symphony.ports.runs import RunStatus
from symphony.ports.steering import ReuseSummary
from symphony.ports.values import Digest
from symphony.workflow import loads

RAN: list[str] = []


@operator("lost.read", version="1.0.0", pure=True)
async def read(name: str, count: int = 0) -> str:
    """Note that it ran; give a text of 100,000 characters."""
    RAN.append(name)
    return name[0] * 100_000


@operator("lost.send", version="1.0.0", pure=False)
async def send(name: str) -> str:
    """Note that it ran; give a text of 100,000 characters. It must not run twice."""
    RAN.append(name)
    return name[0] * 100_000


OPERATORS = [read, send]
PURE = """
name: pure
nodes:
  make: {operator: lost.read, inputs: {name: make}, cache: off}
  use: {operator: lost.read, inputs: {name: use, count: "${{ size(make.result) }}"}, cache: off}
  other: {operator: lost.read, inputs: {name: other}, cache: off}
"""
ELEMENTS = """
name: elements
nodes:
  make: {operator: lost.read, for_each: "['a', 'b', 'c']", inputs: {name: "${{ item }}"}, cache: off}
  other: {operator: lost.read, inputs: {name: other}, cache: off}
"""
EFFECT = """
name: effect
nodes:
  make: {operator: lost.send, inputs: {name: make}}
  other: {operator: lost.read, inputs: {name: other}, cache: off}
"""


def _body(letter: str) -> bytes:
    """What is stored of a text of 100,000 characters."""
    return letter.encode() * 100_000


def _digest(letter: str) -> Digest:
    return Digest(hashlib.sha256(_body(letter)).hexdigest())


def _again(
    home: Path, text: str, letter: str, *, first: str | None = None, short: bool = False
) -> tuple[list[str], ReuseSummary]:
    """Run, lose the body that begins with `letter`, run again: what ran, and what was said of it."""

    async def whole() -> tuple[list[str], ReuseSummary]:
        RAN.clear()
        async with Symphony.open(home, operators=OPERATORS) as symphony:
            old = await (await symphony.start(loads(text, "yaml"))).result()
            assert old.status is RunStatus.SUCCEEDED
            RAN.clear()
            lose(home / "artifacts", _digest(letter))
            if short:
                path = old_object(home / "artifacts", _body(letter))
                path.chmod(0o600)
                path.write_bytes(b"short")
            run = await symphony.rerun(old.run_id, first=first)
            assert (await run.result()).status is RunStatus.SUCCEEDED
            assert run.reused is not None
            return list(RAN), run.reused

    return asyncio.run(whole())


@pytest.mark.parametrize("short", [False, True], ids=["missing", "of another size"])
def test_what_made_a_lost_artifact_runs_again_and_says_why(tmp_path: Path, short: bool) -> None:
    ran, summary = _again(tmp_path, PURE, "m", short=short)
    assert ran == ["make", "use"]
    assert summary.again["make"] == "its artifact is damaged or missing"
    assert "other" not in summary.again
    assert FileArtifacts(tmp_path / "artifacts").get(_digest("m")) == _body("m")


def test_what_is_asked_for_runs_behind_what_made_its_lost_input(tmp_path: Path) -> None:
    assert _again(tmp_path, PURE, "m", first="use")[0] == ["make", "use"]


def test_of_a_fan_out_only_the_element_whose_artifact_is_lost_runs_again(tmp_path: Path) -> None:
    assert _again(tmp_path, ELEMENTS, "b")[0] == ["b"]


def test_an_effect_whose_artifact_is_lost_is_not_repeated_unasked(tmp_path: Path) -> None:
    with pytest.raises(SymphonyError) as caught:
        _again(tmp_path, EFFECT, "m")
    assert caught.value.code == "artifact-missing"
    assert caught.value.message == "make must not run twice, and its artifact is damaged or missing"
    assert "--from make" in (caught.value.hint or "")
    assert RAN == []


def test_an_effect_whose_artifact_is_lost_runs_again_when_it_is_asked_for(tmp_path: Path) -> None:
    assert _again(tmp_path, EFFECT, "m", first="make")[0] == ["make"]
