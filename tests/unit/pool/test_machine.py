"""Who gets which model, without processes: scenes."""

from dataclasses import dataclass, field

from symphony.pit.pool.core.actions import (
    CountPrewarm,
    GrantLease,
    LeaseRequest,
    LoseLease,
    PoolAction,
    RefuseLease,
    RefuseWarm,
    StartModel,
    StopModel,
)
from symphony.pit.pool.core.budget import PoolBudget, PooledModel, PoolPolicy
from symphony.pit.pool.core.entries import AGEING_S, LINGER_S
from symphony.pit.pool.core.lifecycle import PhaseChanged
from symphony.pit.pool.core.machine import RESIDENCE, PoolMachine
from symphony.ports.pool import LeaseStatus, ModelPhase, ModelStatus, PrewarmCounts

LOOKAHEAD = PoolPolicy(markov=False, histogram=False)
REACTIVE = PoolPolicy(lookahead=False, markov=False, histogram=False)


@dataclass
class Scene:
    """A pool of models of 10 bytes each, one call at a time, and what it has said so far."""

    names: str = "abc"
    bytes_max: int = 20
    policy: PoolPolicy = REACTIVE
    slots: int = 1
    now_s: float = 0.0
    said: list[PoolAction] = field(default_factory=list)

    def __post_init__(self) -> None:
        models = [PooledModel(name=name, size_bytes=10, slots=self.slots) for name in self.names]
        budget = PoolBudget(bytes_max=self.bytes_max)
        self.pool = PoolMachine(models, budget, self.policy, now_s=0.0)

    def ask(
        self, lease: str, model: str, *, run: str | None = None, priority: int = 0, keeps: bool = False
    ) -> list[PoolAction]:
        request = LeaseRequest(lease=lease, model=model, run=run, priority=priority, keeps=keeps)
        return self.heard(self.pool.acquire(request, self.now_s))

    def warm(self, model: str) -> list[PoolAction]:
        return self.heard(self.pool.warm(model, self.now_s))

    def release(self, lease: str) -> list[PoolAction]:
        return self.heard(self.pool.release(lease, self.now_s))

    def ready(self, model: str) -> list[PoolAction]:
        return self.heard(self.pool.ready(model, self.now_s))

    def gone(self, model: str, retry_after_s: float = 0.0, *, refused: bool = False) -> list[PoolAction]:
        retry_at_s = self.now_s + retry_after_s
        return self.heard(self.pool.died(model, "it died", retry_at_s, self.now_s, refused=refused))

    def tick(self) -> list[PoolAction]:
        return self.heard(self.pool.tick(self.now_s))

    def announce(self, run: str, **needs: int) -> list[PoolAction]:
        self.heard(self.pool.announce(run, needs, self.now_s))
        return self.tick()

    def hot(self, *models: str) -> None:
        """Load them, and let nobody use them."""
        for model in models:
            self.ask(f"load {model}", model)
            self.ready(model)
            self.release(f"load {model}")
            self.now_s += 1

    def heard(self, actions: tuple[PoolAction, ...]) -> list[PoolAction]:
        self.said += actions
        return [action for action in actions if not isinstance(action, PhaseChanged | CountPrewarm)]


def test_a_cold_model_is_started_and_the_lease_granted_when_it_is_ready() -> None:
    scene = Scene()
    assert scene.ask("1", "a") == [StartModel("a", ahead=False)]
    scene.now_s = 2.5
    assert scene.ready("a") == [GrantLease("1", "a", cold=True, waited_s=2.5)]
    changes = [one for one in scene.said if isinstance(one, PhaseChanged)]
    assert [(one.after, one.reason, one.lasted_s) for one in changes] == [
        (ModelPhase.WARMING, "asked for", 0.0),
        (ModelPhase.HOT, "loaded", 2.5),
    ]


def test_a_hot_model_is_granted_at_once() -> None:
    scene = Scene()
    scene.hot("a")
    assert scene.ask("1", "a") == [GrantLease("1", "a", cold=False, waited_s=0.0)]


def test_calls_beyond_the_slots_wait_for_a_release_in_order() -> None:
    scene = Scene(slots=2)
    scene.hot("a")
    for lease in "1234":
        scene.ask(lease, "a")
    assert scene.pool.users("a") == 2
    assert scene.release("2") == [GrantLease("3", "a", cold=False, waited_s=0.0)]
    assert scene.release("1") == [GrantLease("4", "a", cold=False, waited_s=0.0)]


def test_the_longest_unused_model_makes_room() -> None:
    scene = Scene()
    scene.hot("a", "b")
    assert scene.ask("1", "c") == [StopModel("a")]
    assert scene.gone("a") == [StartModel("c", ahead=False)]


def test_a_model_that_a_running_graph_needs_stays() -> None:
    scene = Scene(policy=LOOKAHEAD)
    scene.hot("a", "b")
    scene.announce("r", a=2)
    assert scene.ask("1", "c") == [StopModel("b")]


def test_of_needed_models_the_one_needed_last_goes() -> None:
    scene = Scene(policy=LOOKAHEAD)
    scene.hot("a", "b")
    scene.announce("r", a=1, b=2)
    assert scene.ask("1", "c") == [StopModel("b")]


def test_a_model_in_use_is_drained_and_never_stopped() -> None:
    scene = Scene(bytes_max=10)
    scene.hot("a")
    scene.ask("1", "a")
    assert scene.ask("2", "b") == []
    assert scene.ask("3", "a") == []  # it is about to go
    assert scene.release("1") == [StopModel("a")]
    assert scene.gone("a") == [StartModel("b", ahead=False)]
    scene.ready("b")
    assert scene.release("2") == [StopModel("b")]
    assert scene.gone("b") == [StartModel("a", ahead=False)]


def test_models_that_take_turns_are_not_loaded_for_each_call() -> None:
    scene = Scene(bytes_max=10)
    scene.ask("1", "a")
    scene.now_s = 2.0
    scene.ready("a")
    assert scene.ask("2", "b") == []
    assert scene.release("1") == []
    assert scene.ask("3", "a") == [GrantLease("3", "a", cold=False, waited_s=0.0)]
    scene.tick()
    assert scene.pool.due_s(scene.now_s) == 2.0 + RESIDENCE * 2.0
    scene.now_s = 22.0
    assert scene.tick() == []
    assert scene.release("3") == [StopModel("a")]


def test_a_model_that_is_not_used_makes_room_at_once() -> None:
    scene = Scene(bytes_max=10)
    scene.ask("1", "a")
    scene.now_s = 2.0
    scene.ready("a")
    scene.ask("2", "b")
    scene.release("1")
    scene.tick()
    assert scene.pool.due_s(scene.now_s) == 2.0 + LINGER_S
    scene.now_s += LINGER_S
    assert scene.tick() == [StopModel("a")]


def test_what_a_run_needs_soon_stays_though_the_others_were_used_just_now() -> None:
    scene = Scene(bytes_max=20, policy=LOOKAHEAD)
    scene.hot("a")
    scene.announce("run", a=2)
    scene.ask("1", "b")
    scene.now_s += 2
    scene.ready("b")
    scene.release("1")
    assert scene.ask("2", "c") == []
    assert scene.tick() == []
    assert scene.pool.due_s(scene.now_s) == scene.now_s + LINGER_S
    scene.now_s += LINGER_S
    assert scene.tick() == [StopModel("b")]


def test_a_model_that_is_drained_is_given_to_nobody_else() -> None:
    scene = Scene(bytes_max=10, slots=2)
    scene.hot("a")
    scene.ask("1", "a")
    scene.ask("2", "b")
    assert scene.ask("3", "a") == []
    assert scene.release("1") == [StopModel("a")]


def test_a_model_that_is_stopped_while_it_loads_ends_however_late_it_gets_ready() -> None:
    scene = Scene(bytes_max=10, policy=LOOKAHEAD)
    scene.announce("r", a=1)
    scene.ask("1", "b")
    assert scene.ready("a") == []
    assert scene.gone("a") == [StartModel("b", ahead=False)]


def test_a_higher_priority_goes_first_and_waiting_makes_up_for_it() -> None:
    scene = Scene()
    scene.hot("a")
    scene.ask("0", "a")
    scene.ask("low", "a", priority=0)
    scene.ask("high", "a", priority=1)
    assert scene.release("0") == [GrantLease("high", "a", cold=False, waited_s=0.0)]
    scene.now_s += AGEING_S + 1
    scene.ask("late", "a", priority=1)
    (granted,) = scene.release("high")
    assert isinstance(granted, GrantLease)
    assert granted.lease == "low"


def test_an_unknown_model_and_one_beyond_the_budget_are_refused() -> None:
    scene = Scene(bytes_max=5)
    assert scene.ask("1", "nope") == [RefuseLease("1", "nope", "there is no model 'nope'")]
    assert scene.ask("2", "a") == [RefuseLease("2", "a", "it needs 10 bytes and the pool has 5")]
    assert scene.pool.waiting == 0


def test_a_request_that_is_taken_back_leaves_nothing() -> None:
    scene = Scene(bytes_max=10)
    scene.hot("a")
    scene.ask("1", "a")
    scene.ask("2", "a")
    assert scene.release("2") == []
    assert scene.release("2") == []
    assert scene.release("1") == []
    assert (scene.pool.waiting, scene.pool.users("a")) == (0, 0)


def test_leases_of_a_process_that_died_are_lost_and_it_is_started_again_after_a_while() -> None:
    scene = Scene(slots=2)
    scene.hot("a")
    scene.ask("1", "a")
    scene.ask("2", "a")
    assert scene.gone("a", retry_after_s=5) == [
        LoseLease("1", "a", None, "it died"),
        LoseLease("2", "a", None, "it died"),
    ]
    assert scene.ask("3", "a") == []
    scene.tick()
    assert scene.pool.due_s(scene.now_s) == scene.now_s + 5
    scene.now_s += 5
    assert scene.tick() == [StartModel("a", ahead=False)]


def test_a_model_that_never_loads_is_refused_to_those_who_wait() -> None:
    scene = Scene()
    scene.ask("1", "a")
    assert scene.gone("a") == [StartModel("a", ahead=False)]
    assert scene.gone("a") == [StartModel("a", ahead=False)]
    assert scene.gone("a") == [RefuseLease("1", "a", "it died")]
    assert scene.ask("2", "a") == [StartModel("a", ahead=False)]


def test_a_refusal_is_told_to_all_who_ask_until_it_may_be_tried_again() -> None:
    scene = Scene()
    scene.ask("1", "a")
    assert scene.gone("a", retry_after_s=1, refused=True) == [RefuseLease("1", "a", "it died")]
    assert scene.ask("2", "a") == [RefuseLease("2", "a", "it died")]
    scene.now_s += 1
    assert scene.ask("3", "a") == [StartModel("a", ahead=False)]
    assert scene.ready("a") == [GrantLease("3", "a", cold=True, waited_s=0.0)]


def test_an_idle_model_ends_after_its_time() -> None:
    scene = Scene()
    scene.hot("a")
    scene.tick()
    due_s = scene.pool.due_s(scene.now_s)
    assert due_s == 0.0 + REACTIVE.keep_s
    scene.now_s = due_s
    assert scene.tick() == [StopModel("a")]


def test_a_model_that_is_needed_soon_does_not_end_when_idle() -> None:
    scene = Scene(policy=LOOKAHEAD)
    scene.hot("a")
    scene.announce("r", a=2)
    scene.now_s += 10_000
    assert scene.tick() == []
    assert scene.pool.due_s(scene.now_s) is None


def test_a_model_that_refuses_is_not_loaded_ahead_again_until_someone_who_asks_got_it() -> None:
    scene = Scene(policy=LOOKAHEAD)
    assert scene.announce("r", a=1) == [StartModel("a", ahead=True)]
    scene.gone("a", retry_after_s=1.0, refused=True)
    for _ in range(100):
        scene.now_s += 1.0
        assert scene.tick() == []
    assert scene.announce("other", a=2) == []
    assert scene.ask("1", "a") == [StartModel("a", ahead=False)]
    scene.ready("a")
    scene.release("1")
    scene.heard(scene.pool.unload("a", scene.now_s))
    scene.gone("a")
    assert scene.announce("third", a=1) == [StartModel("a", ahead=True)]


def test_what_comes_next_is_loaded_ahead_if_there_is_room() -> None:
    scene = Scene(policy=LOOKAHEAD)
    assert scene.announce("r", a=1, b=1, c=1) == [StartModel("a", ahead=True), StartModel("b", ahead=True)]
    scene.ready("a")
    scene.ask("1", "a")
    assert (scene.pool.prewarms.started, scene.pool.prewarms.hits) == (2, 1)


def test_what_is_needed_later_is_loaded_once_what_is_needed_sooner_is() -> None:
    """So that it takes neither the disk nor the cores from that."""
    scene = Scene(policy=LOOKAHEAD, bytes_max=30)
    assert scene.announce("r", a=1, b=2) == [StartModel("a", ahead=True)]
    assert scene.announce("s", c=1) == [StartModel("c", ahead=True)]
    scene.ready("a")
    assert scene.tick() == []
    scene.ready("c")
    assert scene.tick() == [StartModel("b", ahead=True)]


def test_what_somebody_waits_for_holds_up_only_what_is_needed_later() -> None:
    scene = Scene(policy=LOOKAHEAD, bytes_max=30)
    scene.ask("1", "a")
    assert scene.announce("r", b=1, c=2) == [StartModel("b", ahead=True)]


def test_a_model_larger_than_the_pool_does_not_keep_others_from_being_loaded_ahead() -> None:
    scene = Scene(names="ab", policy=LOOKAHEAD)
    scene.pool.add(PooledModel(name="vast", size_bytes=21), scene.now_s)
    assert scene.announce("r", vast=1, a=1, b=2) == [StartModel("a", ahead=True)]
    scene.ready("a")
    assert scene.tick() == [StartModel("b", ahead=True)]


def test_loading_ahead_stops_only_what_is_not_needed_sooner() -> None:
    scene = Scene(policy=LOOKAHEAD)
    scene.hot("a", "b")
    scene.announce("r", a=1, b=2)
    assert scene.announce("s", c=2) == []
    assert scene.announce("s", c=1) == [StopModel("b")]


def test_a_request_comes_before_anything_that_is_loaded_ahead() -> None:
    scene = Scene(bytes_max=10, policy=LOOKAHEAD)
    assert scene.announce("r", a=1) == [StartModel("a", ahead=True)]
    assert scene.ask("1", "b") == [StopModel("a")]
    assert scene.gone("a") == [StartModel("b", ahead=False)]
    assert scene.pool.prewarms.wasted == 1


def test_a_model_that_takes_more_than_there_is_counts_as_all_and_is_shown_as_it_is() -> None:
    scene = Scene()
    scene.hot("a", "b")
    scene.ask("1", "a")
    assert scene.heard(scene.pool.measured("a", 99, scene.now_s)) == [StopModel("b")]
    status = scene.pool.status(scene.now_s, 1000.0, {})
    assert (status.models[0].bytes, status.models[0].measured) == (99, True)
    scene.gone("b")
    assert scene.pool.status(scene.now_s, 1000.0, {}).bytes_loaded == 20
    scene.ask("2", "b")
    assert scene.release("1") == [StopModel("a")]
    assert scene.gone("a") == [StartModel("b", ahead=False)]


def test_a_model_larger_than_declared_makes_idle_ones_leave() -> None:
    scene = Scene(bytes_max=30)
    scene.hot("a", "b")
    scene.ask("1", "c")
    assert scene.heard(scene.pool.measured("c", 11, scene.now_s)) == [StopModel("a")]


def test_unloading_waits_for_users() -> None:
    scene = Scene()
    scene.hot("a")
    scene.ask("1", "a")
    assert scene.heard(scene.pool.unload("a", scene.now_s)) == []
    assert scene.release("1") == [StopModel("a")]


def test_what_is_kept_takes_no_slot_and_is_not_asked_to_leave() -> None:
    scene = Scene()
    scene.hot("a", "b")
    assert scene.ask("keep", "a", keeps=True) == [GrantLease("keep", "a", cold=False, waited_s=0.0)]
    assert scene.ask("1", "a") == [GrantLease("1", "a", cold=False, waited_s=0.0)]
    assert scene.pool.users("a") == 1
    scene.release("1")
    scene.now_s += 1000
    assert scene.ask("2", "c") == [StopModel("b")]
    assert scene.gone("b") == [StartModel("c", ahead=False)]
    scene.ready("c")
    assert scene.ask("3", "b") == []  # c is in use, a is kept
    assert [one.model for one in scene.pool.status(0.0, 0.0, {}).models if one.draining] == ["c"]
    scene.release("keep")
    assert scene.tick() == []
    assert scene.release("2") == [StopModel("c")]


def test_what_is_kept_and_is_to_be_unloaded_answers_until_nobody_keeps_it() -> None:
    scene = Scene()
    scene.hot("a")
    scene.ask("keep", "a", keeps=True)
    assert scene.heard(scene.pool.unload("a", scene.now_s)) == []
    assert scene.ask("1", "a") == [GrantLease("1", "a", cold=False, waited_s=0.0)]
    assert scene.ask("more", "a", keeps=True) == []
    scene.release("1")
    assert scene.release("keep") == [StopModel("a")]
    assert scene.gone("a") == [StartModel("a", ahead=False)]
    assert scene.ready("a") == [GrantLease("more", "a", cold=False, waited_s=0.0)]


def test_a_model_that_dies_is_kept_no_longer() -> None:
    scene = Scene()
    scene.hot("a")
    scene.ask("keep", "a", keeps=True)
    assert scene.gone("a", 5.0) == [LoseLease("keep", "a", None, "it died")]
    scene.now_s += 5
    scene.ask("1", "a")
    scene.ready("a")
    assert scene.pool.users("a") == 1


def test_warming_by_hand_takes_free_room() -> None:
    scene = Scene()
    assert scene.warm("a") == [StartModel("a", ahead=False)]
    assert scene.pool.wanted("a")
    scene.ready("a")
    assert not scene.pool.wanted("a")
    assert scene.pool.prewarms == PrewarmCounts()


def test_warming_by_hand_stops_what_is_needed_later_or_never() -> None:
    scene = Scene(policy=LOOKAHEAD)
    scene.hot("a", "b")
    scene.announce("r", a=1, b=2)
    assert scene.warm("c") == [StopModel("b")]
    assert scene.gone("b") == []
    assert scene.tick() == [StartModel("c", ahead=False)]


def test_warming_by_hand_is_refused_if_all_room_is_in_use_or_needed_as_soon() -> None:
    scene = Scene(policy=LOOKAHEAD)
    scene.hot("a", "b")
    scene.ask("1", "a")
    scene.announce("r", b=1)
    reason = "there is no room: it needs 10 bytes, 0 of 20 are free"
    (refused,) = scene.warm("c")
    assert isinstance(refused, RefuseWarm)
    assert refused.full
    assert refused.reason.startswith(reason)
    assert not scene.pool.wanted("c")


def test_warming_by_hand_waits_for_those_who_wait_for_room() -> None:
    scene = Scene(bytes_max=10)
    scene.hot("a")
    scene.ask("1", "a")
    scene.ask("2", "b")
    assert scene.warm("c") == []
    assert scene.tick() == []
    assert scene.release("1") == [StopModel("a")]
    assert scene.gone("a") == [StartModel("b", ahead=False)]
    scene.ready("b")
    (refused,) = scene.tick()
    assert isinstance(refused, RefuseWarm)


def test_warming_what_fails_to_load_is_refused_with_its_reason() -> None:
    scene = Scene()
    scene.warm("a")
    assert scene.gone("a", retry_after_s=5, refused=True) == [RefuseWarm("a", "it died")]
    assert scene.warm("a") == [RefuseWarm("a", "it died")]
    scene.now_s += 5
    assert scene.warm("a") == [StartModel("a", ahead=False)]


def test_unloading_ends_the_wish_to_have_it_warm() -> None:
    scene = Scene()
    scene.warm("a")
    assert scene.heard(scene.pool.unload("a", scene.now_s)) == [
        RefuseWarm("a", "it was unloaded by request"),
        StopModel("a"),
    ]


def test_what_was_unloaded_by_request_is_not_loaded_ahead_for_the_same_forecast() -> None:
    scene = Scene(policy=LOOKAHEAD)
    scene.announce("r", a=2)
    scene.ready("a")
    assert scene.heard(scene.pool.unload("a", scene.now_s)) == [StopModel("a")]
    scene.gone("a")
    assert scene.announce("r", a=1) == []
    assert scene.announce("s", a=1) == [StartModel("a", ahead=True)]


def test_the_status_says_who_uses_what_and_why() -> None:
    scene = Scene(policy=LOOKAHEAD, slots=1)
    scene.announce("r", a=1, b=2)
    scene.now_s = 1.0
    scene.ready("a")
    scene.tick()
    scene.heard(scene.pool.measured("a", 9, scene.now_s))
    scene.now_s = 2.0
    scene.ask("1", "a", run="r", priority=2)
    scene.ask("2", "a", run="s")
    scene.now_s = 3.0
    scene.gone("b", retry_after_s=4.0)
    status = scene.pool.status(3.0, 1003.0, {"a": 77})
    assert (status.at_s, status.bytes_loaded, status.bytes_max, status.waiting) == (1003.0, 9, 20, 1)
    assert (status.models_loaded, status.prewarms) == (1, PrewarmCounts(started=2, hits=1, wasted=1))
    a, b, c = status.models
    assert a == ModelStatus(
        model="a", phase=ModelPhase.HOT, since_s=1001.0, reason="loaded", bytes=9, measured=True, slots=1,
        pid=77,
        users=(LeaseStatus(lease="1", run="r", priority=2, since_s=1002.0),),
        waiting=(LeaseStatus(lease="2", run="s", priority=0, since_s=1002.0),),
        needed_by={"r": 1},
    )  # fmt: skip
    assert (b.phase, b.reason, b.failures, b.retry_s) == (ModelPhase.FAILED, "it died", 1, 1007.0)
    assert (b.bytes, b.measured, b.needed_by) == (10, False, {"r": 2})
    assert (c.phase, c.since_s, c.last_used_s, c.pid) == (ModelPhase.COLD, 1000.0, None, None)
    scene.release("1")
    assert scene.pool.status(3.0, 1003.0, {}).models[0].last_used_s == 1003.0
