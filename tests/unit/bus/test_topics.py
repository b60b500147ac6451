"""Patterns: the trie and the remembered routes give what matching one by one gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.bus.core.retention import Replay, Retention
from symphony.bus.core.router import Router, Subscription
from symphony.bus.core.topics import Trie, check_pattern, check_topic, matches, reaches_below
from symphony.commons.errors import ValidationFailed
from symphony.ipc import EndpointId, EventPayload, MessageEnvelope, Stationery

TOKENS = st.sampled_from(["a", "b", "ü"])
TOPICS = st.lists(TOKENS, min_size=1, max_size=4).map(".".join)
PATTERNS = st.builds(
    lambda tokens, rest: ".".join([*tokens, *rest]),
    st.lists(TOKENS | st.just("*"), min_size=1, max_size=4),
    st.sampled_from([[], [">"]]),
) | st.just(">")


@pytest.mark.parametrize(
    ("pattern", "topic", "expected"),
    [
        ("a.b", "a.b", True),
        ("a.*", "a.b", True),
        ("a.*", "a", False),
        ("a.*", "a.b.c", False),
        ("a.*.c", "a.b.c", True),
        ("a.*.c", "a.b.d", False),
        ("a.>", "a.b", True),
        ("a.>", "a.b.c.d", True),
        ("a.>", "a", False),
        ("a.>", "b.a", False),
        (">", "a", True),
        ("*.>", "a.b", True),
        ("*.>", "a", False),
    ],
)
def test_a_pattern_matches_what_nats_says(pattern: str, topic: str, expected: bool) -> None:
    assert matches(pattern, topic) is expected


@pytest.mark.parametrize("text", ["", ".", "a..b", "a.", ".a", "a b", "a\n", "a.\0", "x" * 256])
def test_what_is_no_topic_is_refused(text: str) -> None:
    with pytest.raises(ValidationFailed):
        check_topic(text)
    with pytest.raises(ValidationFailed):
        check_pattern(text)


@pytest.mark.parametrize("pattern", ["a.>.b", "a*", "*a.b", "a.>>", "a.**"])
def test_wildcards_stand_alone_and_the_rest_stands_last(pattern: str) -> None:
    with pytest.raises(ValidationFailed):
        check_pattern(pattern)
    with pytest.raises(ValidationFailed):
        check_topic(pattern)


@given(st.lists(PATTERNS, max_size=12), TOPICS)
def test_the_trie_finds_what_matches(patterns: list[str], topic: str) -> None:
    trie: Trie[int] = Trie()
    for number, pattern in enumerate(patterns):
        trie.add(pattern, number)
    expected = [number for number, pattern in enumerate(patterns) if matches(pattern, topic)]
    assert sorted(trie.match(topic)) == expected


@given(PATTERNS, TOPICS, TOPICS)
def test_a_pattern_that_matches_a_longer_topic_reaches_below_its_beginning(
    pattern: str, prefix: str, rest: str
) -> None:
    if matches(pattern, f"{prefix}.{rest}"):
        assert reaches_below(pattern, prefix)
    if reaches_below(pattern, prefix):
        below = pattern.removesuffix(">").split(".")[len(prefix.split(".")) :]
        filled = ".".join("a" if token in ("*", "") else token for token in below) or "a"
        assert matches(pattern, f"{prefix}.{filled}")


@given(st.lists(PATTERNS, max_size=12))
def test_an_emptied_trie_holds_nothing(patterns: list[str]) -> None:
    trie: Trie[int] = Trie()
    for number, pattern in enumerate(patterns):
        trie.add(pattern, number)
    for number, pattern in enumerate(patterns):
        trie.remove(pattern, number)
    assert not trie


@given(
    st.lists(st.tuples(st.sampled_from(["add", "remove", "ask"]), PATTERNS, TOPICS), max_size=60),
    st.integers(1, 4),
)
def test_remembered_routes_are_those_that_would_be_found_now(
    steps: list[tuple[str, str, str]], remembered: int
) -> None:
    router, present = Router(remembered), list[Subscription]()
    for action, pattern, topic in steps:
        if action == "add":
            present.append(Subscription(pattern, lambda _: None))
            router.add(present[-1])
        elif action == "remove" and present:
            router.remove(present.pop(len(pattern) % len(present)))
        else:
            expected = tuple(one for one in present if matches(one.pattern, topic))
            assert router.route(topic).all == expected
            assert router.route(topic).all == expected, "and again, when it is remembered"


@given(st.lists(TOPICS, max_size=60), st.integers(1, 3), st.lists(PATTERNS, max_size=3))
def test_events_are_counted_whatever_routes_are_forgotten(
    topics: list[str], remembered: int, patterns: list[str]
) -> None:
    router = Router(remembered)
    for number, topic in enumerate(topics):
        if number < len(patterns):
            router.add(Subscription(patterns[number], lambda _: None))
        router.route(topic).events += 1
    families = [topic.partition(".")[0] for topic in topics]
    assert router.events() == {family: families.count(family) for family in families}


def test_one_of_a_group_gets_each_event_in_turn_and_a_full_one_is_passed_over() -> None:
    router, full = Router(), set[str]()
    members = [
        Subscription("a", lambda _: None, owner=name, group="g", full=lambda name=name: name in full)
        for name in "xyz"
    ]
    for member in members:
        router.add(member)
    (group,) = router.route("a").groups
    assert [group.next().owner for _ in range(4)] == ["x", "y", "z", "x"]
    full.add("y")
    assert [group.next().owner for _ in range(3)] == ["z", "x", "z"]
    full |= {"x", "z"}
    assert {group.next().owner for _ in range(3)} == {"x", "y", "z"}


def event(stationery: Stationery, topic: str) -> tuple[MessageEnvelope, EventPayload]:
    payload = EventPayload(topic)
    return stationery.envelope("event", payload), payload


@given(st.lists(TOPICS, max_size=40), PATTERNS, st.integers(1, 5), st.none() | st.integers(0, 6), st.data())
def test_a_replay_is_the_end_of_what_was_kept_in_the_order_of_arrival(
    topics: list[str], pattern: str, kept: int, last: int | None, data: st.DataObject
) -> None:
    retention, stationery = Retention(">", kept), Stationery(EndpointId("t"))
    all_of_it: list[MessageEnvelope] = [retention.keep(*event(stationery, topic)) for topic in topics]

    def topic_of(envelope: MessageEnvelope) -> str:
        assert isinstance(envelope.payload, EventPayload)
        return envelope.payload.topic

    held = [
        envelope
        for place, envelope in enumerate(all_of_it)
        if [topic_of(later) for later in all_of_it[place:]].count(topic_of(envelope)) <= kept
    ]
    expected = [envelope for envelope in held if matches(pattern, topic_of(envelope))]
    after = data.draw(st.none() | st.sampled_from(expected)) if expected else None
    if after is not None:
        expected = expected[expected.index(after) + 1 :]
    if last is not None:
        expected = expected[len(expected) - min(last, len(expected)) :]
    wanted = Replay(last=last, after=after and after.header.message_id)
    assert list(retention.replay(pattern, wanted)) == expected


def test_kept_events_are_numbered_by_topic_and_the_most_silent_topic_is_forgotten() -> None:
    retention, stationery = Retention(">", 2, topics_max=2), Stationery(EndpointId("t"))
    numbers = []
    for topic in ["a", "b", "a", "a", "c", "b"]:
        payload = retention.keep(*event(stationery, topic)).payload
        assert isinstance(payload, EventPayload)
        numbers.append((topic, payload.sequence))
    assert numbers == [("a", 1), ("b", 1), ("a", 2), ("a", 3), ("c", 1), ("b", 1)]
    assert not list(retention.replay("a", Replay()))
