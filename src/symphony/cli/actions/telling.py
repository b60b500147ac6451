"""Telling of the end of a run that ended without its process: what `on_finish` of its workflow asks for."""

import asyncio

from symphony.app import Symphony
from symphony.cli.console import output
from symphony.commons.errors import SymphonyError


def tell(opened: Symphony, run_id: str) -> None:
    """Tell of the end of a run, unless another process does. What goes wrong is only a note."""

    async def told() -> None:
        async with opened as symphony:
            await (await symphony.resume(run_id)).result()

    try:
        asyncio.run(told())
    except SymphonyError as error:
        output.note(f"on_finish was not told: {output.shown(error.message)}")
