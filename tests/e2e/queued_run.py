"""A script of tests: one life of a run whose steps are granted what they need one at a time.

Usage: queued_run.py FILE [HOLDER]. Goes on with the last run of the home, or begins one of FILE, and decides
what is in doubt: a step whose name is in the file of effects is skipped, another is tried again. Nothing is
granted as long as the file HOLDER exists. Ends with 0 once the run has succeeded.
"""

import asyncio
import sys
from pathlib import Path

from tests.support.arbiters import Turns
from tests.support.effects import effects

from symphony import Symphony
from symphony.ports.arbiter import ResourceRequest
from symphony.ports.runs import RunStatus


async def held(turns: Turns, holder: Path) -> None:
    """Take the only place until the file is gone."""
    grant = turns.try_acquire(ResourceRequest(run="other", node="other", resource="other"))
    assert grant is not None
    while holder.exists():  # noqa: ASYNC110, ASYNC240  other processes delete it
        await asyncio.sleep(0.01)
    turns.release(grant)


async def main(file: Path, holder: Path | None) -> int:
    async with Symphony.open() as symphony:
        symphony.parts.arbiter = turns = Turns()
        holding = None if holder is None else asyncio.create_task(held(turns, holder))  # noqa: TID251
        known = [run.run_id for run in symphony.runs.list(limit=1)]
        if not known:
            handle = await symphony.start(file, {"file": str(file.with_name("effects"))}, cwd=file.parent)
        else:
            done, retry, skip = effects(file.with_name("effects")), list[str](), list[str]()
            for name, node in symphony.runs.result(known[0]).nodes.items():
                if node.status == "waiting" or name in symphony.runs.result(known[0]).doubtful:
                    (skip if done[name] else retry).append(name)
            handle = await symphony.resume(known[0], retry=retry, skip=skip)
        result = await handle.result()
        if holding is not None:
            holding.cancel()
        print(result.status, turns.most, len(turns.held), flush=True)
        return 0 if result.status is RunStatus.SUCCEEDED else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)))
