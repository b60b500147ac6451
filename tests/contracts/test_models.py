"""What every `Models` keeps to, and what the supervised one does when processes misbehave."""

# ruff: noqa: ASYNC110, ASYNC220  what other processes did can only be looked at

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.support.processes import alive
from tests.support.waiting import PATIENCE_S, until

from symphony.app.bus_places import bus_address, passing_name
from symphony.app.live import LiveBus
from symphony.bus import Bus, join
from symphony.bus.core.owning import OwnerRole
from symphony.bus.core.retention import Replay
from symphony.ipc import EventPayload
from symphony.pit.pool import ChildSpec, Elementwise, LocalModels, PoolBudget, PoolPolicy
from symphony.pit.pool.sharing import SharedModels, SharedSpec
from symphony.pit.pool.sharing.messages import LOCK
from symphony.pit.pool.sharing.serving import ABSENT_S
from symphony.ports.models import (
    UNMETERED,
    Caller,
    Estimate,
    ModelFailed,
    ModelLost,
    Models,
    ModelUnavailable,
    Usage,
)
from symphony.ports.values import Value

pytestmark = pytest.mark.slow

CHILD = Path(__file__).with_name("echo_child.py")


class FakeModels:
    """The same answers as the echoing process, in this one."""

    def __init__(self) -> None:
        self._closed = False

    async def invoke(
        self,
        model: str,
        inputs: Mapping[str, Value],
        config: Mapping[str, Value],
        caller: Caller = UNMETERED,
    ) -> Mapping[str, Value]:
        self.fingerprint(model)
        if inputs.get("texts") == []:
            return {"vectors": []}
        await caller.reserve(model, Estimate())
        try:
            return await self._answer(inputs, config)
        finally:
            caller.used(Usage(calls=1))

    async def _answer(self, inputs: Mapping[str, Value], config: Mapping[str, Value]) -> Mapping[str, Value]:
        await asyncio.sleep(0)
        texts = inputs.get("texts")
        if not isinstance(texts, list):
            raise ModelFailed("texts must be a list", code="type-mismatch", hint="give a list")
        for text in texts:
            order, _, argument = str(text).partition(" ")
            if order == "hang":
                Path(argument).touch()  # noqa: ASYNC240
                await asyncio.Event().wait()
        return {"vectors": [[len(str(text)), config.get("add", 0)] for text in texts]}

    def estimate(self, model: str, inputs: Mapping[str, Value], config: Mapping[str, Value]) -> Estimate:
        return Estimate()

    def fingerprint(self, model: str) -> str:
        if model != "echo" or self._closed:
            raise ModelUnavailable(f"there is no model {model!r}", hint="models here: echo")
        return "f"

    def sampled(self, model: str, inputs: Mapping[str, object]) -> bool:
        return False

    def foresee(self, run: str, needs: Mapping[str, int] | None) -> None:
        pass

    async def close(self) -> None:
        self._closed = True


class Ledger:
    """A caller that notes what it hears; once `closed` it refuses."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.run: str | None = None
        self.priority = 0
        self.closed = False

    async def reserve(self, model: str, most: Estimate) -> None:
        if self.closed:
            raise ModelFailed("enough", code="budget-exceeded")
        self.heard.append("reserve")

    def used(self, usage: Usage) -> None:
        self.heard.append("used")

    def token(self, text: str) -> None:
        self.heard.append(text)


def spec(*arguments: str) -> ChildSpec:
    return ChildSpec(
        argv=(sys.executable, "-P", str(CHILD), *arguments),
        fingerprint="f",
        elementwise=Elementwise("texts", "vectors"),
    )


Make = Callable[..., LocalModels]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[LocalModels] = []

    def pool(
        *arguments: str, idle_s: float = 60.0, ready_s: float = PATIENCE_S, refusal_s: float = 60.0
    ) -> LocalModels:
        policy = PoolPolicy(keep_s=idle_s, histogram=False, load_s=ready_s)
        specs = {"echo": spec(*arguments)}
        made.append(LocalModels(specs, policy=policy, refusal_s=refusal_s))
        return made[-1]

    yield pool
    for one in made:
        await one.close()


MakeShared = Callable[..., SharedModels]


@pytest.fixture
async def share(tmp_path: Path) -> AsyncIterator[MakeShared]:
    """Makes the pools of one home, each as if it were of another process."""
    home = tmp_path / "home"
    made: list[tuple[SharedModels, LiveBus]] = []

    def build(_name: str, settings: bytes) -> ChildSpec:
        return replace(spec(), fingerprint=settings.decode())

    def shared(fingerprint: str = "f", *, settings: bytes | None = None) -> SharedModels:
        live = LiveBus(home)
        told = fingerprint.encode() if settings is None else settings
        models = SharedModels(
            {"echo": SharedSpec(replace(spec(), fingerprint=fingerprint), told)},
            build,
            budget=PoolBudget(bytes_max=2**40),
            lock=home / "run" / LOCK,
            bus=live.reach,
            asking=passing_name("pool"),
        )
        made.append((models, live))
        return models

    yield shared
    for models, live in reversed(made):
        await models.close()
        await live.close()


@pytest.fixture(params=["fake", "processes", "owner", "member"])
async def models(request: pytest.FixtureRequest, make: Make, share: MakeShared) -> Models:
    match request.param:
        case "fake":
            return FakeModels()
        case "processes":
            return make()
        case "owner":
            return share()
    await share().invoke("echo", {"texts": ["a"]}, {})
    return share()


class TestEveryModels:
    async def test_outputs_come_in_the_order_of_the_inputs(self, models: Models) -> None:
        texts: list[Value] = ["x" * i for i in range(100)]
        answer = await models.invoke("echo", {"texts": texts}, {"add": 2})
        assert answer["vectors"] == [[i, 2] for i in range(100)]

    async def test_an_empty_list_gives_an_empty_list(self, models: Models) -> None:
        assert (await models.invoke("echo", {"texts": []}, {}))["vectors"] == []

    async def test_the_caller_is_asked_before_a_call_and_told_after_it_however_it_ends(
        self, models: Models
    ) -> None:
        caller = Ledger()
        await models.invoke("echo", {"texts": ["a"]}, {}, caller)
        with pytest.raises(ModelFailed):
            await models.invoke("echo", {"texts": "no"}, {}, caller)
        assert caller.heard == ["reserve", "used", "reserve", "used"]
        caller.closed = True
        with pytest.raises(ModelFailed, match="enough"):
            await models.invoke("echo", {"texts": ["a"]}, {}, caller)
        assert caller.heard == ["reserve", "used", "reserve", "used"]

    async def test_an_unknown_model_is_refused_with_those_that_exist(self, models: Models) -> None:
        with pytest.raises(ModelUnavailable, match="no model 'gpt'") as caught:
            await models.invoke("gpt", {}, {})
        assert caught.value.hint == "models here: echo"
        with pytest.raises(ModelUnavailable):
            models.fingerprint("gpt")
        assert models.fingerprint("echo") == "f"

    async def test_wrong_inputs_fail_with_the_models_own_words(self, models: Models) -> None:
        with pytest.raises(ModelFailed, match="texts must be a list") as caught:
            await models.invoke("echo", {"texts": "no"}, {})
        assert (caught.value.code, caught.value.hint) == ("type-mismatch", "give a list")

    async def test_calls_at_the_same_time_get_their_own_answers(self, models: Models) -> None:
        calls = [models.invoke("echo", {"texts": ["x" * i]}, {}) for i in range(20)]
        assert [a["vectors"] for a in await asyncio.gather(*calls)] == [[[i, 0]] for i in range(20)]

    async def test_a_cancelled_call_ends_and_others_go_on(self, models: Models, tmp_path: Path) -> None:
        mark = tmp_path / "hanging"
        async with asyncio.timeout(PATIENCE_S):
            call = asyncio.ensure_future(models.invoke("echo", {"texts": [f"hang {mark}"]}, {}))
            await until(mark.exists, every_s=0.01)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert (await models.invoke("echo", {"texts": ["abc"]}, {}))["vectors"] == [[3, 0]]

    async def test_after_close_nothing_is_answered(self, models: Models) -> None:
        await models.close()
        with pytest.raises(ModelUnavailable):
            await models.invoke("echo", {"texts": ["a"]}, {})
        await models.close()


class TestProcesses:
    async def test_nothing_starts_before_the_first_call(self, make: Make) -> None:
        models = make()
        await models.invoke("echo", {"texts": []}, {})
        assert models.pids() == {}
        await models.invoke("echo", {"texts": ["a"]}, {})
        assert psutil.pid_exists(models.pids()["echo"])

    async def test_a_killed_process_is_replaced_without_anyone_noticing(self, make: Make) -> None:
        models = make()
        await models.invoke("echo", {"texts": ["a"]}, {})
        first = models.pids()["echo"]
        os.kill(first, signal.SIGKILL)
        assert (await models.invoke("echo", {"texts": ["ab"]}, {}))["vectors"] == [[2, 0]]
        assert models.pids()["echo"] != first

    async def test_a_call_whose_process_dies_is_asked_again_once(self, make: Make, tmp_path: Path) -> None:
        models = make()
        mark = tmp_path / "died"
        answer = await models.invoke("echo", {"texts": ["a", f"die-once {mark}"]}, {})
        assert mark.exists()
        assert answer["vectors"][0] == [1, 0]  # type: ignore[call-overload, index]

    async def test_a_call_that_kills_twice_fails_with_the_last_words(self, make: Make) -> None:
        models = make()
        with pytest.raises(
            ModelFailed, match=r"exit status 7\); it said: out of memory, or so \(twice"
        ) as caught:
            await models.invoke("echo", {"texts": ["die"]}, {})
        assert caught.value.hint is not None
        assert (await models.invoke("echo", {"texts": ["a"]}, {}))["vectors"] == [[1, 0]]

    async def test_an_exception_in_the_model_fails_the_call_and_not_the_process(self, make: Make) -> None:
        models = make()
        with pytest.raises(ModelFailed, match="ZeroDivisionError: by nothing"):
            await models.invoke("echo", {"texts": ["raise"]}, {})
        pid = models.pids()["echo"]
        assert (await models.invoke("echo", {"texts": ["print hello"]}, {}))["vectors"] == [[11, 0]]
        assert models.pids()["echo"] == pid

    async def test_a_refusal_is_told_with_its_hint_and_remembered_for_a_while(
        self, make: Make, tmp_path: Path
    ) -> None:
        for refusal_s, starts in ((60.0, 1), (0.0, 3)):
            counter = tmp_path / f"starts {refusal_s}"
            models = make("refuse", str(counter), refusal_s=refusal_s)
            for _ in range(3):
                with pytest.raises(ModelUnavailable, match="the model is not here") as caught:
                    await models.invoke("echo", {"texts": ["a"]}, {})
                assert caught.value.hint == "fetch it"
            assert len(counter.read_text()) == starts

    async def test_a_process_that_always_dies_is_tried_three_times(self, make: Make, tmp_path: Path) -> None:
        counter = tmp_path / "starts"
        models = make("crash", str(counter))
        for starts in (3, 4):
            with pytest.raises(ModelUnavailable, match="the end") as caught:
                await models.invoke("echo", {"texts": ["a"]}, {})
            assert len(caught.value.message) < 5000
            assert len(counter.read_text()) == starts

    async def test_a_process_that_says_nothing_is_given_up(self, make: Make) -> None:
        models = make("silent", ready_s=0.3)
        for _ in range(2):
            with pytest.raises(ModelUnavailable, match=r"was not ready after 0\.3 s") as caught:
                await models.invoke("echo", {"texts": ["a"]}, {})
            assert caught.value.hint == "raise `pool.load_s` if it needs longer to load"

    async def test_a_process_that_talks_nonsense_is_given_up(self, make: Make) -> None:
        models = make("garbage")
        with pytest.raises(ModelUnavailable, match="these bytes are not a frame: ff ff ff ff"):
            await models.invoke("echo", {"texts": ["a"]}, {})

    async def test_a_program_that_is_not_there_is_named(self) -> None:
        models = LocalModels({"m": ChildSpec(argv=("/no/such/program",), fingerprint="")})
        with pytest.raises(ModelUnavailable, match="cannot start /no/such/program: No such file"):
            await models.invoke("m", {"a": 1}, {})
        await models.close()

    async def test_what_is_too_large_fails_only_its_call(self, make: Make) -> None:
        models = make()
        with pytest.raises(ModelFailed, match="exceeds the limit") as caught:
            await models.invoke("echo", {"texts": ["x" * (65 * 1024 * 1024)]}, {})
        assert caught.value.code == "limit-exceeded"
        with pytest.raises(ModelFailed, match="exceeds the limit"):
            await models.invoke("echo", {"texts": ["huge"]}, {})
        with pytest.raises(ModelFailed, match="cannot be sent"):
            await models.invoke("echo", {"texts": ["\ud800"]}, {})
        assert (await models.invoke("echo", {"texts": ["a"]}, {}))["vectors"] == [[1, 0]]

    async def test_an_idle_process_ends_and_comes_back_when_needed(self, make: Make) -> None:
        models = make(idle_s=0.05)
        await models.invoke("echo", {"texts": ["a"]}, {})
        pid = models.pids()["echo"]
        await until(lambda: not alive(pid), every_s=0.01)
        assert models.pids() == {}
        assert (await models.invoke("echo", {"texts": ["ab"]}, {}))["vectors"] == [[2, 0]]

    async def test_cancelling_while_it_starts_leaves_no_process(self, make: Make) -> None:
        models = make("silent")
        call = asyncio.ensure_future(models.invoke("echo", {"texts": ["a"]}, {}))
        here = psutil.Process()
        before: set[int] = set()
        async with asyncio.timeout(PATIENCE_S):
            while not (before := {child.pid for child in here.children()}):
                await asyncio.sleep(0.005)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await models.close()
        assert not [pid for pid in before if alive(pid)]

    async def test_close_ends_a_process_that_is_stuck(self, make: Make, tmp_path: Path) -> None:
        models = make()
        mark = tmp_path / "stuck"
        call = asyncio.ensure_future(models.invoke("echo", {"texts": [f"stuck {mark}"]}, {}))
        await until(mark.exists, every_s=0.01)
        pid = models.pids()["echo"]
        async with asyncio.timeout(PATIENCE_S):
            await models.close()
        with pytest.raises(ModelUnavailable, match="closed"):
            await call
        assert not psutil.pid_exists(pid)

    @pytest.mark.parametrize(
        ("order", "stopped"), [("stuck", False), ("stuck-whole", False), ("stuck", True)]
    )
    async def test_the_process_ends_with_a_parent_that_is_killed(
        self, tmp_path: Path, order: str, stopped: bool
    ) -> None:
        if sys.platform != "linux" and (stopped or order == "stuck-whole"):
            pytest.skip("elsewhere a process that cannot run notices nothing")
        program = (
            "import asyncio, sys\n"
            "sys.path.insert(0, sys.argv[1])\n"
            "from test_models import LocalModels, spec\n"
            "async def main():\n"
            "    models = LocalModels({'echo': spec()})\n"
            "    await models.invoke('echo', {'texts': ['a']}, {})\n"
            "    print(models.pids()['echo'], flush=True)\n"
            "    await models.invoke('echo', {'texts': [sys.argv[2]]}, {})\n"
            "asyncio.run(main())\n"
        )
        command = [sys.executable, "-c", program, str(CHILD.parent), f"{order} {tmp_path / 'stuck'}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
            assert parent.stdout is not None
            pid = int(parent.stdout.readline())
            await until((tmp_path / "stuck").exists, every_s=0.01)
            if stopped:
                os.kill(pid, signal.SIGSTOP)
            parent.kill()
        await until(lambda: not alive(pid), every_s=0.01)

    async def test_ctrl_c_in_the_terminal_does_not_reach_the_process(self, make: Make) -> None:
        models = make()
        await models.invoke("echo", {"texts": ["a"]}, {})
        pid = models.pids()["echo"]
        os.kill(pid, signal.SIGINT)
        await models.invoke("echo", {"texts": ["a"]}, {})
        assert models.pids()["echo"] == pid


class TestSharing:
    async def test_the_first_to_ask_owns_the_pool_and_the_others_start_nothing(
        self, share: MakeShared
    ) -> None:
        first, second, third = share(), share(), share()
        pids = [(await one.invoke("echo", {"texts": ["a"]}, {}))["pid"] for one in (first, second, third)]
        assert len(set(pids)) == 1
        assert [one.standing for one in (first, second, third)] == [
            OwnerRole.OWNER, OwnerRole.MEMBER, OwnerRole.MEMBER,
        ]  # fmt: skip

    async def test_nothing_is_joined_or_locked_before_a_model_is_asked(
        self, share: MakeShared, tmp_path: Path
    ) -> None:
        models = share()
        assert models.fingerprint("echo") == "f"
        models.foresee("run", {})
        models.foresee("run", None)
        await models.invoke("echo", {"texts": []}, {})
        await models.close()
        assert not (tmp_path / "home").exists()

    async def test_what_a_member_holds_is_free_once_it_is_released_or_the_member_is_gone(
        self, share: MakeShared
    ) -> None:
        owner, member = share(), share()
        await owner.invoke("echo", {"texts": ["a"]}, {})
        async with member.held("echo") as told:
            assert "pid" in told
            call = asyncio.ensure_future(owner.invoke("echo", {"texts": ["ab"]}, {}))
            await asyncio.sleep(0.05)
            assert not call.done()
        assert (await call)["vectors"] == [[2, 0]]
        holding = contextlib.AsyncExitStack()
        await holding.enter_async_context(member.held("echo"))
        call = asyncio.ensure_future(owner.invoke("echo", {"texts": ["ab"]}, {}))
        await member.close()
        async with asyncio.timeout(PATIENCE_S):
            assert (await call)["vectors"] == [[2, 0]]
        await holding.aclose()

    async def test_what_a_run_foresees_is_loaded_by_the_owner_and_by_the_one_after_it(
        self, share: MakeShared
    ) -> None:
        owner, member = share(), share()
        await owner.invoke("echo", {"texts": ["a"]}, {})
        await member.invoke("echo", {"texts": ["a"]}, {})
        member.foresee("run", {"echo": 1})
        await owner.close()
        async with asyncio.timeout(PATIENCE_S):
            await until(lambda: bool(member.pids()), every_s=0.01)  # nobody has asked again
        assert member.standing is OwnerRole.OWNER

    async def test_the_owner_knows_what_the_runs_of_others_need_until_they_are_gone(
        self, share: MakeShared
    ) -> None:
        owner, member = share(), share()
        await owner.invoke("echo", {"texts": ["a"]}, {})
        member.foresee("before", {"echo": 2})
        await member.invoke("echo", {"texts": ["a"]}, {})
        member.foresee("after", {"echo": 1})

        def needed() -> dict[str, int]:
            return owner.status().pool.models[0].needed_by

        await until(lambda: needed() == {"before": 2, "after": 1}, every_s=0.01)
        member.foresee("before", None)
        await until(lambda: needed() == {"after": 1}, every_s=0.01)
        await member.close()
        await until(lambda: needed() == {}, every_s=0.01)

    async def test_one_name_with_two_fingerprints_is_two_models(self, share: MakeShared) -> None:
        owner, member = share(), share("g")
        first = await owner.invoke("echo", {"texts": ["a"]}, {})
        second = await member.invoke("echo", {"texts": ["a"]}, {})
        assert first["pid"] != second["pid"]
        assert member.pids() == {}
        assert sorted(owner.pids()) == ["echo", "echo~g"]

    async def test_a_model_that_the_owner_makes_otherwise_is_loaded_by_the_one_who_asks(
        self, share: MakeShared
    ) -> None:
        owner, member = share(), share("g", settings=b"h")
        await owner.invoke("echo", {"texts": ["a"]}, {})
        assert (await member.invoke("echo", {"texts": ["ab"]}, {}))["vectors"] == [[2, 0]]
        assert (list(owner.pids()), list(member.pids())) == (["echo"], ["echo"])

    async def test_the_events_of_the_pool_are_heard_by_those_who_come_later(
        self, share: MakeShared, tmp_path: Path
    ) -> None:
        await share().invoke("echo", {"texts": ["a"]}, {})
        bus = Bus()
        box = await bus.mailbox("pit.pool.>", owner="test", replay=Replay())
        joined = await join(bus, bus_address(tmp_path / "home"), serve=False)
        heard = [await asyncio.wait_for(box.receive(), PATIENCE_S) for _ in range(3)]
        topics = [one.payload.topic for one in heard if isinstance(one.payload, EventPayload)]
        assert topics == ["pit.pool.owner", "pit.pool.warming", "pit.pool.hot"]
        await joined.close()
        await bus.close()

    async def test_an_answer_of_any_size_that_a_model_may_give_arrives_or_is_refused(
        self, share: MakeShared
    ) -> None:
        owner, member = share(), share()
        await owner.invoke("echo", {"texts": ["a"]}, {})
        with pytest.raises(ModelFailed, match="exceeds the limit") as caught:
            await member.invoke("echo", {"texts": ["huge"]}, {})
        assert caught.value.code == "limit-exceeded"
        with pytest.raises(ModelFailed, match="exceeds the limit"):
            await member.invoke("echo", {"texts": ["x" * (65 * 1024 * 1024)]}, {})
        with pytest.raises(ModelFailed, match="cannot be sent"):
            await member.invoke("echo", {"texts": ["\ud800"]}, {})
        assert (await member.invoke("echo", {"texts": ["a"]}, {}))["vectors"] == [[1, 0]]
        assert member.standing is OwnerRole.MEMBER

    async def test_a_call_that_kills_the_process_fails_and_not_the_owner(self, share: MakeShared) -> None:
        owner, member = share(), share()
        await owner.invoke("echo", {"texts": ["a"]}, {})
        with pytest.raises(ModelFailed, match="twice, on the same input"):
            await member.invoke("echo", {"texts": ["die"]}, {})
        assert (member.standing, member.pids()) == (OwnerRole.MEMBER, {})

    async def test_a_call_goes_on_when_the_hub_of_the_bus_changes_and_is_made_once(
        self, share: MakeShared, tmp_path: Path
    ) -> None:
        hub = LiveBus(tmp_path / "home")
        await hub.reach()
        owner, member = share(), share()
        await owner.invoke("echo", {"texts": ["a"]}, {})
        mark = tmp_path / "begun"
        call = asyncio.ensure_future(member.invoke("echo", {"texts": [f"slow {mark}"]}, {}))
        await until(mark.exists, every_s=0.01)
        await hub.close()
        async with asyncio.timeout(PATIENCE_S):
            await call
        assert mark.read_text() == "x"
        assert (owner.standing, member.standing) == (OwnerRole.OWNER, OwnerRole.MEMBER)
        assert member.pids() == {}

    async def test_a_lease_outlives_the_hub_of_the_bus(self, share: MakeShared, tmp_path: Path) -> None:
        hub = LiveBus(tmp_path / "home")
        await hub.reach()
        owner, member = share(), share()
        await owner.invoke("echo", {"texts": ["a"]}, {})
        async with member.held("echo"):
            await hub.close()
            await until(lambda: member.standing is OwnerRole.MEMBER, every_s=0.01)
            call = asyncio.ensure_future(owner.invoke("echo", {"texts": ["ab"]}, {}))
            await asyncio.wait({call}, timeout=ABSENT_S + 0.5)
            assert not call.done()
        async with asyncio.timeout(PATIENCE_S):
            assert (await call)["vectors"] == [[2, 0]]

    async def test_a_model_that_is_held_and_lost_with_its_owner_may_be_asked_again(
        self, share: MakeShared
    ) -> None:
        owner, member = share(), share()
        await owner.invoke("echo", {"texts": ["a"]}, {})
        with pytest.raises(ModelLost):
            async with member.held("echo"):
                await owner.close()
                raise ModelFailed("the connection is gone", code="model-unreachable")
        async with member.held("echo") as told:
            assert told["pid"] == member.pids()["echo"]
