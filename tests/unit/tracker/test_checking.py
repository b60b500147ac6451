"""Outputs against their declared types: the same on every way from the operator to the journal."""

import asyncio
import json
from typing import TypedDict

import pytest

from symphony import operator
from symphony.app import Symphony
from symphony.pit.tracker.nodes.checking import CheckedValues, check_inputs
from symphony.pit.tracker.nodes.work import ModelWork
from symphony.ports.runs import RunResult
from symphony.ports.values import StoredValue
from symphony.workflow import loads
from symphony.workflow.checks import check_of
from symphony.workflow.types import parse_type


class Counts(TypedDict):
    total: float
    names: list[str]


@operator("test.thread", version="1.0.0", pure=True)
def in_thread(total: int, names: list[str]) -> Counts:
    """Give an integer where a number is declared."""
    return Counts(total=total, names=names)


@operator("test.task", version="1.0.0", pure=True, inline=False)
async def in_task(total: int, names: list[str]) -> Counts:
    """Give an integer where a number is declared."""
    return Counts(total=total, names=names)


@operator("test.inline", version="1.0.0", pure=True)
async def inline(total: int, names: list[str]) -> Counts:
    """Give an integer where a number is declared."""
    return Counts(total=total, names=names)


def ran(name: str, total: int, count: int) -> RunResult:
    node = {"operator": name, "inputs": {"total": total, "names": ["a" * 100] * count}}
    document = {"symphony": 1, "name": "t", "nodes": {"a": node}, "outputs": {"a": "${{ a.total }}"}}

    async def whole() -> RunResult:
        async with Symphony.open(memory=True, operators=[in_thread, in_task, inline]) as symphony:
            return await (await symphony.start(loads(json.dumps(document), "json"))).result()

    return asyncio.run(whole())


@pytest.mark.parametrize("count", [0, 1, 1_000])
@pytest.mark.parametrize("name", ["test.thread", "test.task", "test.inline"])
def test_an_integer_in_a_port_of_numbers_is_a_double(name: str, count: int) -> None:
    for total in (3, -(2**53), 2**62):
        found = ran(name, total, count).outputs["a"]
        assert (found, type(found)) == (float(total), float)


@pytest.mark.parametrize("count", [0, 1_000])
@pytest.mark.parametrize("name", ["test.thread", "test.task", "test.inline"])
def test_an_integer_that_a_double_would_change_is_refused(name: str, count: int) -> None:
    for total in (2**53 + 1, 2**63 - 1):
        error = ran(name, total, count).nodes["a"].error
        assert error is not None
        assert (error.code, str(total) in error.message) == ("type-mismatch", True)


def test_a_list_that_all_elements_share_is_checked_once() -> None:
    calls = 0

    def check(value: StoredValue) -> str | None:
        nonlocal calls
        calls += 1
        return None if value else "nothing"

    shared, others = list(range(100)), [list(range(100)) for _ in range(20)]
    checked = CheckedValues()
    node = loads("name: w\nnodes: {n: {operator: debug.value}}", "yaml").nodes["n"]
    work = ModelWork(name="n", node=node, inputs={}, input_checks={"all": check}, model="m")  # fmt: skip
    for _ in range(50):
        check_inputs(work, {"all": shared}, checked)
    assert calls == 1
    for other in others:  # which are not remembered for ever
        check_inputs(work, {"all": other}, checked)
    check_inputs(work, {"all": shared}, checked)
    assert calls == 22


def test_what_fits_one_port_is_checked_for_another() -> None:
    checked, value = CheckedValues(), list(range(100))
    integers, texts = check_of(parse_type("list[integer]")), check_of(parse_type("list[string]"))
    checked.note(value, integers)
    assert checked.fits(value, integers)
    assert not checked.fits(value, texts)
    assert not checked.fits([*value], integers)
