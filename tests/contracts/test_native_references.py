"""No native library that we use miscounts references of shared objects, nor keeps memory for each call.

A library that drops a reference too many ends the interpreter, some thousand calls later and far from
the call. Each library is called in a process of its own, which this file is, too.
"""

import asyncio
import gc
import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest

ROUNDS = 4_000
OFF_BY_MAX = ROUNDS // 20  # what caches and other threads may take or drop
GROWTH_MAX_MIB = 24


def singletons() -> dict[str, object]:
    """Objects of which every process has one."""
    shared: list[object] = [None, True, False, "", b"", (), Ellipsis, NotImplemented, frozenset()]
    shared += [int, str, float, bool, bytes, list, dict, tuple, set, type, datetime, timedelta, UTC]
    shared += range(-5, 257)
    shared += [chr(code) for code in range(256)]
    return {f"{type(one).__name__} {one!r}": one for one in shared}


def cel() -> list[Callable[[], object]]:
    """Expressions as nodes have them: the library loses nulls, which is made up for."""
    from symphony.workflow.expressions import Compiler, ExpressionFailed

    given: dict[str, object] = {
        "rows": [{"id": i, "note": None, "text": "", "on": i % 2 == 0, "raw": b""} for i in range(40)],
        "many": [None] * 300, "deep": {"a": [{"b": [None, {"c": None}]}]}, "none": None, "zero": 0,
    }  # fmt: skip
    texts = (
        "x.rows.filter(r, r.id >= 0)", "x.rows.map(r, r.note)", "x.many.filter(m, m == null)", "x.deep.a",
        "x.none == null ? dyn(null) : dyn(1)", "[null, true, false, 0, 1, '', b'', [], {}, 1.5, 'a', null]",
        "{'a': null, 'b': {'c': null}}", "dyn(x.zero)", "[x.none, [x.none]]", "1 / x.zero", "x.rows[50]",
        "x.deep.nothing", "x.rows.exists(r, r.note != null)", "[timestamp(0), duration('1ns'), null]",
        "google.protobuf.Value{null_value: 0}", "dyn({1: null})", "dyn({true: null})", "dyn(type(null))",
        "x.rows.map(r, r.text + string(r.id))", "'%' + x.rows[0].text",
    )  # fmt: skip
    compiler = Compiler(lambda read: None)
    programs = [compiler.template("${{ " + text + " }}") for text in texts]

    def all_of_them() -> None:
        for program in programs:
            try:
                program.render(lambda read: given[read.port])  # type: ignore[return-value]
            except ExpressionFailed:
                pass

    return [all_of_them]


def from_msgspec() -> list[Callable[[], object]]:
    """Decoders, encoders, conversion and structs."""
    import msgspec

    class Point(msgspec.Struct, frozen=True, tag="p"):
        x: int | None = None
        name: str | None = ""
        more: list[int | None] = []
        when: datetime | None = None

    plain: object = [None, True, False, 0, 1, -5, 256, "", "a", [], {}, {"": None}, 1.5, [[None]] * 3]
    text, packed = (
        msgspec.json.encode(plain),
        msgspec.msgpack.encode([plain, b"", msgspec.msgpack.Ext(1, b"")]),
    )
    point = Point(1, None, [None, 2], datetime(2020, 1, 1, tzinfo=UTC))
    reader, packed_reader = msgspec.json.Decoder(Point), msgspec.msgpack.Decoder(Point)

    def fails() -> None:
        for wrong in (b'{"type":"p","x":"a"}', b"[null", b'{"type":null}', b"\xff", b"{}"):
            try:
                reader.decode(wrong)
            except msgspec.MsgspecError:
                pass

    return [
        lambda: msgspec.json.decode(text), lambda: msgspec.msgpack.decode(packed),
        lambda: msgspec.json.encode(plain), lambda: msgspec.msgpack.encode(plain),
        lambda: msgspec.json.format(text), lambda: msgspec.json.decode(text, type=msgspec.Raw),
        lambda: reader.decode(msgspec.json.encode(point)),
        lambda: packed_reader.decode(msgspec.msgpack.encode(point)),
        lambda: msgspec.convert({"type": "p", "x": None}, Point), lambda: msgspec.to_builtins(point),
        lambda: msgspec.structs.replace(point, x=None), lambda: point == Point(),
        lambda: msgspec.structs.asdict(point), lambda: repr(point), fails,
    ]  # fmt: skip


def from_yaml() -> list[Callable[[], object]]:
    """The parser's events, and what we make of them."""
    from symphony.workflow.documents.tree import SyntaxProblem
    from symphony.workflow.documents.yaml_text import parse

    text = "a: [~, null, true, 0, '', \"x\", {b: }]\nb: |\n  text\n? c\n: -\n"

    def fails() -> None:
        for wrong in ("a: [", "a: *b", "!x y", "\x01", "- - ]", "a: &b c"):
            try:
                parse(wrong)
            except SyntaxProblem:
                pass

    return [lambda: parse(text), fails]


def from_zstandard() -> list[Callable[[], object]]:
    """Whole bodies and pieces."""
    import zstandard

    body = b"null " * 200
    packed = zstandard.ZstdCompressor(level=3).compress(body)

    def pieces() -> None:
        reader = zstandard.ZstdDecompressor().decompressobj()
        reader.decompress(packed[:10])
        reader.decompress(packed[10:])
        writer = zstandard.ZstdCompressor().compressobj()
        writer.compress(b"")
        writer.flush()

    def fails() -> None:
        for wrong in (b"", b"abc", packed[:-3]):
            try:
                zstandard.ZstdDecompressor().decompress(wrong, max_output_size=100)
            except zstandard.ZstdError:
                pass

    return [
        pieces, fails, lambda: zstandard.ZstdCompressor().compress(b""),
        lambda: zstandard.ZstdDecompressor().decompress(packed, max_output_size=2_000),
        lambda: zstandard.get_frame_parameters(packed),
    ]  # fmt: skip


def from_regex() -> list[Callable[[], object]]:
    """Matching with a time limit, groups that matched nothing, templates."""
    import regex

    pattern = regex.compile(r"(?P<a>x)|(?P<b>y)?(z)|(?:(q)+)")

    def fails() -> None:
        for wrong in ("(", "[", "(?P<a"):
            try:
                regex.compile(wrong)
            except regex.error:
                pass

    def each() -> None:
        for match in pattern.finditer("xyzqq", timeout=5):
            match.groups(), match.groupdict(), match.span(), match[0], match.start(1), match.expand(r"\1")

    return [
        each, fails, lambda: pattern.sub(r"[\1]", "xyz", timeout=5),
        lambda: pattern.split("axbyz", timeout=5),
        lambda: pattern.fullmatch("nothing", timeout=5), lambda: pattern.findall("xyzq", timeout=5),
        lambda: pattern.subn(lambda match: "", "xyz", timeout=5),
    ]  # fmt: skip


def from_numpy() -> list[Callable[[], object]]:
    """Vectors in and out of lists."""
    import numpy as np

    rows = [[0.0, 1.0, 2.0], [1.0, 0.0, 0.5]]
    matrix = np.array(rows)

    def fails() -> None:
        for wrong in ([[1.0], [1.0, 2.0]], ["a"], [None]):
            try:
                np.asarray(wrong, dtype=np.float64)
            except (ValueError, TypeError):
                pass

    return [
        lambda: np.asarray(rows, dtype=np.float32).tolist(), fails,
        lambda: np.tensordot(matrix, matrix.T, 1).tolist(),
        lambda: float(np.linalg.norm(matrix)), lambda: np.argsort(-matrix, axis=1, kind="stable").tolist(),
        lambda: np.isfinite(matrix).all(), lambda: matrix.mean(axis=0, dtype=np.float64).round(7).tolist(),
        lambda: np.frombuffer(b"\0" * 16).tolist(), lambda: matrix.max(initial=0.0),
        lambda: np.ones_like(matrix),
    ]  # fmt: skip


def from_onnxruntime() -> list[Callable[[], object]]:
    """The smallest model there is, `y = x`, made by hand: what a session takes and gives."""
    import numpy as np

    from symphony.kit.instruments.minilm import quiet_onnxruntime

    onnxruntime = quiet_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(_identity(), options, providers=["CPUExecutionProvider"])
    feeds = {"x": np.array([0.0, 1.0], dtype=np.float32)}

    def fails() -> None:
        try:
            session.run(["y"], {})
        except ValueError:
            pass

    return [lambda: session.run(["y"], feeds), lambda: session.run(None, feeds), fails]


def _identity() -> bytes:
    """`y = Identity(x)` over floats, as ONNX's protobuf spells it."""

    def part(field: int, body: bytes | str) -> bytes:
        raw = body if isinstance(body, bytes) else body.encode()
        return bytes((field << 3 | 2, len(raw))) + raw

    def number(field: int, value: int) -> bytes:
        return bytes((field << 3, value))

    shape = part(2, part(1, part(2, "n")))
    kind = part(2, part(1, number(1, 1) + shape))
    node = part(1, part(1, "x") + part(2, "y") + part(4, "Identity"))
    graph = node + part(2, "g") + part(11, part(1, "x") + kind) + part(12, part(1, "y") + kind)
    return number(1, 8) + part(7, graph) + part(8, part(1, "") + number(2, 13))


def from_xllamacpp() -> list[Callable[[], object]]:
    """Its settings: all else that is asked of it goes over HTTP."""
    import xllamacpp

    def settings() -> None:
        made = xllamacpp.CommonParams()
        made.model.path = ""
        made.cpuparams.n_threads = 1
        made.n_ctx, made.warmup, made.hostnames, made.port = 256, False, [""], 0
        made.api_keys = ["", "a"]
        _ = (made.model.path, made.hostnames, made.warmup, made.api_keys, made.port)

    return [settings]


def from_uvloop() -> list[Callable[[], object]]:
    """Tasks, timers, pipes and sockets of one loop."""
    import uvloop

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(4))
        await writer.drain()
        writer.close()

    async def round_trip(port: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"null")
        assert await reader.read() == b"null"
        writer.close()
        await writer.wait_closed()

    loop = uvloop.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(echo, "127.0.0.1", 0))
    port = server.sockets[0].getsockname()[1]

    async def small() -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        loop.call_later(0, lambda: None).cancel()
        await asyncio.wait_for(loop.run_in_executor(None, lambda: None), 5)

    turn = count()

    def seldom() -> None:  # ports are few
        if next(turn) % 20 == 0:
            loop.run_until_complete(round_trip(port))

    return [lambda: loop.run_until_complete(small()), seldom]


def from_others() -> list[Callable[[], object]]:
    """psutil and markupsafe."""
    import markupsafe
    import psutil

    me = psutil.Process()
    return [
        lambda: markupsafe.escape("<a & ''>"), lambda: markupsafe.escape(""), lambda: markupsafe.escape(None),
        lambda: (me.status(), me.create_time(), me.ppid(), me.memory_info(), psutil.virtual_memory()),
    ]  # fmt: skip


LIBRARIES: Mapping[str, Callable[[], list[Callable[[], object]]]] = {
    "cel": cel, "msgspec": from_msgspec, "yaml": from_yaml, "zstandard": from_zstandard, "regex": from_regex,
    "numpy": from_numpy, "onnxruntime": from_onnxruntime, "xllamacpp": from_xllamacpp, "uvloop": from_uvloop,
    "others": from_others,
}  # fmt: skip


def _counted(name: str) -> Iterator[tuple[str, float]]:
    """How many references each shared object won or lost, and the MiB that the process grew by."""
    watched = singletons()
    calls = LIBRARIES[name]()
    for _ in range(50):
        for call in calls:
            call()
    gc.collect()
    before, peak = {key: sys.getrefcount(one) for key, one in watched.items()}, _peak_mib()
    for _ in range(ROUNDS):
        for call in calls:
            call()
    gc.collect()
    for key, one in watched.items():
        if abs(off := sys.getrefcount(one) - before[key]) > OFF_BY_MAX:
            yield key, off / ROUNDS
    if (grown := _peak_mib() - peak) > GROWTH_MAX_MIB:
        yield "MiB", grown


def _peak_mib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


@pytest.mark.slow
@pytest.mark.parametrize("name", LIBRARIES)
def test_a_library_neither_loses_nor_keeps_references_or_memory(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-P", str(Path(__file__)), name], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {}


if __name__ == "__main__":
    spare = [None] * 10_000_000  # so that a loss ends as a count
    print(json.dumps(dict(_counted(sys.argv[1]))), flush=True)
    os._exit(0)  # with all references that are left
