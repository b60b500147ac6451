"""Homes that share a bus through a NATS server, as on two machines."""

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from tests.support.commands import SYMPHONY, CommandLine
from tests.support.servers import NatsServer
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.slow

WORKFLOW = """\
name: Gated
inputs: {gate: {type: string}}
nodes:
  first:
    command: while [ ! -e "$GATE.1" ]; do sleep 0.05; done
    inputs: {gate: "${{ inputs.gate }}"}
  second:
    command: while [ ! -e "$GATE.2" ]; do sleep 0.05; done
    inputs: {gate: "${{ inputs.gate }}"}
    after: [first]
"""


ROOT = Path(__file__).parents[2]
NatsServers = Callable[..., Awaitable[NatsServer]]
Start = Callable[..., Awaitable[Process]]
Line = dict[str, object]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """Starts a command line in the home of that name, with variables."""
    running: list[Process] = []

    async def one(home: str, *words: str, **variables: str) -> Process:
        running.append(
            await asyncio.create_subprocess_exec(
                *SYMPHONY, *words,
                cwd=tmp_path, stdin=DEVNULL, stdout=PIPE, stderr=PIPE,
                env=CommandLine(tmp_path, tmp_path / home).environment(**variables),
            )
        )  # fmt: skip
        return running[-1]

    yield one
    for process in running:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
def gated(tmp_path: Path) -> tuple[str, ...]:
    """A run whose nodes end when the files `gate.1` and `gate.2` are there."""
    (tmp_path / "gated.yaml").write_text(WORKFLOW)
    return "run", "gated.yaml", "--quiet", "--input", f"gate={tmp_path / 'gate'}"


def at(server: NatsServer) -> dict[str, str]:
    """The one setting."""
    return {"SYMPHONY__BUS__NATS": server.url}


async def lines_until(process: Process, kind: str) -> list[Line]:
    """JSON lines up to the first of type `kind`."""
    assert process.stdout is not None
    found: list[Line] = []
    while text := await process.stdout.readline():
        found.append(json.loads(text))
        if found[-1]["type"] == kind:
            return found
    assert process.stderr is not None
    raise AssertionError(f"it ended before {kind}: {found} {await process.stderr.read()!r}")


async def said_until(process: Process, words: str) -> str:
    """What it says on stderr up to a line with `words`."""
    assert process.stderr is not None
    found = ""
    while words not in found:
        line = await process.stderr.readline()
        assert line, found
        found += line.decode()
    return found


async def stats_when(start: Start, home: str, server: NatsServer, holds: Callable[[Line], bool]) -> Line:
    """What `bus stats` says of NATS, once that is so."""
    while True:
        process = await start(home, "bus", "stats", "--json", **at(server))
        out, error = await process.communicate()
        assert process.returncode == 0, error
        found = json.loads(out)["beyond"]
        if holds(found):
            return dict(found)


def reaches_a_run(found: Line) -> bool:
    names = found["names"]
    assert isinstance(names, list)
    return any(name.startswith("run.") for name in names)


async def test_a_run_is_seen_and_reached_from_another_home_also_after_the_server_was_killed(
    start: Start, gated: tuple[str, ...], tmp_path: Path, nats_server: NatsServers
) -> None:
    server = await nats_server()
    async with asyncio.timeout(100):
        tap = await start("b", "bus", "tap", "run.>", "--json", **at(server))
        run = await start("a", *gated, **at(server))
        seen = await stats_when(start, "b", server, reaches_a_run)
        assert (seen["state"], seen["address"]) == ("joined", server.url)
        (name,) = [one for one in _texts(seen["names"]) if one.startswith("run.")]
        for home in ("a", "b", "c"):  # the run's own, one with a hub, one where nothing runs
            ping = await start(home, "bus", "ping", name, "-n", "3", "--json", **at(server))
            out, error = await ping.communicate()
            assert json.loads(out or b"{}").get("count") == 3, error

        await server.kill()
        await said_until(tap, "NATS is away")
        refused = await start("c", "bus", "tap", "run.>", **at(server))
        _, error = await refused.communicate()
        assert refused.returncode != 0
        assert b"error[nats-away]" in error
        assert b"hint: check that it runs" in error
        ping = await start("a", "bus", "ping", name, "-n", "1", **at(server))
        assert await ping.wait() == 0, "within the home all goes on"
        (tmp_path / "gate.1").touch()  # these events reach nobody beyond, and the run does not care

        await server.start()
        await said_until(tap, "NATS is joined")
        await stats_when(start, "b", server, reaches_a_run)
        (tmp_path / "gate.2").touch()
        events = await lines_until(tap, "run.finished")
        _, error = await run.communicate()
    assert run.returncode == 0
    assert error.count(b"other homes do not see this run live") == 1, error
    ends = [event["topic"] for event in events if event["type"] in ("node.finished", "run.finished")]
    assert ends[-2:] == [f"{name}.node.finished", f"{name}.run.finished"]
    ids = [event["message_id"] for event in events]
    assert len(ids) == len(set(ids))


async def listening(start: Start, home: str, server: NatsServer, taps: int) -> None:
    """Returns when so many taps are on the bus of `home`, and it is joined."""
    while True:
        process = await start(home, "bus", "stats", "--json", **at(server))
        found = json.loads((await process.communicate())[0])
        boxes = [one for one in found["mailboxes"] if one["pattern"] == "run.>"]
        if found["beyond"]["state"] == "joined" and len(boxes) == taps:
            return


async def test_who_shares_the_home_hears_each_event_once_and_a_member_takes_the_hubs_place(
    start: Start, gated: tuple[str, ...], tmp_path: Path, nats_server: NatsServers
) -> None:
    server = await nats_server()
    async with asyncio.timeout(100):
        run = await start("a", *gated, **at(server))
        await stats_when(start, "c", server, reaches_a_run)  # it is the hub, then, and not a tap
        taps = [await start(home, "bus", "tap", "run.>", "--json", **at(server)) for home in ("a", "a", "b")]
        await listening(start, "a", server, 2)
        await listening(start, "b", server, 1)
        (tmp_path / "gate.1").touch()
        first = await asyncio.gather(*(lines_until(tap, "node.started") for tap in taps))
        assert [event["type"] for event in first[0]] == ["node.finished", "node.started"]
        assert first[0] == first[1] == first[2]

        run.kill()
        await run.wait()
        await listening(start, "a", server, 2)
        other = await start("a", *gated, **at(server))
        await stats_when(start, "c", server, reaches_a_run)
        (tmp_path / "gate.2").touch()
        last = await asyncio.gather(*(lines_until(tap, "run.finished") for tap in taps))
        assert await other.wait() == 0
    for events in last:
        assert events[-2:] == last[0][-2:]
        ids = [event["message_id"] for event in events]
        assert len(ids) == len(set(ids))


def _texts(value: object) -> list[str]:
    assert isinstance(value, list)
    return value


@pytest.mark.parametrize(
    ("variables", "code", "says"),
    [
        ({"SYMPHONY__BUS__NATS": "nats://127.0.0.1:1"}, "nats-away", "check that it runs"),
        ({"SYMPHONY__BUS__TOKEN": "WRONG", "WRONG": "a-secret"}, "nats-away", "token"),
        ({"SYMPHONY__BUS__TOKEN": "NOT_SET"}, "config-invalid", "set NOT_SET"),
        ({"SYMPHONY__BUS__NKEY": "WRONG", "WRONG": "a-secret"}, "config-invalid", "begins with SU"),
        ({"SYMPHONY__BUS__CA": "nothing.pem"}, "config-invalid", "PEM"),
        ({"PYTHONPATH": "without"}, "nats-not-installed", f"make -C {ROOT} "),
    ],
)
async def test_a_run_goes_on_without_nats_and_who_asks_for_the_bus_is_told_why(
    start: Start, tmp_path: Path, nats_server: NatsServers, variables: dict[str, str], code: str, says: str
) -> None:
    server = await nats_server("authorization { token: right }")
    (tmp_path / "without" / "nats").mkdir(parents=True)
    (tmp_path / "without" / "nats" / "__init__.py").write_text("raise ImportError('no nats here')")
    if "PYTHONPATH" in variables:
        variables = {"PYTHONPATH": str(tmp_path / "without")}
    (tmp_path / "short.yaml").write_text("name: Short\nnodes: {one: {command: sleep 1.5}}\n")
    given = at(server) | variables
    async with asyncio.timeout(PATIENCE_S):
        run, tap = (
            await start("a", "run", "short.yaml", **given),
            await start("b", "bus", "tap", ">", **given),
        )
        _, error = await tap.communicate()
        assert tap.returncode != 0
        assert f"error[{code}]" in error.decode()
        assert says in error.decode()
        _, said = await run.communicate()
    assert run.returncode == 0, said
    assert said.decode().count("other homes do not see this run live") == 1
    assert "a-secret" not in said.decode() + error.decode()
