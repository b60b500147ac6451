"""Artifacts as a data set: what is in a row, in which order, and what lies beside."""

import io
import json
from pathlib import Path

import pytest

from symphony import Symphony
from symphony.app.datasets import DatasetExporter, text_in
from symphony.commons.errors import SymphonyError
from symphony.pit.stale.adapters.parquet import groups
from symphony.ports.artifacts import Rating
from symphony.ports.search import SearchRequest

pytestmark = pytest.mark.slow  # an index is built on disk


def exporter(home: Path) -> DatasetExporter:
    symphony = Symphony.open(home)
    return DatasetExporter(symphony.artifacts, symphony.searching)


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def add(home: Path, body: bytes, name: str, content_type: str = "text/plain", **more: object) -> str:
    stored = Symphony.open(home).artifacts
    version = stored.add_version(io.BytesIO(body), name=name, content_type=content_type, **more)  # type: ignore[arg-type]
    return version.digest


def test_a_row_says_what_is_known_and_has_the_text(tmp_path: Path) -> None:
    home, target = tmp_path / "home", tmp_path / "out.jsonl"
    digest = add(home, "Grüße\n".encode(), "note", note="first", tags=["final"])
    Symphony.open(home).artifacts.rate(digest, Rating(score=0.9, by="ann", note="good", at=1.0))  # type: ignore[arg-type]
    written = exporter(home).export(SearchRequest(), target)
    (row,) = rows(target)
    assert (written.rows, written.texts, written.files) == (1, 1, 0)
    assert row["text"] == "Grüße\n"
    assert (row["digest"], row["name"], row["version"], row["tags"]) == (digest, "note", 1, ["final"])
    assert row["versions"] == [{"name": "note", "number": 1, "tags": ["final"], "note": "first"}]
    assert isinstance(row["ratings"], list)
    assert row["ratings"][0]["score"] == 0.9


async def test_what_a_run_made_says_which_node_made_it_of_what(tmp_path: Path) -> None:
    home, target = tmp_path / "home", tmp_path / "out.jsonl"
    text = (
        "name: Words\nnodes:\n  page:\n    operator: text.render\n"
        "    inputs: {text: 'one {{ n }}', data: {n: 2}}\n"
        "    artifact: {name: page, content_type: text/markdown}\noutputs:\n  page: ${{ page.text }}\n"
    )
    async with Symphony.open(home) as symphony:
        prepared = symphony.prepare(tmp_path / "words.yaml", body=text.encode())
        result = await (await symphony.start(prepared)).result()
    exporter(home).export(SearchRequest(text="name:page"), target)
    (row,) = rows(target)
    assert (row["run_id"], row["node"], row["operator"]) == (result.run_id, "page", "text.render")
    assert row["text"] == "one 2"


def test_contents_that_are_no_short_text_are_files_beside(tmp_path: Path) -> None:
    home, target = tmp_path / "home", tmp_path / "out.jsonl"
    bodies = {"image": b"\x89PNG\0\1", "long": b"a" * 200, "short": b"a" * 100, "empty": b""}
    for name, body in bodies.items():
        add(home, body, name, "image/png" if name == "image" else "text/plain")
    written = exporter(home).export(SearchRequest(), target, inline_bytes=100)
    found = {str(row["name"]): row for row in rows(target)}
    assert (written.texts, written.files) == (2, 2)
    for name in ("image", "long"):
        assert found[name]["text"] is None
        assert (tmp_path / str(found[name]["file"])).read_bytes() == bodies[name]
    assert str(found["image"]["file"]).endswith(".png")
    assert (found["short"]["text"], found["empty"]["text"]) == ("a" * 100, "")


def test_the_same_artifacts_give_the_same_bytes_and_only_what_is_asked_for(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for number in range(5):
        add(home, b"note %d" % number, f"n{number}", tags=["even"] if number % 2 == 0 else [])
    one, other = tmp_path / "one.jsonl", tmp_path / "other.jsonl"
    exporter(home).export(SearchRequest(), one)
    exporter(home).export(SearchRequest(), other)
    assert one.read_bytes() == other.read_bytes()
    exporter(home).export(SearchRequest(text="tag:even note"), one)
    assert [row["name"] for row in rows(one)] == ["n0", "n2", "n4"]


def test_a_stream_gets_the_rows_and_no_files(tmp_path: Path) -> None:
    add(tmp_path, b"\0\1", "binary")
    stream = io.BytesIO()
    exporter(tmp_path).export(SearchRequest(), stream)
    row = json.loads(stream.getvalue())
    assert (row["text"], row["file"]) == (None, None)


def test_a_query_that_cannot_be_read_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(SymphonyError):
        exporter(tmp_path / "home").export(SearchRequest(text="("), tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def test_parquet_has_the_same_columns_or_an_error_says_how_to_add_it(tmp_path: Path) -> None:
    home, target = tmp_path / "home", tmp_path / "out.parquet"
    add(home, b"text", "n", tags=["a"])
    try:
        import pyarrow.parquet
    except ImportError:
        with pytest.raises(SymphonyError) as caught:
            exporter(home).export(SearchRequest(), target, form="parquet")
        assert caught.value.code == "not-supported"
        assert "parquet" in (caught.value.hint or "") or "pyarrow" in (caught.value.hint or "")
        assert not target.exists()
        return
    exporter(home).export(SearchRequest(), target, form="parquet")
    exporter(home).export(SearchRequest(), lines := tmp_path / "out.jsonl")
    (told,), (row,) = pyarrow.parquet.read_table(target).to_pylist(), rows(lines)
    assert {**told, "versions": json.loads(told["versions"])} | {"ratings": [], "provenance": []} == row


def test_groups_of_rows_are_bounded_by_rows_and_by_text() -> None:
    short = [{"text": None} for _ in range(2_500)]
    assert [len(group) for group in groups(iter(short))] == [1_000, 1_000, 500]
    long = [{"text": "x" * (8 << 20)} for _ in range(5)]
    assert [len(group) for group in groups(iter(long))] == [2, 2, 1]
    assert list(groups(iter([]))) == []


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", ""),
        ("ü\t\r\n".encode(), "ü\t\r\n"),
        (b"a\0b", None),
        (b"\xff", None),
        (b"\x1b[1mbold", "\x1b[1mbold"),
    ],
)
def test_text_is_utf_8_without_controls(body: bytes, text: str | None) -> None:
    assert text_in(body) == text
