"""Reruns know which code made each result, whatever runs it was taken over from."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from symphony import RunStatus, Symphony
from symphony.cli.views.reusing import changed_code_text, stale_text
from symphony.ports.steering import ReuseSummary

OPS = """
from pathlib import Path
from symphony import operator

OUT = Path(__file__).with_name("out.txt")

@operator("my.calc", version="1.0.0", pure=True)
def calc(x: int) -> int:
    return plus(x)

def plus(x: int) -> int:
    return x + 1

@operator("my.send", version="1.0.0", pure=False)
def send(x: int) -> int:
    if x == 2:
        raise RuntimeError("no")
    with OUT.open("a") as file:
        file.write(f"{x} ")
    return x
"""
MENDED = ("x == 2", "x == -1")
MAIL = """
name: mail
operators: [ops.py]
nodes:
  a: {operator: my.calc, inputs: {x: 1}}
  z: {operator: my.send, inputs: {x: '${{ a.result }}'}}
outputs: {r: '${{ z.result }}'}
"""
MANY = """
name: many
operators: [ops.py]
nodes:
  z: {operator: my.send, for_each: [1, 2, 3], concurrency: 1, on_error: skip, inputs: {x: '${{ item }}'}}
outputs: {r: '${{ z.result }}'}
"""


class Desk:
    """A workflow and its operators, which are changed between runs in one home."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.file = folder, folder / "flow.yaml"
        self.stale: Mapping[str, tuple[str, ...]] = {}
        self.again: Mapping[str, str] = {}
        self.reused: ReuseSummary | None = None
        (folder / "ops.py").write_text(OPS, encoding="utf-8")

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text(encoding="utf-8")
        assert old in text
        (self.folder / name).write_text(text.replace(old, new), encoding="utf-8")

    def sent(self) -> str:
        """What was sent since the last look."""
        file = self.folder / "out.txt"
        text = file.read_text(encoding="utf-8").strip() if file.exists() else ""
        file.unlink(missing_ok=True)
        return text

    def run(self, text: str) -> RunStatus:
        self.file.write_text(text, encoding="utf-8")
        return asyncio.run(self._run())

    async def _run(self) -> RunStatus:
        async with Symphony.open(self.folder / "home") as symphony:
            return (await (await symphony.start(self.file, cache=False)).result()).status

    def rerun(self, run: str = "last", *, file: bool = True) -> str:
        """What is sent by a rerun."""
        return asyncio.run(self._rerun(run, file=file))

    def foreseen(self, run: str) -> Mapping[str, str]:
        """Why which nodes would run again."""
        return asyncio.run(self._foreseen(run))

    async def _foreseen(self, run: str) -> Mapping[str, str]:
        async with Symphony.open(self.folder / "home") as symphony:
            plan = symphony.plan_rerun(run, file=self.file)
            return {name: node.why for name, node in plan.nodes.items()}

    async def _rerun(self, run: str, *, file: bool) -> str:
        async with Symphony.open(self.folder / "home") as symphony:
            given = self.file if file else None
            foreseen = symphony.plan_rerun(run, file=given)
            handle = await symphony.rerun(run, file=given, cache=False)
            result = await handle.result()
            assert result.status is RunStatus.SUCCEEDED, result.error
            assert handle.reused is not None
            self.reused, self.again = handle.reused, handle.reused.again
            self.stale = {name: one.nodes for name, one in handle.reused.stale.items()}
            assert foreseen.stale == handle.reused.stale
        return self.sent()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_an_effect_that_a_rerun_mended_is_not_done_again_by_the_next(desk: Desk) -> None:
    assert desk.run(MAIL) is RunStatus.FAILED
    desk.change("ops.py", *MENDED)
    assert desk.rerun(file=False) == "2"
    assert desk.rerun() == ""
    assert desk.again == {}
    assert desk.rerun() == ""
    desk.change("ops.py", "file.write(f", "file.write('to: ' + f")
    assert desk.rerun() == "to: 2"
    assert desk.again == {"z": "changed: the code of my.send"}
    assert desk.rerun() == ""


def test_elements_are_reused_by_the_code_that_each_ran_with(desk: Desk) -> None:
    desk.run(MANY)
    assert desk.sent() == "1 3"
    desk.change("ops.py", *MENDED)
    assert desk.rerun(file=False) == "2"
    assert desk.stale == {"my.send": ("z",)}
    assert desk.rerun(file=False) == ""
    desk.change("flow.yaml", "[1, 2, 3]", "[1, 2, 3, 4]")
    assert desk.rerun() == "1 3 4"
    assert desk.again == {"z": "changed: for_each, the code of my.send; 1 of 4 elements new, 2 of 4 again"}
    desk.change("flow.yaml", "[1, 2, 3, 4]", "[1, 2, 3, 4, 5]")
    assert desk.rerun() == "5"
    assert desk.again == {"z": "changed: for_each; 1 of 5 elements new"}
    assert desk.rerun() == ""


def test_code_that_is_put_back_is_that_of_what_it_made(desk: Desk) -> None:
    desk.change("ops.py", *MENDED)
    desk.run(MANY)
    assert desk.sent() == "1 2 3"
    desk.change("ops.py", "return plus(x)", "return plus(x) + 1")
    assert desk.rerun() == ""
    desk.change("ops.py", "as file:", "as file:  # sent")
    assert desk.rerun(file=False) == ""
    desk.change("ops.py", "as file:  # sent", "as file:")
    assert desk.rerun() == ""


def test_results_of_code_that_has_changed_are_reused_and_that_is_told(desk: Desk) -> None:
    desk.change("ops.py", *MENDED)
    desk.run(MAIL)
    desk.sent()
    desk.change("ops.py", "x + 1", "x + 10")
    assert desk.rerun(file=False) == ""
    assert desk.stale == {"my.calc": ("a",)}
    assert desk.reused is not None
    assert stale_text(desk.reused.stale, lambda _: "mail-1") == (
        "warning: my.calc has changed since run mail-1: its results there are reused; "
        "--from a runs it again, --file FILE all that changed"
    )
    assert desk.rerun() == "11"
    assert desk.again == {"a": "changed: the code of my.calc", "z": "it depends on what runs again"}
    assert desk.stale == {}


def test_a_run_that_goes_on_with_other_code_says_so_and_does_not_vouch_for_it(desk: Desk) -> None:
    desk.change("ops.py", *MENDED)
    asked = MAIL.replace("outputs:", "  ok: {control: approval, message: 'go?', after: [z]}\noutputs:")
    assert desk.run(asked) is RunStatus.WAITING
    desk.sent()
    desk.change("ops.py", "x + 1", "x + 10")
    asyncio.run(_go_on(desk))
    assert desk.foreseen("last") == {
        "a": "changed: it is not known what my.calc was",
        "z": "it depends on what runs again",
        "ok": "it depends on what runs again",
    }


async def _go_on(desk: Desk) -> None:
    async with Symphony.open(desk.folder / "home") as symphony:
        symphony.runs.answer("last", "ok", approved=True, by="me")
        handle = await symphony.resume("last")
        assert handle.changed_code == ["my.calc"]
        assert changed_code_text(handle.changed_code) == (
            "warning: my.calc has changed since this run began: what has ended keeps its results"
        )
        await handle.result()
