import asyncio
import os
from pathlib import Path

import pytest

from symphony import operator
from symphony.app import Symphony
from symphony.commons.errors import SymphonyError
from symphony.ports.runs import RunStatus
from symphony.workflow import loads

RAN: list[str] = []


@operator("full.send", version="1.0.0")
async def send() -> str:
    """Note that it ran."""
    RAN.append("send")
    return "sent"


class _Full:
    f_bavail, f_frsize, f_blocks = 2, 4_096, 100


def test_an_effect_does_not_begin_on_a_full_disk_and_runs_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "name: full\nnodes:\n  send: {operator: full.send}\n"

    async def whole() -> None:
        RAN.clear()
        async with Symphony.open(tmp_path, operators=[send]) as symphony:
            with monkeypatch.context() as patched:
                patched.setattr(os, "statvfs", lambda _: _Full())
                run = await symphony.start(loads(text, "yaml"))
                with pytest.raises(SymphonyError) as caught:
                    await run.result()
            assert caught.value.code == "storage-full"
            assert "8192 bytes are free, and Symphony leaves 16777216 of the disk" in caught.value.message
            assert RAN == []
            stopped = symphony.runs.result(run.run_id)
            assert stopped.status is RunStatus.INTERRUPTED
            resumed = await (await symphony.resume(run.run_id)).result()
            assert resumed.status is RunStatus.SUCCEEDED
            assert RAN == ["send"]

    asyncio.run(whole())
