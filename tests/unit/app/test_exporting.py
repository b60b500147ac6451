"""Artifacts and large outputs as files: their names, what is in them, and what they may not do."""

import json
import string
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.app import Symphony, run
from symphony.app.exporting import ExportFailed, body, export, opened, ready_folder
from symphony.commons.filesystem import PathEscapes
from symphony.pit.artifacts import MemoryArtifacts
from symphony.pit.artifacts.bodies.filenames import extension, file_name, key, told_apart
from symphony.pit.artifacts.values.codec import encode_value
from symphony.ports.insight import MadeArtifact
from symphony.ports.values import ArtifactRef
from symphony.workflow import loads


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
    return {str(p.relative_to(folder)): p.read_text() for p in sorted(folder.rglob("*")) if p.is_file()}


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


def test_a_link_in_the_folder_leads_no_file_out_of_it(tmp_path: Path) -> None:
    store, out, elsewhere = MemoryArtifacts(), tmp_path / "out", tmp_path / "elsewhere"
    for folder in (out, elsewhere):
        folder.mkdir()
    (out / "rep").symlink_to(elsewhere)
    (out / "x.txt").symlink_to(elsewhere / "target")
    with pytest.raises(PathEscapes):
        export(store, [made(store, "a", "rep/a", "1")], {}, out)
    export(store, [made(store, "a", "x", "2")], {}, out)
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
    with body(store, untold) as stream:
        assert json.loads(stream.read()) == {"a": [1, "é"]}
    text = store.put(b'{"b": 2}', content_type="application/json")
    with body(
        store, ArtifactRef(digest=text.digest, size=8, content_type="application/json", encoding="")
    ) as s:
        assert s.read() == b'{"b": 2}'


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
    for number in range(30):
        store.put(str(number).encode(), content_type="text/plain", name=f"n{number}")
        path = opened(store, store.find(f"n{number}"), tmp_path)
    assert path.read_text() == "29"
    assert len(list((tmp_path / "artifacts" / "opened").iterdir())) == 20
