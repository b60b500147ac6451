"""Connections between real processes that are killed, stopped and crowded."""

import asyncio
import gc
import os
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import psutil
import pytest
from tests.support.processes import Peers, line_of

from symphony.commons.errors import IoFailed, SymphonyError
from symphony.commons.secrets import Secret
from symphony.ipc.transports import Connection, TransportConfig, connect, listen, spawn, unix
from symphony.ipc.transports.errors import ConnectFailed, ConnectionLost, PeerRefused

pytestmark = pytest.mark.slow
PEERS = Path(__file__).with_name("ipc_peers.py")
SCHEMES = ["unix", "shm", "tcp"]
SECONDS = 40


class World(Peers):
    """A folder, an address in it, and the processes that were started."""

    def __init__(self, scheme: str, folder: Path) -> None:
        super().__init__(PEERS)
        self.folder = folder
        self.address = {
            "unix": f"unix://{folder}/s/a.sock",
            "shm": "shm://faults",
            "tcp": "tcp://127.0.0.1:0",
        }[scheme]
        self.config = TransportConfig(
            token=Secret("a token for tests"), runtime_dir=folder / "r", timeout_s=10
        )

    def start(self, verb: str) -> subprocess.Popen[str]:
        return self.begin(verb, self.address, self.folder / "r")

    async def served(self) -> subprocess.Popen[str]:
        """An echoing process; `address` is then its address."""
        process = self.start("serve")
        self.address = await line_of(process)
        return process


@pytest.fixture(params=SCHEMES)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    made = World(request.param, tmp_path)
    yield made
    made.end()


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with asyncio.timeout(SECONDS), AsyncExitStack() as stack:
        yield stack


async def test_a_receiver_killed_under_load_is_noticed_at_once_and_others_go_on(
    world: World, stack: AsyncExitStack
) -> None:
    server = await world.served()
    connection = await connect(world.address, world.config)
    await connection.send(b"hello")
    assert await connection.receive() == b"hello"

    async def pour() -> None:
        while True:
            await connection.send(bytes(5000))

    async def drain() -> None:
        while True:
            await connection.receive()

    pouring, draining = asyncio.ensure_future(pour()), asyncio.ensure_future(drain())
    for _ in range(50):
        await asyncio.sleep(0)
    began = asyncio.get_running_loop().time()
    os.kill(server.pid, signal.SIGKILL)
    for task in (pouring, draining):
        with pytest.raises(ConnectionLost):
            await task
    assert asyncio.get_running_loop().time() - began < 5, "not by waiting for a time-out"
    await connection.closed()
    server.wait()
    with pytest.raises(ConnectFailed):
        await connect(world.address, world.config)
    # The address that it left is free for the next.
    again = await listen(world.address, lambda _: None, world.config)
    await again.close()


async def test_a_sender_killed_under_load_loses_only_the_message_it_was_in(
    world: World, stack: AsyncExitStack
) -> None:
    accepted: asyncio.Queue[Connection] = asyncio.Queue()
    listener = await listen(world.address, accepted.put_nowait, world.config)
    stack.push_async_callback(listener.close)
    world.address = listener.address
    sender = world.start("pour")
    connection = await accepted.get()
    found = [await connection.receive() for _ in range(100)]
    os.kill(sender.pid, signal.SIGKILL)
    with pytest.raises(ConnectionLost, match=r"the other side vanished|the connection broke"):
        while True:
            found.append(await connection.receive())
    assert [int.from_bytes(body[:8], "big") for body in found] == list(range(len(found)))
    assert {len(body) for body in found} == {3008}


async def test_a_stopped_receiver_makes_the_sender_wait_and_loses_nothing(
    world: World, stack: AsyncExitStack
) -> None:
    server = await world.served()
    connection = await connect(world.address, world.config)
    stack.push_async_callback(connection.close)
    os.kill(server.pid, signal.SIGSTOP)
    sent = 0
    before = psutil.Process().memory_info().rss
    while True:
        try:
            async with asyncio.timeout(0.3):
                await connection.send(sent.to_bytes(8, "big") + bytes(10_000))
        except TimeoutError:
            break
        sent += 1
        assert sent < 5000, "nothing pushes back"
    grown = psutil.Process().memory_info().rss - before
    await asyncio.sleep(5 if "unix" in world.address else 0.5)  # the time is what is tested
    assert connection.open
    assert grown < 32 << 20
    os.kill(server.pid, signal.SIGCONT)
    for number in range(sent):
        assert int.from_bytes((await connection.receive())[:8], "big") == number


@pytest.mark.usefixtures("machine")
async def test_ten_thousand_connections_leave_nothing_behind(world: World, stack: AsyncExitStack) -> None:
    gone = 0
    unhappy: list[SymphonyError] = []

    def accept(connection: Connection) -> None:
        nonlocal gone

        def count() -> None:
            nonlocal gone
            gone += 1

        connection.when_gone(count)

    listener = await listen(world.address, accept, world.config, refused=unhappy.append)
    stack.push_async_callback(listener.close)
    total = 10_000 if "unix" in world.address else 500

    async def come_and_go(times: int) -> None:
        for number in range(times):
            connection = await connect(listener.address, world.config)
            if number % 2:
                await connection.close()
            else:
                assert connection._link is not None
                connection._link.abort()
                await connection.closed()

    async def crowd(times: int) -> None:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(20):
                tasks.create_task(come_and_go(times // 20))
        while listener._connections:  # noqa: ASYNC110  no event
            await asyncio.sleep(0.01)
        gc.collect()

    process = psutil.Process()
    await crowd(total // 5)
    # What Python holds, to the byte: the resident size of a process that ran other tests says less.
    tracemalloc.start()
    stack.callback(tracemalloc.stop)
    await crowd(total // 5)
    before = process.num_fds(), len(asyncio.all_tasks()), tracemalloc.get_traced_memory()[0]
    resident = process.memory_info().rss
    await crowd(total)
    assert (process.num_fds(), len(asyncio.all_tasks())) == before[:2]
    assert tracemalloc.get_traced_memory()[0] - before[2] < 16 * total + (64 << 10)
    assert process.memory_info().rss - resident < 32 << 20  # beyond Python's own: buffers of the system's
    assert gone == total + 2 * (total // 5)
    assert unhappy == []


async def test_a_child_over_stdio_answers_and_its_prints_are_no_messages(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    config = TransportConfig(token=Secret("a token for tests"), timeout_s=20)
    child = await spawn([sys.executable, "-P", str(PEERS), "home", str(tmp_path)], config)
    for body in (b"one", bytes(300_000), b""):
        await child.connection.send(body)
        assert await child.connection.receive() == body
    await child.connection.close()
    assert await child.process.wait() == 0


async def test_a_child_that_does_not_connect_is_killed_and_said_so(stack: AsyncExitStack) -> None:
    with pytest.raises(ConnectFailed, match="did not connect"):
        await spawn([sys.executable, "-c", "print('hello')"])
    with pytest.raises(ConnectFailed, match="cannot start /no/such/program"):
        await spawn(["/no/such/program"])


async def test_a_killed_child_over_stdio_is_noticed(tmp_path: Path, stack: AsyncExitStack) -> None:
    config = TransportConfig(token=Secret("a token for tests"), timeout_s=20)
    child = await spawn([sys.executable, "-P", str(PEERS), "home", str(tmp_path)], config)
    child.process.kill()
    with pytest.raises(ConnectionLost):
        await child.connection.receive()
    await child.process.wait()


class TestUnixSocketFiles:
    async def test_the_socket_is_private_and_so_is_its_folder(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "a.sock"
        listener = await listen(f"unix://{path}", lambda _: None)
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
        await listener.close()
        assert not path.exists()

    async def test_a_folder_that_others_can_look_into_is_refused(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)  # noqa: ASYNC240  nothing else runs
        with pytest.raises(IoFailed, match="is not private") as caught:
            await listen(f"unix://{tmp_path}/a.sock", lambda _: None)
        assert "chmod 700" in str(caught.value.hint)

    async def test_a_socket_left_by_a_killed_process_is_replaced_and_a_live_one_is_not(
        self, tmp_path: Path
    ) -> None:
        world = World("unix", tmp_path)
        server = await world.served()
        with pytest.raises(SymphonyError, match="somebody listens"):
            await listen(world.address, lambda _: None)
        os.kill(server.pid, signal.SIGKILL)
        server.wait()
        assert (tmp_path / "s" / "a.sock").exists()
        listener = await listen(world.address, lambda _: None)
        await (await connect(world.address)).close()
        await listener.close()
        world.end()

    async def test_a_live_socket_of_another_program_is_not_taken(self, tmp_path: Path) -> None:
        import socket

        path = unix._own_folder(tmp_path / "s") / "a.sock"
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(path))
            other.listen()
            with pytest.raises(SymphonyError, match="somebody listens"):
                await listen(f"unix://{path}", lambda _: None)

    async def test_a_file_that_is_no_socket_is_never_removed(self, tmp_path: Path) -> None:
        path = unix._own_folder(tmp_path / "s") / "a.sock"
        path.write_text("precious")
        with pytest.raises(SymphonyError, match="is not a socket"):
            await listen(f"unix://{path}", lambda _: None)
        assert path.read_text() == "precious"

    async def test_a_path_too_long_for_a_socket_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(IoFailed) as caught:
            await listen(f"unix://{tmp_path}/s/{'x' * 120}", lambda _: None)
        assert "sockets allow about 100" in str(caught.value.hint)

    async def test_a_full_disk_is_an_error_that_names_the_path(self, full_disk: Path) -> None:
        with pytest.raises(IoFailed, match="No space left on device") as caught:
            await listen(f"unix://{full_disk}/s/a.sock", lambda _: None)
        assert str(full_disk) in caught.value.message

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
    async def test_another_users_process_is_turned_away(self, tmp_path: Path) -> None:
        refusals: list[SymphonyError] = []
        path = tmp_path / "s" / "a.sock"
        listener = await listen(f"unix://{path}", lambda _: None, refused=refusals.append)
        path.parent.chmod(0o711)  # as if its permissions did not protect the socket
        path.chmod(0o666)
        program = """
import os, socket
os.setgroups([]); os.setgid(65534); os.setuid(65534)
with socket.socket(socket.AF_UNIX) as one:
    one.connect("a.sock")
    print(one.recv(1000))
"""
        command = [sys.executable, "-c", program]
        done = await asyncio.to_thread(
            subprocess.run, command, cwd=path.parent, capture_output=True, text=True
        )
        assert "peer-refused" in done.stdout, done.stderr
        assert isinstance(refusals[0], PeerRefused)
        assert "user 65534 may not connect to user 0" in refusals[0].message
        await listener.close()


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own without room for one more file."""
    folder = tmp_path / "full"
    folder.mkdir(mode=0o700)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "nr_inodes=1,mode=700", "tmpfs", folder], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("this system does not let us make a file system")
    yield folder
    subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="shm:// needs Linux")
def test_shared_memory_without_a_runtime_folder_warns_nobody() -> None:
    script = (
        "from symphony.ipc.transports import TransportConfig, shm\n"
        "print(shm.socket_path('x', TransportConfig()))"
    )
    environment = {key: value for key, value in os.environ.items() if key != "XDG_RUNTIME_DIR"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("x.shm\n")
