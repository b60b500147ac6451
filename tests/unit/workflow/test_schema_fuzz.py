"""Whatever the bytes, a loader gives a workflow or problems: never another exception, never a hang."""

import os
import random
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.workflow import dumps, loads
from symphony.workflow.documents import FORMATS, format_named
from symphony.workflow.files import DocumentReading, read_bytes

_PROFILE = os.environ.get("SYMPHONY_HYPOTHESIS", "default")
ROUNDS = int(os.environ.get("SYMPHONY_FUZZ_ROUNDS", {"fuzz": 20_000, "quick": 30}.get(_PROFILE, 150)))
SECONDS_MAX = 5.0

EVERY_KEY = """\
symphony: 1
name: "every key: ünï ✓"
version: 2.3.4-rc.1+build.5
description: "two\\nlines"
tags: [a, b c]
env: [SOME_NAME]
operators: [my_ops.py, more/ops.py]
inputs:
  words: {type: "list[string]", default: [alpha, beta], description: to join}
  n: {type: integer, default: 3, min: 1, max: 9}
  mode: {enum: [fast, slow], default: slow}
budget: {money: 0.25, tokens: 10000, calls: 20}
on_finish: {command: echo done}
nodes:
  up:
    operator: text.join
    for_each: inputs.words
    concurrency: 2
    inputs: {parts: ["${{ item }}", {$bytes: "AAEC/w==", }], separator: ""}
    retry: {attempts: 2, backoff: exponential, initial: 10ms, max: 1s, jitter: true}
    timeout: 5s
    on_error: skip
    position: [10, 20.5]
    metadata: {nested: {list: [1, 2.0, null, "3"], $$x: 1}}
  big: {control: branch, condition: size(up.result) >= inputs.n}
  pick: {control: branch, switch: inputs.n, cases: {one: 1, three: 3}, default: other}
  all-of-it:
    operator: text.join
    after: [big.true, pick.three]
    inputs: {parts: "${{ up.result }}", separator: '${{ nodes["up"].result }}'}
    artifact: {name: joined, content_type: text/plain}
    on_error: {value: {result: none}}
  shell: {command: "printf '%s' \\"$TEXT\\"", on_error: {fallback: spare}}
  spare: {command: printf spare}
  wait: {control: delay, for: 10ms}
  ask: {control: approval, message: Go on?, timeout: 1h, on_timeout: reject}
  grow:
    control: loop
    state: {x: 1}
    while: state.x < 100
    body: {twice: {operator: debug.value, inputs: {value: "${{ state.x * 2 }}"}}}
    next: {x: twice.result}
    max_iterations: 50
edges:
  - {from: spare, to: shell, priority: 2}
  - {from: big, to: wait, when: inputs.n > 1, label: big enough}
  - {from: up.result, to: all-of-it.extra, transform: value}
outputs: {text: '${{ nodes["all-of-it"].result }}'}
"""
_PIECES = (
    b"[", b"]", b"{", b"}", b":", b",", b'"', b"'", b"\n", b"  ", b"- ", b"#", b"&a ", b"*a",
    b"!!x ", b"---\n", b"|\n",
    b"\x00", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\\", b"\\ud800", b"${{", b"}}",
    b"$", b"null", b"NaN",
    b"-1", b"1e999", b"9" * 40, b"true", b".inf", b"[" * 150, b"\t", b"=", b"[[", b"nodes",
    b"steps", b"edges", b'"a": ',
)  # fmt: skip


def sound(body: bytes, format_: str) -> DocumentReading:
    """Read `body`; whatever it is, what comes back must hold together."""
    began = time.process_time()
    reading = read_bytes(body, format_named(format_))
    assert time.process_time() - began < SECONDS_MAX
    assert reading.problems or reading.workflow is not None
    for problem in reading.problems:
        assert problem.message
        assert problem.hint
        problem.message.encode()
        if problem.line is not None:
            assert problem.line >= 1
            assert (problem.column or 0) >= 1
    if reading.workflow is not None and not reading.problems:
        at = FORMATS.index(format_)
        for other in (format_, FORMATS[at - 1]):  # all of them are too many for every round
            assert loads(dumps(reading.workflow, other), other) == reading.workflow
    return reading


def mutated(body: bytes, rng: random.Random) -> bytes:
    """`body` after a few small accidents."""
    out = bytearray(body)
    for _ in range(rng.choice((1, 1, 1, 2, 5, 20))):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(6):
            case 0:
                out[at:at] = rng.choice(_PIECES)
            case 1:
                del out[at : at + rng.choice((1, 1, 3, 40))]
            case 2:
                out[at : at + 1] = bytes([rng.randrange(256)])
            case 3:
                end = at + rng.randrange(60)
                out[at:at] = out[at:end]
            case 4:
                out[at : at + rng.randrange(10)] = rng.choice(_PIECES)
            case _:
                lines = bytes(out).split(b"\n")
                rng.shuffle(lines) if rng.random() < 0.1 else lines.insert(
                    rng.randrange(len(lines)), rng.choice(lines)
                )
                out = bytearray(b"\n".join(lines))
    return bytes(out)


def test_the_seed_itself_is_sound() -> None:
    assert sound(EVERY_KEY.encode(), "yaml").problems == ()


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_give_problems_or_a_workflow(name: str) -> None:
    body = dumps(loads(EVERY_KEY, "yaml"), name)
    for seed in range(ROUNDS):
        damaged = mutated(body, random.Random(f"{name} {seed}"))
        try:
            sound(damaged, name)
        except BaseException as error:
            error.add_note(f"format {name}, seed {seed}")
            raise


@pytest.mark.parametrize("name", FORMATS)
@given(body=st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
def test_any_bytes_give_problems_or_a_workflow(name: str, body: bytes) -> None:
    sound(body, name)


_odd = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("${{ a.b }}")
_odd_trees = st.recursive(
    _odd, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
_TOP_KEYS = ["symphony", "name", "version", "tags", "env", "inputs", "nodes", "steps", "edges", "outputs"]
_KEYS = [
    "operator",
    "instrument",
    "control",
    "workflow",
    "command",
    "inputs",
    "config",
    "for_each",
    "concurrency",
    "when",
    "after",
    "join",
    "retry",
    "timeout",
    "on_error",
    "idempotent",
    "priority",
    "cache",
    "artifact",
    "description",
    "position",
    "enabled",
    "metadata",
    "operators",
    "on_finish",
    "url",
    "budget",
    "money",
    "condition",
    "switch",
    "cases",
    "default",
    "for",
    "until",
    "message",
    "on_timeout",
    "state",
    "body",
    "next",
    "while",
    "max_iterations",
]


@given(
    st.dictionaries(
        st.sampled_from(_KEYS), _odd_trees | st.sampled_from(["branch", "loop", "skip"]), max_size=6
    )
)
def test_any_value_may_stand_at_any_key_of_a_node(raw: dict[str, object]) -> None:
    try:
        body = format_named("yaml").write({"name": "x", "nodes": {"a": raw, "b": {"command": "x"}}})
    except UnicodeEncodeError:
        return
    sound(body, "yaml")


@given(
    st.dictionaries(
        st.sampled_from(_TOP_KEYS),
        _odd_trees
        | st.dictionaries(st.text(max_size=5), _odd_trees, max_size=3)
        | st.lists(_odd_trees, max_size=3),
        max_size=5,
    )
)
def test_any_value_may_stand_at_any_key_of_a_workflow(raw: dict[str, object]) -> None:
    try:
        body = format_named("yaml").write(raw)
    except UnicodeEncodeError:
        return
    sound(body, "yaml")
