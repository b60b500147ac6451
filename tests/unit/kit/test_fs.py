"""fs.* and its patterns."""

import fnmatch
import os
import stat
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from symphony.commons.errors import IoFailed
from symphony.commons.filesystem import FileTooLarge, PathEscapes
from symphony.kit import fs
from symphony.kit.errors import InputRefused, OutputTooLarge, Stopped
from symphony.kit.globbing import matcher


@pytest.mark.parametrize(
    ("pattern", "matches", "others"),
    [
        ("**/*.py", ["a.py", "x/a.py", "x/y/a.py"], ["a.pyc", "x/a.txt"]),
        ("*.py", ["a.py", ".py"], ["x/a.py"]),
        ("src/**", ["src/a", "src/x/y"], ["a", "srcs/a"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a/xb", "ab"]),
        ("**/**/a", ["a", "x/a"], ["xa"]),
        ("?.p[yx]", ["a.py", "é.px"], ["ab.py", "a.pz", "/.py"]),
        ("[!a].c", ["b.c"], ["a.c", "/.c"]),
        ("*.{py,md}", ["a.py", "b.md"], ["a.{py,md}", "a.txt"]),
        ("{a", ["{a"], ["a"]),
        ("a]b,c", ["a]b,c"], []),
        ("./a.b+c", ["a.b+c"], ["axb+c"]),
        ("docs/", ["docs/a", "docs/a/b"], ["docs", "x/docs/a"]),
        ("a\nb", ["a\nb"], ["ab"]),
        ("[]]", ["]"], ["a"]),
        ("[]a]", ["]", "a"], ["b", "[]a]"]),
        ("[!]b]", ["a", "["], ["]", "b", "/"]),
        ("[^x]", ["a", "^"], ["x", "/"]),
        ("[^]x]", ["a"], ["x", "]"]),
        ("[a-c-]", ["b", "-"], ["d"]),
        ("[-a]", ["-", "a"], ["b"]),
        ("[!-a]", ["b"], ["-", "a"]),
        ("[!!-#]", ["a"], ["!", "#"]),
        ("[.-0]", [".", "0"], ["/"]),
        ("[[:digit:]_]", ["7", "_"], ["a", ":"]),
        ("[!", ["[!"], ["!"]),
        ("[!]", ["[!]"], ["a"]),
        ("[a/b]", ["[a/b]"], ["a", "/"]),
        ("[[a]", ["[", "a"], ["]"]),
        (r"[\]]", ["]"], ["\\"]),
        (r"\*.py", ["*.py"], ["a.py"]),
        (r"a\\b", ["a\\b"], ["ab"]),
        (r"a\/b", ["a/b"], ["ab"]),
        ("{src,tests/unit}/*.py", ["src/a.py", "tests/unit/b.py"], ["tests/b.py", "unit/b.py", "a.py"]),
        ("{**/a,b/**}/c", ["a/c", "x/a/c", "b/c", "b/x/c"], ["c", "x/b/c"]),
        ("a{,/b,/c/d}/e", ["a/e", "a/b/e", "a/c/d/e"], ["a/c/e", "ab/e"]),
        ("{a,{b,c/{d,e}}}.x", ["a.x", "b.x", "c/d.x", "c/e.x"], ["c.x", "d.x"]),
        ("x{,y,}", ["x", "xy"], ["xyx"]),
        ("{,tests/}*.py", ["a.py", "tests/a.py"], ["x/a.py"]),
        ("{a,b}{1,2}", ["a1", "a2", "b1", "b2"], ["a", "1", "ab"]),
        ("{a}", ["{a}"], ["a"]),
        ("{}", ["{}"], [""]),
        ("{a,b", ["{a,b"], ["a", "b"]),
        ("{a,{b,c}", ["{a,b", "{a,c"], ["a", "b"]),
        ("{a{b,c}}", ["{ab}", "{ac}"], ["ab"]),
        (r"\{a,b}", ["{a,b}"], ["a", "b"]),
        (r"{a\,b,c}", ["a,b", "c"], ["a", "b"]),
        (r"{a\},b}", ["a}", "b"], ["a"]),
        ("{*.py,[ab]*}", ["x.py", "b.c"], ["c.c"]),
        ("[{a,b}]", ["a", "b"], ["{", ","]),
        ("v{1..3}", ["v1", "v3"], ["v4", "v{1..3}"]),
        ("{08..11}", ["08", "09", "10", "11"], ["8"]),
        ("{c..a}", ["a", "b", "c"], ["d"]),
        ("{1..9..4}", ["1", "5", "9"], ["2"]),
        ("{1..}", ["{1..}"], ["1"]),
        ("{a,b}/", ["a/x", "b/x/y"], ["a", "c/x"]),
        ("**/**", ["a", "a/b"], []),
        ("a/**/**", ["a/b", "a/b/c"], ["a", "b/a"]),
        ("**/**/**/*.py", ["a.py", "x/y/a.py"], ["a.pyc"]),
        ("*ab*ab*", ["abab", "xaabxab"], ["ab", "abba"]),
        ("*a*b", ["ab", "aab", "abb", "bab"], ["ba", "a"]),
        ("**/a/**/b/**/c", ["a/b/c", "a/a/b/b/c/c", "x/a/y/b/z/c"], ["b/a/c", "a/c/b", "xa/b/c"]),
        ("**/a*/*b/**/c*d", ["a/b/cd", "a1/a2/2b/x/c.d"], ["a1/x/b/cd"]),
        ("**/a/**", ["a/x", "b/a/x/y"], ["a", "b/a"]),
    ],
)
def test_a_pattern_matches_whole_relative_names(pattern: str, matches: list[str], others: list[str]) -> None:
    compiled = matcher([pattern])
    assert compiled is not None
    assert [name for name in matches if not compiled.fullmatch(name)] == []
    assert [name for name in others if compiled.fullmatch(name)] == []


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("*a" * 40 + "b", "a" * 250),
        ("[a-z]*" * 60 + "B", "a" * 250),
        ("**/" + "*a" * 12 + "b", "a/" * 100 + "a" * 200),
        ("**/a/" * 12 + "b", "a/" * 1_500 + "c"),
        ("**/a*/**/*a/" * 6 + "b", "aa/" * 1_200 + "c"),
    ],
)
def test_what_does_not_match_is_told_soon_however_many_stars_there_are(pattern: str, name: str) -> None:
    compiled = matcher([pattern])  # the next line did not end: each star was tried with every length
    assert compiled is not None
    assert compiled.fullmatch(name) is None


@pytest.mark.parametrize(
    "pattern",
    [
        "", "/etc/*", "../*", "a/../b", "x" * 2000, "[z-a]", "{,}", "{a,..}/b", "{/etc,a}/b", "{,a}/b",
        "a/{b,../c}", "{1..1000000000000}", "{a,b}" * 14, "{" + "{a,b}" * 60 + ",c}",
    ],
)  # fmt: skip
def test_a_pattern_that_leads_out_or_makes_no_sense_is_refused(pattern: str) -> None:
    with pytest.raises(InputRefused, match="pattern"):
        matcher([pattern])


@given(st.text(alphabet="ab*?[]{},!/.\\-^", max_size=12))
def test_any_pattern_is_compiled_or_refused(pattern: str) -> None:
    try:
        matcher([pattern])
    except InputRefused:
        pass


@given(st.text(alphabet="ab*?[]!-", min_size=1, max_size=8), st.text(alphabet="ab[]!-*", max_size=4))
def test_a_part_matches_as_pythons_fnmatch_does(pattern: str, name: str) -> None:
    try:
        compiled = matcher([pattern])
    except InputRefused:
        return  # a range from high to low
    assert compiled is not None
    assert bool(compiled.fullmatch(name)) == fnmatch.fnmatchcase(name, pattern)


def test_many_choices_cost_little_more_than_one() -> None:
    names = [f"folder{n % 7}/deep/file{n}.type{n % 90}" for n in range(20_000)]

    def taken(pattern: str) -> tuple[float, int]:
        compiled = matcher([pattern])
        assert compiled is not None
        begin = time.thread_time()
        return sum(1 for name in names if compiled.fullmatch(name)), time.thread_time() - begin

    one, alone = min(taken("**/*.type1") for _ in range(3))
    many, together = min(taken("**/*.type{1..60}") for _ in range(3))
    assert (one, many) == (223, 13_339)
    assert together < 40 * alone, "not sixty times as long"


def tree(folder: Path, *names: str) -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")


def test_files_are_listed_in_order_without_hidden_and_foreign_ones(run: Any, tmp_path: Path) -> None:
    tree(
        tmp_path, "b.py", "a/z.py", "a/é.py", "a.txt", ".git/x.py", "node_modules/m.py", "a/__pycache__/c.py",
        "env/pyvenv.cfg", "env/lib/x.py", ".hidden.py",
    )  # fmt: skip
    found = run("fs.glob", root=".", patterns=["**/*.py"])
    assert [one["name"] for one in found["items"]] == ["a/z.py", "a/é.py", "b.py"]
    assert found["paths"] == [str(tmp_path / name) for name in ("a/z.py", "a/é.py", "b.py")]
    assert found["items"][0] == {"path": str(tmp_path / "a/z.py"), "name": "a/z.py"}
    assert found["problems"] == []
    everything = run("fs.glob", root=str(tmp_path), patterns=["**/*.py"], everything=True)
    assert len(everything["paths"]) == 8


def test_exclusions_cover_files_and_whole_folders(run: Any, tmp_path: Path) -> None:
    tree(tmp_path, "a.py", "tests/a.py", "tests/x/b.py", "src/a_test.py", "src/b.py")
    found = run("fs.glob", root=".", exclude=["tests", "**/*_test.py"])
    assert [one["name"] for one in found["items"]] == ["a.py", "src/b.py"]


def test_links_do_not_lead_in_circles_nor_out(run: Any, tmp_path: Path) -> None:
    tree(tmp_path, "root/a/f.py", "outside.py")
    root = tmp_path / "root"
    (root / "a" / "loop").symlink_to(root)
    (root / "in.py").symlink_to(root / "a" / "f.py")
    (root / "out.py").symlink_to(tmp_path / "outside.py")
    (root / "self.py").symlink_to("self.py")
    (root / "gone.py").symlink_to("nowhere")
    os.mkfifo(root / "pipe.py")
    found = run("fs.glob", root="root")
    assert [one["name"] for one in found["items"]] == ["a/f.py", "in.py"]


def test_a_name_that_is_not_utf_8_is_reported_and_not_fatal(run: Any, tmp_path: Path) -> None:
    tree(tmp_path, "a.py")
    (Path(os.fsencode(tmp_path).decode() + "/") / os.fsdecode(b"\xff.py")).write_text("x")
    found = run("fs.glob", root=".")
    assert [one["name"] for one in found["items"]] == ["a.py"]
    assert found["problems"] == [{"name": "\ufffd.py", "message": "its name is not UTF-8"}]


def test_a_root_that_is_no_folder_is_refused(run: Any, tmp_path: Path) -> None:
    tree(tmp_path, "a.py")
    for root in ("a.py", "nope"):
        with pytest.raises(InputRefused, match="input root"):
            run("fs.glob", root=root)


def test_too_many_files_and_cancelled_nodes_stop(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree(tmp_path, "a", "b", "c")
    monkeypatch.setattr(fs, "FILES_MAX", 2)
    with pytest.raises(OutputTooLarge, match="more than 2 files"):
        run("fs.glob", root=".")
    run.cancelled = lambda: True
    with pytest.raises(Stopped):
        run("fs.glob", root=".")


def test_text_is_read_as_it_is(run: Any, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes("\ufeffé\r\n".encode())
    assert run("fs.read", path="a") == {"text": "\ufeffé\r\n"}
    assert run("fs.read", path="a", encoding="utf-8-sig") == {"text": "é\r\n"}


def test_what_cannot_be_read_is_named(run: Any, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"ok\nb\xff")
    with pytest.raises(InputRefused, match=r"a:2 is not utf-8"):
        run("fs.read", path="a")
    with pytest.raises(FileTooLarge):
        run("fs.read", path="a", max_bytes=3)
    for encoding in ("nope", "base64", "punycode", "unicode_escape"):
        with pytest.raises(InputRefused, match="encoding"):
            run("fs.read", path="a", encoding=encoding)
    with pytest.raises(IoFailed):
        run("fs.read", path=".")


def test_a_file_is_written_and_written_again(run: Any, tmp_path: Path) -> None:
    for _ in range(2):
        written = run("fs.write", path="x/y.txt", text="é")
    assert written["path"] == str(tmp_path / "x/y.txt")
    assert (written["size"], len(written["digest"])) == (2, 64)
    assert (tmp_path / "x/y.txt").read_text(encoding="utf-8") == "é"
    run("fs.write", path=str(tmp_path / "z"), data=b"\xff")
    assert (tmp_path / "z").read_bytes() == b"\xff"
    assert sorted(os.listdir(tmp_path)) == ["x", "z"]


def test_an_existing_file_is_replaced_kept_or_refused(run: Any, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    run("fs.write", path="a", text="new", existing="keep")
    assert (tmp_path / "a").read_text() == "old"
    run("fs.write", path="a", text="old", existing="fail")
    with pytest.raises(InputRefused, match="something else"):
        run("fs.write", path="a", text="new", existing="fail")
    run("fs.write", path="a", text="new")
    assert (tmp_path / "a").read_text() == "new"


def test_a_relative_path_stays_below_the_callers_folder(run: Any, tmp_path: Path) -> None:
    run.cwd = tmp_path / "here"
    run.cwd.mkdir()
    (run.cwd / "out").symlink_to(tmp_path)
    for path in ("../a", "out/a", "x/../../a"):
        with pytest.raises(PathEscapes):
            run("fs.write", path=path, text="x")
    assert sorted(os.listdir(tmp_path)) == ["here"]


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes among files")
def test_a_pipe_and_a_link_to_it_are_refused_and_stay(run: Any, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "source.json").write_text("{}")
    for path in ("pipe", "link", str(tmp_path / "link")):
        for existing in ("replace", "keep", "fail"):
            with pytest.raises(InputRefused, match="is not a regular file"):
                run("fs.write", path=path, text="x", existing=existing)
        with pytest.raises(InputRefused, match="is not a regular file"):
            run("csv.write", path=path, rows=[{"a": 1}])
        converted = run("files.convert", path=Path("source.json"), to="yaml", target=path)
        assert "is not a regular file" in converted["problem"]
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)
    assert sorted(os.listdir(tmp_path)) == ["link", "pipe", "source.json"]


def test_a_link_is_followed_and_a_folder_refused(run: Any, tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    run("fs.write", path="link", text="new")
    assert (tmp_path / "real").read_text() == "new"
    assert (tmp_path / "link").is_symlink()
    with pytest.raises(InputRefused, match="is a folder"):
        run("fs.write", path=".", text="x")
    with pytest.raises(InputRefused, match="either"):
        run("fs.write", path="a")
    with pytest.raises(InputRefused, match="text"):
        run("fs.write", path="a", text="\ud800")
