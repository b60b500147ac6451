"""What all tests share: how many examples properties get, no home of the developer's, a NATS server."""

import fcntl
import gc
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from tests.support.servers import NatsServer

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


def pytest_configure() -> None:
    """Background jobs of a shell ignore Ctrl-C and SIGQUIT; what the tests start would ignore them, too."""
    for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, usual)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What was collected stays until the end: nobody needs to look for garbage in it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def _own_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting of the developer's machine may change what a test sees, nor a test its home."""
    with pytest.MonkeyPatch.context() as patch:
        for name in tuple(os.environ):
            if name.startswith("SYMPHONY_") and not name.startswith(
                ("SYMPHONY_HYPOTHESIS", "SYMPHONY_CRASH")
            ):
                patch.delenv(name)
        patch.setenv("SYMPHONY_HOME", str(tmp_path_factory.getbasetemp() / "home"))
        yield


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
