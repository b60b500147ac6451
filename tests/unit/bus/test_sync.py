"""Two sides hold one state, whatever becomes of the messages between them."""

from dataclasses import dataclass, field
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from symphony.bus.core.patches import apply, difference, merged, same, splice
from symphony.bus.core.sync import (
    Conflict,
    Delta,
    Have,
    Head,
    Message,
    Primary,
    Proposal,
    Resolve,
    Secondary,
    Snapshot,
    Stamp,
    SyncStep,
    Winner,
    read,
    written,
)
from symphony.commons.errors import SerializationFailed, ValidationFailed
from symphony.ipc import values
from symphony.ports.values import Value

LEAVES = st.sampled_from([None, True, 1, 1.0, 0.0, -0.0, "", "abc", "abcabc", "ä€", b"", b"abab"])
VALUES = st.recursive(
    LEAVES,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.sampled_from("abc"), below, max_size=3),
    max_leaves=8,
)
POLICIES: list[Resolve] = [*Winner, lambda met: merged(met.base, met.theirs, met.ours)]


@given(VALUES, VALUES)
def test_a_difference_applied_gives_the_other_value_and_changes_nothing_in_place(
    before: Value, after: Value
) -> None:
    kept = msgspec.msgpack.encode(before)
    patch = difference(before, after)
    assert (patch is None) == same(before, after)
    assert patch is None or same(apply(before, patch), after)
    assert msgspec.msgpack.encode(before) == kept


@given(VALUES, VALUES, VALUES)
def test_merging_takes_what_one_side_alone_changed(base: Value, theirs: Value, ours: Value) -> None:
    assert same(merged(base, theirs, base), theirs)
    assert same(merged(base, base, ours), ours)
    merged(base, theirs, ours)


@pytest.mark.parametrize(
    ("base", "theirs", "ours", "expected"),
    [
        ("one two three", "ONE two three", "one two THREE", "ONE two THREE"),
        ("one two three", "one two THREE", "ONE two three", "ONE two THREE"),
        ("one", "two", "three", "two"),
        ({"a": 1, "b": 1}, {"a": 2, "b": 1}, {"a": 1, "b": 3}, {"a": 2, "b": 3}),
        ({"a": 1}, {}, {"a": 1, "b": 2}, {"b": 2}),
        ({"a": 1}, {}, {"a": 2}, {"a": 2}),
    ],
)
def test_changes_that_lie_apart_are_merged(base: Value, theirs: Value, ours: Value, expected: Value) -> None:
    assert merged(base, theirs, ours) == expected


def test_a_map_has_the_order_of_its_keys_after_a_patch_whichever_changed() -> None:
    before: Value = {"z": 1, "m": {"y": 1, "b": 2}, "a": 3}
    for after in (
        {"a": 3, "z": 1, "m": {"y": 1, "b": 2}},
        {"z": 1, "m": {"b": 2, "y": 1}, "a": 3},
        {"z": 1, "new": 2, "m": {"y": 1, "b": 2}, "a": 4},
        {"m": {"y": 1, "b": 2}, "a": 3, "z": 5, "end": 6},
        {"z": 1, "m": {"y": 1, "b": 2}, "a": 3, "new": 4},
    ):
        patch = difference(before, after)  # type: ignore[arg-type]
        assert patch is not None
        assert repr(apply(before, patch)) == repr(after)
    assert difference(before, {**before, "new": 4}) == ["map", {"new": ["put", 4]}, []]  # type: ignore[dict-item]


@pytest.mark.parametrize("size", [10_000_000])
def test_an_edit_in_a_large_buffer_is_a_small_patch(size: int) -> None:
    before = b"0123456789" * (size // 10)
    after = before[: size // 2] + b"new" + before[size // 2 + 5 :]
    patch = difference(before, after)
    assert patch is not None
    assert len(msgspec.msgpack.encode(patch)) < 40
    assert apply(before, patch) == after


@pytest.mark.parametrize(
    "patch",
    [
        None, [], ["put"], ["splice", 0, 9, ""], ["splice", -1, 0, ""], ["splice", True, 0, ""],
        ["splice", 0, 0, b""], ["splice", 0, 0, None], ["map", {}, []], ["dance", 1],
        ["splice", 2**62, 2**62, ""],
    ],
)  # fmt: skip
def test_a_patch_that_does_not_fit_is_refused(patch: Value) -> None:
    with pytest.raises(ValidationFailed):
        apply("abc", patch)
    with pytest.raises(ValidationFailed):
        apply({"a": 1}, ["map", {}, ["b"]])
    with pytest.raises(ValidationFailed):
        splice(-1, 0, "")


@dataclass
class Net:
    """Both sides, and the messages on their way, which the test delivers, doubles and loses."""

    policy: Resolve
    kept_max: int = 3
    now_ns: int = 0
    born: int = 0
    way: list[tuple[str, Value]] = field(default_factory=list)
    seen: dict[str, Value] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.start("primary", "", None)
        self.start("secondary", "", None)

    def start(self, side: str, state: Value, stamp: Stamp | None) -> None:
        self.born += 1
        if side == "primary":
            self.primary = Primary(
                state, site="p", epoch=f"p{self.born}", stamp=stamp, kept_max=self.kept_max
            )
        else:
            self.secondary = Secondary(
                state, site="s", epoch=f"s{self.born}", stamp=stamp, policy=self.policy
            )
        self.seen[side] = state

    def core(self, side: str) -> Primary | Secondary:
        return self.primary if side == "primary" else self.secondary

    def did(self, side: str, step: SyncStep) -> None:
        if step.patch is not None:
            self.seen[side] = apply(self.seen[side], step.patch)
        assert same(self.seen[side], self.core(side).state), "patches tell of every change"
        self.send(side, step.send)

    def send(self, side: str, messages: tuple[Message, ...]) -> None:
        for message in messages:
            value = written(message)
            values.check(value)
            assert read(value) == message
            self.way.append(("secondary" if side == "primary" else "primary", value))

    def edit(self, side: str, state: Value) -> None:
        patch = difference(self.core(side).state, state)
        if patch is not None:
            step = self.core(side).edit(patch, self.now_ns)
            self.seen[side] = self.core(side).state
            self.did(side, step)

    def deliver(self, at: int, *, keep: bool = False) -> None:
        side, value = self.way[at] if keep else self.way.pop(at)
        self.did(side, self.core(side).handle(read(value)))

    def settle(self) -> None:
        """Everything gets through from now on, in order."""
        for _ in range(30):
            while self.way:
                self.deliver(0)
            if self.primary.settled and self.secondary.settled:
                break
            for side in ("primary", "secondary"):
                self.send(side, self.core(side).remind())
        assert self.primary.settled
        assert self.secondary.settled
        assert same(self.primary.state, self.secondary.state)
        assert self.primary.version == self.secondary.version


ACTIONS = st.lists(
    st.sampled_from(
        [
            *("edit primary", "edit secondary", "deliver", "deliver", "deliver", "double", "lose", "remind"),
            *("restart primary", "restart secondary", "clock"),
        ]
    ),
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(ACTIONS, st.integers(0, 2**32), st.sampled_from(range(len(POLICIES))), st.sampled_from([1, 3, 100]))
def test_both_sides_come_to_one_state_after_any_loss_doubling_order_and_restart(
    actions: list[str], seed: int, policy: int, kept_max: int
) -> None:
    rng, net = Random(seed), Net(POLICIES[policy], kept_max)
    for number, action in enumerate(actions):
        verb, _, side = action.partition(" ")
        if verb == "edit":
            text = str(net.core(side).state)
            at = rng.randint(0, len(text))
            net.edit(side, text[:at] + f"<{number}>" + text[at + rng.randint(0, 4) :])
        elif verb == "restart":
            core = net.core(side)
            net.start(side, *rng.choice([("", None), (core.state, core.stamp)]))
        elif verb == "clock":
            net.now_ns = rng.randint(0, 1000)
        elif verb == "remind":
            for one in ("primary", "secondary"):
                net.send(one, net.core(one).remind())
        elif net.way:
            at = rng.randrange(len(net.way))
            if verb == "lose":
                del net.way[at]
            else:
                net.deliver(at, keep=verb == "double")
    net.settle()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["deliver", "double", "lose", "remind", "edit"]), max_size=50),
    st.integers(0, 2**32),
)
def test_what_one_side_alone_writes_is_never_lost(actions: list[str], seed: int) -> None:
    """Every policy: where only the secondary writes there is no conflict, whatever the way does."""
    rng, net = Random(seed), Net(Winner.PRIMARY)
    for number, action in enumerate(actions):
        if action == "edit":
            net.edit("secondary", f"{net.secondary.state}{number},")
        elif action == "remind":
            for side in ("primary", "secondary"):
                net.send(side, net.core(side).remind())
        elif net.way:
            at = rng.randrange(len(net.way))
            if action == "lose":
                del net.way[at]
            else:
                net.deliver(at, keep=action == "double")
    expected = net.secondary.state
    net.settle()
    assert net.primary.state == expected


def at_odds(policy: Resolve) -> Net:
    """Both sides at `base`, then each changed it, the secondary later."""
    net = Net(policy)
    net.edit("primary", "base line")
    net.settle()
    net.now_ns = 10
    net.edit("primary", "BASE line")
    net.now_ns = 20
    net.edit("secondary", "base LINE")
    return net


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (Winner.PRIMARY, "BASE line"),
        (Winner.SECONDARY, "base LINE"),
        (Winner.LAST_WRITER, "base LINE"),
        (POLICIES[-1], "BASE LINE"),
    ],
)
def test_what_both_sides_changed_is_settled_by_the_policy(policy: Resolve, expected: str) -> None:
    net = at_odds(policy)
    net.settle()
    assert net.primary.state == net.secondary.state == expected


def test_the_last_writer_wins_with_a_clock_that_was_set_back() -> None:
    """An edit is later than what it was made on."""
    net = Net(Winner.LAST_WRITER)
    net.now_ns = 1000
    net.edit("primary", "first")
    net.settle()
    net.now_ns = 0
    net.edit("secondary", "second")
    net.settle()
    assert net.primary.state == "second"
    assert net.primary.stamp == Stamp(1001, "s")


def test_the_policy_hears_what_was_there_before_both_changes() -> None:
    heard: list[Conflict] = []

    def hear(met: Conflict) -> Value:
        heard.append(met)
        return "settled"

    net = at_odds(hear)
    net.settle()
    assert net.primary.state == "settled"
    assert [(one.base, one.theirs, one.ours, one.related) for one in heard] == [
        ("base line", "BASE line", "base LINE", True)
    ]


@pytest.mark.parametrize("policy", range(len(POLICIES)))
def test_a_primary_that_comes_back_empty_gets_its_state_from_the_secondary(policy: int) -> None:
    net = Net(POLICIES[policy])
    net.edit("secondary", "precious")
    net.settle()
    net.start("primary", "", None)
    net.settle()
    assert net.primary.state == "precious"


def test_a_secondary_that_comes_back_empty_gets_a_snapshot() -> None:
    net = Net(Winner.SECONDARY)
    net.edit("primary", "precious")
    net.settle()
    net.start("secondary", "", None)
    net.send("secondary", net.secondary.remind())
    net.deliver(0)
    assert isinstance(read(net.way[0][1]), Snapshot)
    net.settle()
    assert net.secondary.state == "precious"


def test_a_gap_is_filled_with_deltas_while_they_are_kept_and_with_a_snapshot_after() -> None:
    for missed, kind in ((3, Delta), (4, Snapshot)):
        net = Net(Winner.PRIMARY, kept_max=4)
        net.edit("primary", "x")
        net.settle()
        for number in range(missed + 1):
            net.edit("primary", f"{number}")
        del net.way[:missed]
        net.deliver(0)
        assert [read(value) for _, value in net.way] == [Have("p1", 1, read_ask(net), True)]
        net.deliver(0)
        assert isinstance(read(net.way[0][1]), kind)
        net.settle()


def read_ask(net: Net) -> object:
    return net.secondary._ask


def test_kept_versions_are_bounded_in_number_and_bytes() -> None:
    primary = Primary(b"", site="p", epoch="e", kept_max=5, kept_bytes_max=1000)
    for _ in range(20):
        primary.edit(["put", b"x" * 10], 0)
    assert len(primary._kept) == 5
    primary.edit(["put", b"x" * 2000], 0)
    assert len(primary._kept) == 0
    assert primary._kept_bytes == 0


def test_an_edit_that_does_not_fit_changes_nothing() -> None:
    net = Net(Winner.PRIMARY)
    for side in ("primary", "secondary"):
        with pytest.raises(ValidationFailed):
            net.core(side).edit(["splice", 5, 1, ""], 0)
        assert net.core(side).stamp is None
    assert net.primary.version == 0


@given(VALUES)
def test_what_is_no_message_is_refused_or_harmless(value: Value) -> None:
    for body in (
        value,
        ["head", value],
        ["delta", "p1", 1, value, [1, "x"], ["", 0]],
        ["have", "", -1, ["", 0], True],
    ):
        try:
            message = read(body)
        except SerializationFailed:
            continue
        net = Net(Winner.PRIMARY)
        net.edit("primary", "abc")
        net.settle()
        for side in ("primary", "secondary"):
            net.did(side, net.core(side).handle(message))
        net.settle()


@pytest.mark.parametrize("side", ["primary", "secondary"])
def test_a_side_passes_over_what_its_own_kind_says(side: str) -> None:
    net, mark = Net(Winner.PRIMARY), ("s", 1)
    own: list[Value] = {
        "primary": [["head", "p1", 7], ["snapshot", "p1", 3, "x", None, list(mark), list(mark)]],
        "secondary": [
            ["have", "p1", 0, list(mark), True],
            ["proposal", "p1", 0, ["put", 1], [1, "x"], list(mark)],
        ],
    }[side]
    for message in own:
        assert net.core(side).handle(read(message)) == SyncStep()
    assert isinstance(read(own[0]), Head | Have)
    assert isinstance(read(own[1]), Snapshot | Proposal)
