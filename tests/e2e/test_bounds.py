"""The worst that templates, patterns and queries can do: the run goes on, in time and in memory."""

import asyncio
import time
from pathlib import Path

import pytest
from tests.support.waiting import longest_wait

from symphony import Symphony
from symphony.ports.runs import RunStatus
from symphony.workflow import loads

pytestmark = pytest.mark.slow

SECONDS = 1
LOOPS = "{% set r = range(99999) %}{% for i in r %}{% for j in r %}{% endfor %}{% endfor %}done"
WORST = {
    "loops": ("text.render", {"text": LOOPS, "seconds": SECONDS}, "timeout"),
    "ljust": ("text.render", {"text": "{{ 'x'.ljust(3000000000) }}", "seconds": SECONDS}, "limit-exceeded"),
    "center": (
        "text.render",
        {"text": "{{ 'x' | center(3000000000) }}", "seconds": SECONDS},
        "limit-exceeded",
    ),
    "indent": (
        "text.render",
        {"text": "{{ 'a' | indent(3000000000, true) }}", "seconds": SECONDS},
        "limit-exceeded",
    ),
    "format": (
        "text.render",
        {"text": "{{ '{:>3000000000}'.format(1) }}", "seconds": SECONDS},
        "limit-exceeded",
    ),
    "percent": ("text.render", {"text": "{{ '%2000000000d' % 1 }}", "seconds": SECONDS}, "limit-exceeded"),
    "ways": ("text.regex", {"pattern": "(.*?,){25}P", "text": "1," * 40, "seconds": SECONDS}, "timeout"),
    "doubled": (
        "json.query",
        {"expression": " | ".join(["[@,@]"] * 40), "data": 1, "seconds": SECONDS},
        None,
    ),
}


@pytest.mark.parametrize("name", WORST)
async def test_the_worst_ends_in_time_and_holds_nothing_else_up(name: str, tmp_path: Path) -> None:
    operator, inputs, code = WORST[name]
    workflow = loads(_document(operator, inputs), "json")
    async with Symphony.open(tmp_path / "home") as symphony:
        # a first call, so that starting the worker is not measured
        warm = {"pattern": "(a+)+", "text": "a"}
        await (await symphony.start(loads(_document("text.regex", warm), "json"))).result()
        idle = await longest_wait(None)
        began = time.monotonic()
        handle = await symphony.start(workflow)
        ended = asyncio.ensure_future(handle.result())
        busy = await longest_wait(ended)
        took = time.monotonic() - began
        result = await ended
    idle = max(idle, 0.02)
    assert result.status is RunStatus.FAILED
    assert result.error is not None
    assert result.error.code in ((code,) if code else ("timeout", "limit-exceeded"))
    assert busy < 10 * idle, f"the loop was held for {busy:.3f} s, {idle:.3f} s when idle"
    assert took < SECONDS + 60 * idle + 2, f"{took:.1f} s"


def _document(operator: str, inputs: object) -> bytes:
    import json

    return json.dumps({"name": "W", "nodes": {"n": {"operator": operator, "inputs": inputs}}}).encode()
