"""What is made in a thread for a run that is about to begin."""

import asyncio
import threading

from symphony.app.journals import in_thread


def test_what_is_made_for_a_cancelled_caller_is_undone_however_often_it_is_cancelled() -> None:
    begun, going, undone = threading.Event(), threading.Event(), list[str]()

    def made() -> str:
        begun.set()
        going.wait(10)
        return "a journal"

    async def whole() -> None:
        task = asyncio.get_running_loop().create_task(in_thread(made, undone.append))
        await asyncio.to_thread(begun.wait, 10)
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0)
        assert not task.done()
        going.set()
        await asyncio.wait({task})
        assert task.cancelled()

    asyncio.run(whole())
    assert undone == ["a journal"]
