"""Every format carries every workflow: binary documents, compression, and all of them through one another."""

import struct
import tracemalloc
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.errors import SerializationFailed
from symphony.ports.artifacts import is_label
from symphony.workflow import Workflow, WorkflowInvalid, dumps, load, loads, read
from symphony.workflow.documents import (
    FORMATS,
    UnknownFormat,
    format_named,
    format_of,
    format_of_content,
    parse,
)
from symphony.workflow.documents.compression import packed
from symphony.workflow.files import read_bytes
from symphony.workflow.model import (
    ArtifactSpec,
    Budget,
    CommandNode,
    ConditionalEdge,
    ControlEdge,
    ControlNode,
    DataEdge,
    InputSpec,
    InstrumentNode,
    OnError,
    OnFinish,
    OperatorNode,
    Retry,
    SubWorkflowNode,
)
from symphony.workflow.types import INTEGER, STRING, PortType, list_of

GOOD = loads("name: good\nnodes:\n  a: {operator: debug.value, inputs: {value: 1}}\n", "yaml")
MIB = 2**20

_texts = st.text(st.characters(codec="utf-8"), max_size=8)
_filled = _texts.filter(lambda text: bool(text.strip()))
_labels = _filled.filter(is_label)
_names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_-]{0,5}", fullmatch=True).map(lambda name: f"n{name}")
_numbers = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
_keys = _texts | st.sampled_from(["$bytes", "$null", "$", "$$x", "a.b", "", "0"])
_values = st.recursive(
    st.none() | st.booleans() | _numbers | _texts | st.binary(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_keys, inner, max_size=3),
    max_leaves=6,
)
_named = st.dictionaries(_names, _values, max_size=3)
_free = st.dictionaries(_keys, _values, max_size=2).filter(lambda values: list(values) != ["$bytes"])
_durations = st.builds("{}{}".format, st.integers(0, 10**12 - 1), st.sampled_from(["ms", "s", "m", "h", "d"]))
_counts = st.integers(1, 2**63 - 1)
_after = st.lists(_names | st.builds("{}.{}".format, _names, _names), max_size=2, unique=True).map(tuple)
_options = {
    "inputs": _named,
    "config": _free,
    "for_each": st.none() | _texts | st.lists(_values, max_size=2),
    "when": st.none() | _texts,
    "after": _after,
    "join": st.sampled_from(["all", "any"]),
    "retry": st.none()
    | st.builds(
        Retry, attempts=_counts, backoff=st.sampled_from(["constant", "linear", "exponential"]),
        initial=_durations, max=st.none() | _durations, jitter=st.booleans(),
    ),
    "timeout": st.none() | _durations,
    "on_error": st.sampled_from([OnError(), OnError(action="skip")])
    | st.builds(OnError, action=st.just("value"), value=_named)
    | st.builds(OnError, action=st.just("fallback"), fallback=_names),
    "idempotent": st.none() | st.booleans(),
    "priority": st.integers(-(2**63), 2**63 - 1),
    "cache": st.sampled_from(["auto", "on", "off"]),
    "artifact": st.none()
    | st.builds(ArtifactSpec, name=_labels, content_type=st.none() | _labels, port=st.none() | _names),
    "description": _texts,
    "position": st.none() | st.tuples(_numbers, _numbers),
    "enabled": st.booleans(),
    "metadata": _free,
}  # fmt: skip


def _some(
    kind: type[msgspec.Struct], **fields: st.SearchStrategy[object]
) -> st.SearchStrategy[msgspec.Struct]:
    """Nodes of one kind, each with a few of the options."""
    chosen = st.sets(st.sampled_from(sorted(_options)), max_size=4)
    return chosen.flatmap(
        lambda names: st.builds(kind, **fields, **{name: _options[name] for name in sorted(names)})
    )


def _filled_nodes(nodes: dict[str, msgspec.Struct]) -> dict[str, msgspec.Struct]:
    return nodes or {"only": OperatorNode(operator="o")}


_simple = (
    _some(OperatorNode, operator=_filled)
    | _some(InstrumentNode, instrument=_filled)
    | _some(SubWorkflowNode, workflow=_filled)
    | _some(CommandNode, command=_filled.filter(lambda text: "\0" not in text and "${{" not in text))
)
_controls = (
    _some(ControlNode, control=st.just("branch"), condition=_texts)
    | _some(
        ControlNode, control=st.just("branch"), switch=_texts, default=st.none() | _names,
        cases=_named.map(lambda cases: cases or {"one": 1}),
    )
    | st.builds(ControlNode, control=st.just("merge"), after=_after.map(lambda names: names or ("a",)))
    | _some(ControlNode, control=st.just("delay"), for_=_durations)
    | _some(
        ControlNode, control=st.just("approval"), message=_texts,
        on_timeout=st.sampled_from([None, "fail", "approve", "reject"]),
    )
    | _some(
        ControlNode, control=st.just("loop"), while_=_texts, state=_named, next=_named,
        body=st.dictionaries(_names, _simple, max_size=2).map(_filled_nodes),
        max_iterations=st.none() | _counts,
    )
)  # fmt: skip
_edges = (
    st.builds(
        DataEdge, source=_names, target=_names, output=_names, input=_names, transform=st.none() | _texts
    )
    | st.builds(
        ControlEdge, source=_names, target=_names, branch=st.none() | _names, priority=st.integers(-9, 9)
    )
    | st.builds(ConditionalEdge, source=_names, target=_names, when=_texts, label=st.none() | _texts)
)
_inputs = (
    st.builds(InputSpec, default=_values, description=_texts)
    | st.builds(InputSpec, type=st.just(INTEGER), min=st.none() | st.integers(-9, 9))
    | st.builds(InputSpec, type=st.sampled_from([STRING, list_of(INTEGER), PortType("bytes", optional=True)]))
    | st.builds(InputSpec, type=st.just(PortType("enum", choices=("a", "b c"))), default=st.just("b c"))
)
_filled = _texts.filter(str.strip)
_workflows = st.builds(
    Workflow, name=st.text(st.characters(codec="utf-8"), min_size=1, max_size=100),
    version=st.sampled_from(["0.1.0", "2.3.4-rc.1+build.5"]), description=_texts,
    tags=st.lists(_texts, max_size=2).map(tuple), env=st.sampled_from([(), ("SOME_NAME",)]),
    operators=st.lists(_texts, max_size=2).map(tuple),
    inputs=st.dictionaries(_names, _inputs, max_size=2),
    nodes=st.dictionaries(_names, _simple | _controls, max_size=3).map(_filled_nodes),
    edges=st.lists(_edges, max_size=2).map(tuple), outputs=_named, metadata=_free,
    on_finish=st.none() | st.builds(OnFinish, command=_filled) | st.builds(OnFinish, url=_filled),
    budget=st.none() | st.builds(Budget, money=st.none() | st.floats(0, 9), calls=_counts),
)  # fmt: skip


@pytest.mark.slow
@given(workflow=_workflows, first=st.sampled_from(FORMATS))
def test_a_workflow_goes_through_all_formats_and_loses_nothing(workflow: Workflow, first: str) -> None:
    exact = msgspec.json.encode(loads(dumps(workflow, "json"), "json"))
    now, at = workflow, FORMATS.index(first)
    for name in (*FORMATS[at:], *FORMATS[:at]):
        now = loads(dumps(now, name), name)
        assert now == workflow, name
        assert repr(now) == repr(workflow), name  # maps in the order of their keys
    assert len(msgspec.json.encode(now)) == len(exact)  # 1 and 1.0 are equal, but not the same


@pytest.mark.slow
@given(workflow=_workflows)
def test_the_order_of_nodes_is_kept_by_every_format(workflow: Workflow) -> None:
    turned = msgspec.structs.replace(workflow, nodes=dict(reversed(workflow.nodes.items())))
    for name in FORMATS:
        assert list(loads(dumps(turned, name), name).nodes) == list(turned.nodes), name


@pytest.mark.parametrize("name", FORMATS)
def test_files_are_told_by_ending_and_content_and_compression_by_content(tmp_path: Path, name: str) -> None:
    body, small = dumps(GOOD, name), dumps(GOOD, name, compressed=True)
    assert small != body
    suffix = format_named(name).suffixes[:1] or (".json",)
    for written in (body, small):
        for ending in (suffix[0], suffix[0].upper(), suffix[0] + ".zst"):
            path = tmp_path / f"w{ending}"
            path.write_bytes(written)
            assert format_of(path) == format_named(name.removeprefix("pretty-"))
            assert load(path) == GOOD
        path = tmp_path / "no-ending"
        path.write_bytes(written)
        if name in ("yaml", "toml"):  # they look like any text
            with pytest.raises(UnknownFormat):
                load(path)
        else:
            assert load(path) == GOOD


def test_what_begins_like_no_format_is_not_guessed() -> None:
    for body in (b"", b"\x01", b"\x01\x00\x00\x00", b"# {", b"\x00\x00\x00\x00\x01", b"[1]", b"\x93\x01"):
        assert format_of_content(body) is None


def problems(body: bytes, name: str) -> list[tuple[str, str]]:
    return [(problem.code, problem.message) for problem in parse(body, format_named(name)).problems]


@pytest.mark.slow
@pytest.mark.parametrize("sized", [True, False])
def test_a_document_that_unfolds_beyond_the_limit_is_refused_before_it_takes_memory(*, sized: bool) -> None:
    squeezing = zstandard.ZstdCompressor(write_content_size=sized).compressobj(
        size=200 * MIB if sized else -1
    )
    bomb = b"".join(squeezing.compress(bytes(MIB)) for _ in range(200)) + squeezing.flush()
    assert len(bomb) < MIB
    tracemalloc.start()
    found = problems(bomb, "yaml")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found == [("limit-exceeded", "the document has more than 16 MiB")]
    assert most < 40 * MIB


def test_a_window_of_very_much_memory_is_refused() -> None:
    wide = zstandard.ZstdCompressionParameters(window_log=27, write_content_size=False)
    squeezing = zstandard.ZstdCompressor(compression_params=wide).compressobj()
    [(code, message)] = problems(squeezing.compress(b"name: x") + squeezing.flush(), "yaml")
    assert code == "syntax"
    assert "memory" in message


@pytest.mark.slow
def test_a_compressed_document_of_just_the_limit_is_read() -> None:
    body = b'{"name": "x", "nodes": {}}'
    assert parse(packed(body.ljust(16 * MIB)), format_named("json")).tree == {"name": "x", "nodes": {}}
    assert problems(packed(body.ljust(16 * MIB + 1)), "json")[0][0] == "limit-exceeded"


def test_a_damaged_frame_is_a_syntax_problem() -> None:
    frame = packed(dumps(GOOD, "json") * 50)
    for damaged in (
        frame[:-1],
        frame[:5],
        frame + b"x",
        frame + frame,
        frame[:-2] + b"xx",
        frame[:4] + b"\xff" * 40,
    ):
        [(code, _)] = problems(damaged, "json")
        assert code == "syntax"


MSGPACK = [
    (b"", "byte 0: it ends"),
    (b"\x82\xa1a\x01", "byte 4: it ends"),
    (b"\x81", "byte 0: a count of 1"),
    (b"\x81\xa1a", "byte 3: it ends"),
    (b"\x81\xa1a\x01\x02", "byte 4: 1 more bytes follow"),
    (b"\x81\x90\xd9\x01a", "byte 1: a key must be text"),
    (b"\x81\xa1\xff\x02", "byte 1: the text that begins here is not UTF-8"),
    (b"\x81\xa1a\xd9\x02\xff\xff", "byte 3: the text that begins here is not UTF-8"),
    (b"\x81\xa1a\xdb\xff\xff\xff\xff", "byte 3: a length of 4,294,967,295"),
    (b"\x81\xa1a\xc6\xff\xff\xff\xff", "byte 3: a length of 4,294,967,295"),
    (b"\xdf\xff\xff\xff\xff", "byte 0: a count of 4,294,967,295"),
    (b"\x81\xa1a\xdd\xff\xff\xff\xff", "byte 3: a count of 4,294,967,295"),
    (b"\x81\xa1a\xcb\x00", "byte 3: a length of 8"),
    (b"\x81\xa1a\xc1", "byte 3: a type that no workflow has"),
    (b"\x81\xa1a\xd4\x05", "byte 3: a length of 2"),
]


@pytest.mark.parametrize(("body", "words"), MSGPACK)
def test_damaged_messagepack_is_told_with_its_byte(body: bytes, words: str) -> None:
    [(code, message)] = problems(body, "msgpack")
    assert code == "syntax"
    assert words in message


def test_messagepack_that_is_written_in_longer_forms_is_read() -> None:
    longer = (
        b"\xde\x00\x02\xd9\x04name\xda\x00\x01x\xdb\x00\x00\x00\x05nodes\xdf\x00\x00\x00\x01\xa1a\x82"
        b"\xa8operator\xa1o\xa6inputs\x83\xa1a\xd3\x00\x00\x00\x00\x00\x00\x00\x01"
        b"\xa1b\xca\x3f\x80\x00\x00\xa1c\xdc\x00\x01\xc5\x00\x01x"
    )
    node = loads(longer, "msgpack").nodes["a"]
    assert node.inputs == {"a": 1, "b": 1.0, "c": [b"x"]}


@pytest.mark.parametrize("name", [b"\xa4name", b"\xd9\x04name"])
def test_types_that_only_messagepack_has_are_no_values(name: bytes) -> None:
    """Whether the decoder or the survey meets them: the second name is not written the shortest way."""
    for value in (
        b"\xd4\x05\x00",
        b"\xc7\x03\x05abc",
        b"\xd6\xff\x00\x00\x00\x00",
        b"\x81\x01\x02",
        b"\x81\xc3\x02",
    ):
        body = b"\x82" + name + b"\xa1x\xa5nodes\x81\xa1a\x82\xa8operator\xa1o\xa6inputs\x81\xa1v" + value
        [problem] = read_bytes(body, format_named("msgpack")).problems
        assert (problem.code, problem.place.partition(".v")[0]) == ("type-mismatch", "nodes.a.inputs")


def test_keys_that_stand_twice_are_found_in_messagepack() -> None:
    body = b"\x83\xa4name\xa1x\xa4name\xa1y\xa5nodes\x81\xa1a\x82\xa1k\x91\x82\xa1z\x01\xa1z\x02\xa1l\x03"
    found = parse(body, format_named("msgpack")).problems
    assert [(p.code, p.place) for p in found] == [
        ("duplicate-name", "name"), ("duplicate-name", "nodes.a.k[0].z"),
    ]  # fmt: skip


def test_integers_beyond_64_bits_and_doubles_that_are_not_finite_are_no_values() -> None:
    tree = {"name": "x", "nodes": {"a": {"operator": "o", "inputs": {"big": 2**64 - 1}}}}
    body = msgspec.msgpack.encode(tree)
    infinite = body.replace(b"\xcf" + b"\xff" * 8, b"\xcb" + struct.pack(">d", float("inf")))
    for wrong in (body, infinite):
        with pytest.raises(WorkflowInvalid, match=r"nodes\.a\.inputs\.big"):
            loads(wrong, "msgpack")


@pytest.mark.parametrize("name", ["msgpack", "bincode"])
def test_nesting_of_a_hundred_levels_is_read_and_no_more(name: str, tmp_path: Path) -> None:
    def nested(levels: int) -> bytes:
        value: object = 1
        for _ in range(levels):
            value = [value]
        node = {"operator": "debug.value", "inputs": {"value": value}}
        tree = {"symphony": 1, "name": "x", "version": "1.0.0", "nodes": {"a": node}}
        return format_named(name).write(tree)

    path = tmp_path / f"w.{name}"
    path.write_bytes(nested(96))
    assert read(path).problems == ()
    path.write_bytes(nested(97))
    assert {problem.code for problem in read(path).problems} == {"limit-exceeded"}
    assert problems(b"\x91" * 100_000, "msgpack")[0][0] == "limit-exceeded"


def test_damaged_bincode_is_told_with_its_byte() -> None:
    body = dumps(GOOD, "bincode")
    for damaged, words in (
        (b"", "does not begin with the version"),
        (b"name: x", "does not begin with the version"),
        (body[:-1], "byte"),
        (body + b"\0", f"byte {len(body)}: 1 more bytes follow"),
        (body[:4] + b"\xff" * 8 + body[12:], "byte 4: a length or count of"),
    ):
        [(code, message)] = problems(damaged, "bincode")
        assert code == "syntax"
        assert words in message


def test_bincode_carries_whole_workflows_only() -> None:
    for tree in ({}, [], {"symphony": 1, "name": "x", "version": "1.0.0", "nodes": {"a": {}}}, {"nodes": 1}):
        with pytest.raises(SerializationFailed):
            format_named("bincode").write(tree)
