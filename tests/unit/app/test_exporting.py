"""Artifacts and large outputs as files: their names, what is in them, and what they may not do."""

import asyncio
import hashlib
import json
import os
import string
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony import operator
from symphony.app import Symphony, run
from symphony.app.contents import content
from symphony.app.exporting import ExportFailed, copied, export, foreseen, opened, ready_folder, require_free
from symphony.app.written_files import LIST
from symphony.commons.filesystem import PathEscapes
from symphony.pit.artifacts import MemoryArtifacts
from symphony.pit.artifacts.bodies.filenames import extension, file_name, key, told_apart, type_of
from symphony.pit.artifacts.values.codec import encode_value
from symphony.ports.insight import MadeArtifact
from symphony.ports.values import ArtifactRef
from symphony.workflow import builtin_catalog, loads

JSON = "application/json"


@pytest.mark.parametrize(
    ("name", "kind", "path"),
    [
        ("repo-report", "text/markdown", "repo-report.md"),
        ("repo-report.md", "text/markdown; charset=utf-8", "repo-report.md"),
        ("notes.txt", "text/markdown", "notes.txt"),
        ("v1.2", "text/html", "v1.2.html"),
        ("my.summary", "text/html", "my.summary.html"),
        ("my.log", "text/plain", "my.log"),
        ("image", "image/png", "image.png"),
        ("thing", "application/octet-stream", "thing"),
        ("thing", "application/vnd.api+json", "thing.json"),
        ("thing", "text/x-unheard-of", "thing.txt"),
        ("reports/2026", "text/csv", "reports/2026.csv"),
        ("../../etc/passwd", "text/plain", "etc/passwd.txt"),
        ("..\\..\\boot", "text/plain", "boot.txt"),
        ("/", "text/plain", "artifact.txt"),
        ("con", "text/plain", "_con.txt"),
        ("what? <now>: yes|no", "text/plain", "what_ _now_ yes_no.txt"),
        ("a\x1b[2J\u202eb", "text/plain", "a_[2J_b.txt"),
        ("日本語", "text/html", "日本語.html"),
        ("ends. . ", "text/plain", "ends.txt"),
    ],
)
def test_a_file_has_the_name_of_its_artifact_and_an_extension_that_programs_know(
    name: str, kind: str, path: str
) -> None:
    assert str(file_name(name, kind)) == path


@given(st.text(max_size=300), st.sampled_from(["text/html", "application/octet-stream", "image/png"]))
def test_whatever_an_artifact_is_called_its_file_stays_in_the_folder(name: str, kind: str) -> None:
    path = file_name(name, kind)
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert all(0 < len(part.encode()) <= 255 for part in path.parts)
    assert not set("\0\n\\:*?") & set(str(path))
    assert path.suffix == extension(kind) or not extension(kind) or path.suffix


def test_files_that_would_share_a_name_are_told_apart() -> None:
    assert told_apart(PurePosixPath("a/page.md"), "-3", ()) == PurePosixPath("a/page-3.md")
    assert told_apart(PurePosixPath("page.md"), "", {"page.md", "page-2.md"}) == PurePosixPath("page-3.md")
    assert key(PurePosixPath("PAGE.md")) == key(PurePosixPath("page.MD"))


def made(store: MemoryArtifacts, node: str, name: str, text: str, kind: str = "text/plain") -> MadeArtifact:
    ref = store.put(text.encode(), content_type=kind, name=name, encoding="text")
    return MadeArtifact(node=node, port="result", ref=ref)


def files(folder: Path) -> dict[str, str]:
    found = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name != LIST]
    return {str(p.relative_to(folder)): p.read_text() for p in found}


def test_no_two_artifacts_of_a_run_share_a_file(tmp_path: Path) -> None:
    store = MemoryArtifacts()
    artifacts = [
        *(made(store, f"page[{i}]", "page", f"p{i}", "text/html") for i in range(3)),
        made(store, "a", "Same", "1"), made(store, "b", "same.txt", "2"),
        made(store, "c", "rep/a", "3"), made(store, "d", "rep", "4", "application/octet-stream"),
        made(store, "e", "file", "5", "application/octet-stream"), made(store, "f", "file/b", "6"),
        made(store, "g[4]", "alone", "7"),
    ]  # fmt: skip
    export(store, artifacts, {}, ready_folder(tmp_path / "out"))
    assert files(tmp_path / "out") == {
        "page-0.html": "p0", "page-1.html": "p1", "page-2.html": "p2",
        "Same.txt": "1", "same-2.txt": "2", "rep/a.txt": "3", "rep-2": "4", "file": "5",
        "file-b.txt": "6", "alone.txt": "7",
    }  # fmt: skip


def test_a_file_of_an_earlier_run_is_replaced_and_one_with_the_same_body_is_left_alone(
    tmp_path: Path,
) -> None:
    store = MemoryArtifacts()
    assert [one.done for one in export(store, [made(store, "a", "x", "1")], {}, tmp_path)] == ["written"]
    before = (tmp_path / "x.txt").stat().st_mtime_ns
    assert [one.done for one in export(store, [made(store, "a", "x", "1")], {}, tmp_path)] == ["unchanged"]
    assert (tmp_path / "x.txt").stat().st_mtime_ns == before
    assert [one.done for one in export(store, [made(store, "a", "x", "2")], {}, tmp_path)] == ["replaced"]
    assert files(tmp_path) == {"x.txt": "2"}


def test_a_file_that_symphony_did_not_write_is_kept_and_nothing_else_is_written(tmp_path: Path) -> None:
    store = MemoryArtifacts()
    artifacts = [made(store, "a", "w", "new"), made(store, "a", "x", "new"), made(store, "b", "y", "same")]
    (tmp_path / "x.txt").write_text("mine")
    (tmp_path / "y.txt").write_text("same")
    with pytest.raises(ExportFailed, match=r"/x\.txt is a file that Symphony did not write") as caught:
        export(store, artifacts, {}, tmp_path)
    assert "--overwrite" in (caught.value.hint or "")
    assert files(tmp_path) == {"x.txt": "mine", "y.txt": "same"}
    export(store, artifacts, {}, tmp_path, overwrite=True)
    assert files(tmp_path) == {"w.txt": "new", "x.txt": "new", "y.txt": "same"}


def test_a_file_that_somebody_edited_is_kept(tmp_path: Path) -> None:
    store = MemoryArtifacts()
    export(store, [made(store, "a", "x", "1")], {}, tmp_path)
    (tmp_path / "x.txt").write_text("1, and a remark")
    with pytest.raises(ExportFailed, match="changed since"):
        export(store, [made(store, "a", "x", "2")], {}, tmp_path)
    assert files(tmp_path) == {"x.txt": "1, and a remark"}


def test_what_symphony_wrote_is_replaced_from_another_home_and_in_another_place(tmp_path: Path) -> None:
    value = MemoryArtifacts().put(encode_value([1]), content_type=JSON, name="v", encoding="msgpack")
    assert value.size  # the bytes in the store are not those of the file
    here, there = tmp_path / "here", tmp_path / "there"
    for text in ("1", "2"):
        store = MemoryArtifacts()
        ref = store.put(encode_value([text]), content_type=JSON, name="v", encoding="msgpack")
        export(
            store,
            [made(store, "a", "x", text), MadeArtifact(node="b", port="p", ref=ref)],
            {},
            ready_folder(here if text == "1" else there),
        )
        if text == "1":
            here.rename(there)
    assert files(there) == {"x.txt": "2", "v.json": '[\n  "2"\n]\n'}


def test_what_an_earlier_version_wrote_without_a_list_is_replaced_while_the_store_has_it(
    tmp_path: Path,
) -> None:
    store = MemoryArtifacts()
    export(store, [made(store, "a", "x", "1")], {}, tmp_path)
    (tmp_path / LIST).unlink()
    export(store, [made(store, "a", "x", "2")], {}, tmp_path)
    assert files(tmp_path) == {"x.txt": "2"}


@pytest.mark.parametrize("when", ["before the file", "after the file", "in the list"])
def test_files_of_a_run_that_was_killed_while_writing_are_replaced(tmp_path: Path, when: str) -> None:
    export(first := MemoryArtifacts(), [made(first, "a", "x", "1")], {}, tmp_path)
    listed = (tmp_path / LIST).read_text()
    export(second := MemoryArtifacts(), [made(second, "a", "x", "2")], {}, tmp_path)
    added = (tmp_path / LIST).read_text()
    if when == "in the list":
        (tmp_path / "x.txt").write_text("1")
        (tmp_path / LIST).write_text(listed + "\n" + added[:20])
    else:
        (tmp_path / "x.txt").write_text("1" if when == "before the file" else "2")
        (tmp_path / LIST).write_text(listed + "\n" + added)
    export(third := MemoryArtifacts(), [made(third, "a", "x", "3")], {}, tmp_path)
    assert files(tmp_path) == {"x.txt": "3"}
    digest = hashlib.sha256(b"3").hexdigest()
    assert (tmp_path / LIST).read_text() == f"{digest}  x.txt\n"


@pytest.mark.parametrize("damage", [b"\xff\xfe\0", b"../../x  x.txt\n", b"0" * 64 + b"  \n"])
def test_a_list_that_is_damaged_names_nothing(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / LIST).write_bytes(damage)
    (tmp_path / "x.txt").write_text("mine")
    store = MemoryArtifacts()
    with pytest.raises(ExportFailed):
        export(store, [made(store, "a", "x", "1")], {}, tmp_path)


def test_files_whose_names_stand_in_the_workflow_are_looked_for_before_it_runs(tmp_path: Path) -> None:
    text = """
name: W
inputs: {t: {type: string}}
nodes:
  a: {command: echo, artifact: {name: told, port: stdout}}
  b: {command: echo, artifact: {name: page, port: stdout, content_type: text/html}}
  c: {operator: text.split, inputs: {text: a}, artifact: {name: parts}}
  d: {command: echo, artifact: {name: "${{ inputs.t }}", port: stdout}}
  e: {command: echo, for_each: [1, 2], artifact: {name: each, port: stdout}}
  f: {operator: text.join, inputs: {parts: [x]}, artifact: {name: words}}
"""
    store = MemoryArtifacts()
    paths = list(foreseen(loads(text, "yaml"), builtin_catalog()))
    assert [str(path) for path in paths] == ["told.txt", "page.html", "parts.json", "words.txt"]
    require_free(store, tmp_path, paths)
    (tmp_path / "page.html").write_text("mine")
    with pytest.raises(ExportFailed, match=r"page\.html is a file"):
        require_free(store, tmp_path, paths)


def test_a_link_in_the_folder_leads_no_file_out_of_it(tmp_path: Path) -> None:
    store, out, elsewhere = MemoryArtifacts(), tmp_path / "out", tmp_path / "elsewhere"
    for folder in (out, elsewhere):
        folder.mkdir()
    (out / "rep").symlink_to(elsewhere)
    (out / "x.txt").symlink_to(elsewhere / "target")
    with pytest.raises(PathEscapes):
        export(store, [made(store, "a", "rep/a", "1")], {}, out)
    with pytest.raises(ExportFailed, match=r"x\.txt"):
        export(store, [made(store, "a", "x", "2")], {}, out)
    export(store, [made(store, "a", "x", "2")], {}, out, overwrite=True)
    assert files(elsewhere) == {}
    assert (out / "x.txt").read_text() == "2"


def test_what_is_in_the_way_is_named_and_left_alone(tmp_path: Path) -> None:
    store = MemoryArtifacts()
    (tmp_path / "x.txt").mkdir()
    (tmp_path / "rep").write_text("mine")
    with pytest.raises(ExportFailed, match=r"x\.txt is in the way"):
        export(store, [made(store, "a", "x", "1")], {}, tmp_path)
    with pytest.raises(ExportFailed, match="rep is in the way"):
        export(store, [made(store, "a", "rep/a", "1")], {}, tmp_path)
    with pytest.raises(ExportFailed, match="not a folder"):
        ready_folder(tmp_path / "rep")
    assert (tmp_path / "rep").read_text() == "mine"


def test_a_value_that_is_kept_in_another_form_is_json_for_people(tmp_path: Path) -> None:
    store = MemoryArtifacts()
    ref = store.put(
        encode_value({"a": [1, "é"]}), content_type="application/json", name="d", encoding="msgpack"
    )
    export(store, [MadeArtifact(node="n", port="p", ref=ref)], {}, tmp_path)
    assert json.loads((tmp_path / "d.json").read_text()) == {"a": [1, "é"]}
    untold = ArtifactRef(digest=ref.digest, size=ref.size, content_type=ref.content_type, encoding="")
    with content(store, untold) as told:
        body = told.stream.read()
        assert json.loads(body) == {"a": [1, "é"]}
        assert (told.content_type, told.size) == ("application/json", len(body))
        assert told.digest == hashlib.sha256(body).hexdigest()
    text = store.put(b'{"b": 2}', content_type="application/json")
    known = ArtifactRef(digest=text.digest, size=8, content_type="application/json", encoding="")
    with content(store, known) as told:
        assert told.stream.read() == b'{"b": 2}'


def test_what_is_handed_out_of_a_declared_artifact_is_what_is_stored(tmp_path: Path) -> None:
    store = MemoryArtifacts()
    ref = store.put(encode_value([1]), content_type="application/msgpack", name="m", encoding="msgpack")
    (one,) = export(store, [MadeArtifact(node="n", port="p", ref=ref)], {}, tmp_path)
    assert one.path.read_bytes() == store.get(ref.digest)
    assert (one.size, one.content_type) == (ref.size, "application/msgpack")


def test_a_large_output_without_a_type_is_told_by_the_file_that_it_becomes(tmp_path: Path) -> None:
    store = MemoryArtifacts()
    large = store.put(encode_value([1, 2]), content_type="application/msgpack", encoding="msgpack")
    (one,) = export(store, [], {"numbers": large}, tmp_path)
    assert one.path.name == "numbers.json"
    assert (one.size, one.content_type) == (one.path.stat().st_size, "application/json")


WORKFLOW = """
name: Pages
nodes:
  page:
    for_each: "['a', 'b']"
    operator: text.join
    inputs: {parts: ["${{ item }}", "!"]}
    artifact: {name: page, content_type: text/markdown}
  hands_on: {operator: debug.value, inputs: {value: "${{ page.result }}"}}
  big: {operator: data.range, inputs: {count: 20000}}
outputs: {big: "${{ big.result }}", first: "${{ page.result[0] }}"}
"""


async def test_a_run_tells_what_its_nodes_declared_and_so_does_one_that_took_it_over(tmp_path: Path) -> None:
    async with Symphony.open(tmp_path / "home") as symphony:
        handle = await symphony.start(loads(WORKFLOW, "yaml"))
        result = await handle.result()
        again = await symphony.rerun(handle.run_id)
        await again.result()
        ended = await symphony.resume(handle.run_id)
        await ended.result()
        told = [[(one.node, one.ref.name) for one in each.artifacts()] for each in (handle, again, ended)]
        assert told == [[("page[0]", "page"), ("page[1]", "page")]] * 3
        export(symphony.artifacts, handle.artifacts(), result.outputs, tmp_path)
    assert (tmp_path / "page-1.md").read_text() == "b!"
    assert json.loads((tmp_path / "big.json").read_text()) == list(range(1, 20_001))


async def test_a_run_that_finds_results_of_its_own_in_the_cache_reads_itself_once(tmp_path: Path) -> None:
    twice = """
name: Twice
nodes:
  a: {operator: text.join, inputs: {parts: [x]}, cache: on}
  again: {operator: text.join, inputs: {parts: [x]}, cache: on, after: [a]}
  b:
    operator: text.join
    inputs: {parts: ["${{ a.result }}", "${{ again.result }}"]}
    artifact: {name: b, content_type: text/plain}
"""
    async with Symphony.open(tmp_path / "home") as symphony:
        for _ in range(2):
            handle = await symphony.start(loads(twice, "yaml"))
            assert (await handle.result()).nodes["again"].cached_from is not None
            assert [one.node for one in handle.artifacts()] == ["b"]


def test_an_artifact_is_opened_as_a_copy_with_its_name(tmp_path: Path) -> None:
    home = tmp_path / "home"
    run(loads(WORKFLOW, "yaml"), home=home)
    store = Symphony.open(home).artifacts
    path = opened(store, store.find("page"), home)
    assert path.name == "page.md"
    assert path.is_relative_to(home)
    assert set(path.read_text()) < set(string.printable)
    path.chmod(0o600)
    path.write_text("scribbled")
    with store.open(store.find("page").digest) as stream:
        assert stream.read() != b"scribbled"
    assert opened(store, store.find("page"), home).read_text() != "scribbled"


def test_only_the_copies_that_were_opened_last_are_kept(tmp_path: Path) -> None:
    store = MemoryArtifacts()
    for number in range(205):
        store.put(str(number).encode(), content_type="text/plain", name=f"n{number}")
        path = opened(store, store.find(f"n{number}"), tmp_path)
    assert path.read_text() == "204"
    assert len(list((tmp_path / "artifacts" / "opened").iterdir())) == 200


def test_copies_that_take_much_room_go_but_for_the_newest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("symphony.app.exporting._COPIES_BYTES_MAX", 25)
    store, paths = MemoryArtifacts(), []
    for number in range(4):
        ref = store.put(b"%d" % number * 10, content_type="text/plain")
        paths.append(copied(store, ref, tmp_path, "x"))
        os.utime(paths[-1].parent, (number, number))
    assert [path.exists() for path in paths] == [False, False, True, True]
    whole = copied(store, store.put(b"y" * 99, content_type="text/plain"), tmp_path, "y")
    assert [path.exists() for path in (*paths, whole)] == [False] * 4 + [True]


LOOP = """
name: rounds
nodes:
  grow:
    control: loop
    state: {text: START}
    until: iteration >= 2
    body:
      write:
        operator: test.report
        inputs: {text: "${{ state.text }}"}
        artifact: {name: "report-${{ iteration }}", port: report}
    next: {text: write.text}
outputs: {size: "${{ size(grow.text) }}"}
"""


class Report(NamedTuple):
    """A report on a text, and the text with a line more."""

    report: str
    text: str


@operator("test.report", version="1.0.0")
def report(text: str) -> Report:
    """Give a report on a text, and the text with a line more."""
    return Report(f"{len(text)} characters", text + "\nanother line")


@pytest.mark.parametrize("start", ["short", "x" * 2_000, "x" * 60_000])
def test_every_round_of_a_loop_gives_its_artifact_however_the_round_is_recorded(
    tmp_path: Path, start: str
) -> None:
    async def whole() -> None:
        async with Symphony.open(tmp_path, operators=[report]) as symphony:
            handle = await symphony.start(loads(LOOP.replace("START", start), "yaml"))
            await handle.result()
            assert [one.ref.name for one in handle.artifacts()] == ["report-0", "report-1", "report-2"]
            again = await symphony.rerun("last")
            await again.result()
            assert [one.node for one in again.artifacts()] == [f"grow#{n}.write" for n in range(3)]

    asyncio.run(whole())


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("notes", "a.md"), "text/markdown"),
        (("page.html", "a.md"), "text/html"),
        (("DATA.YML",), "application/yaml"),
        (("logs.tar.gz",), "application/gzip"),
        (("notes", "-"), "application/octet-stream"),
        (("", ".md"), "application/octet-stream"),
        (("a.b/c",), "application/octet-stream"),
    ],
)
def test_the_first_name_that_tells_a_content_type_decides(names: tuple[str, ...], kind: str) -> None:
    assert type_of(*names) == kind
