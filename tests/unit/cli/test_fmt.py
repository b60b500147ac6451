"""`symphony fmt`: one file, several, folders, stdin; what is changed, shown and refused."""

import io
import os
import stat
from pathlib import Path

import pytest

from symphony.cli.main import main

PLAIN = "name: W\n# what runs\nnodes:\n  a:\n    operator: debug.value\n    inputs: {value: 1}\n"
WILD = "# what runs\n\nnodes:\n    a:\n        inputs:   {value: 1}\n        operator: debug.value\nname: W\n"
WILD_LAID_OUT = "# what runs\n\nname: W\nnodes:\n  a:\n    operator: debug.value\n    inputs: {value: 1}\n"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def fmt(capsys: pytest.CaptureFixture[str], *words: str, status: int = 0) -> tuple[str, str]:
    assert main(["fmt", *words]) == status
    return tuple(capsys.readouterr())


def test_a_file_is_changed_once_and_keeps_its_mode(capsys: pytest.CaptureFixture[str]) -> None:
    path = write("w.yaml", WILD)
    path.chmod(0o640)
    assert fmt(capsys, "w.yaml") == ("", "changed w.yaml\n")
    assert path.read_text() == WILD_LAID_OUT
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    before = path.stat().st_ino
    assert fmt(capsys, "w.yaml") == ("", "")
    assert path.stat().st_ino == before


def test_check_and_diff_change_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    path = write("w.yaml", WILD)
    assert fmt(capsys, "--check", "w.yaml", status=1) == ("", "would change w.yaml\n")
    out, err = fmt(capsys, "--diff", "w.yaml")
    assert "-        inputs:   {value: 1}\n" in out
    assert "+    inputs: {value: 1}\n" in out
    assert err == ""
    out, err = fmt(capsys, "--diff", "--check", "w.yaml", status=1)
    assert "+name: W\n" in out
    assert path.read_text() == WILD
    write("plain.yaml", PLAIN)
    assert fmt(capsys, "--check", "--diff", "plain.yaml") == ("", "")


def test_lines_that_end_otherwise_than_most_are_a_difference_too(capsys: pytest.CaptureFixture[str]) -> None:
    Path("w.yaml").write_bytes(PLAIN.encode().replace(b"\n", b"\r\n", 2))
    assert "ends of lines" in fmt(capsys, "--diff", "w.yaml")[0]
    fmt(capsys, "w.yaml")
    assert Path("w.yaml").read_bytes() == PLAIN.encode()


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_and_a_byte_order_mark_stay(
    capsys: pytest.CaptureFixture[str], end: str, mark: bytes
) -> None:
    Path("w.yaml").write_bytes(mark + WILD.replace("\n", end).encode())
    fmt(capsys, "w.yaml")
    assert Path("w.yaml").read_bytes() == mark + WILD_LAID_OUT.replace("\n", end).encode()
    assert fmt(capsys, "--check", "w.yaml") == ("", "")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("w.json", '{"nodes": {"a": {"command": "echo hi"}}, "name": "W"}\r\n'),
        ("w.toml", "name = \"W\"\r\n[nodes.a]\r\ncommand = '''\r\necho a\r\necho b'''\r\n"),
    ],
)
def test_other_formats_keep_their_line_ends(capsys: pytest.CaptureFixture[str], name: str, text: str) -> None:
    Path(name).write_bytes(text.encode())
    fmt(capsys, name)
    made = Path(name).read_bytes()
    assert made.count(b"\n") == made.count(b"\r\n") > 2


def test_without_a_file_it_is_the_workflow_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no workflow here" in fmt(capsys, status=2)[1]
    write("only.yaml", WILD)
    assert fmt(capsys, "--check", status=1) == ("", "would change only.yaml\n")
    assert fmt(capsys) == ("", "changed only.yaml\n")


def test_folders_are_laid_out_and_what_cannot_be_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    write("flows/a.yaml", WILD)
    write("flows/deep/b.yaml", PLAIN)
    bad = write("flows/bad.yaml", "name: W\nnodes:\n\ta: 1\n")
    write("flows/none.yaml", "some: [ data]\n")
    out, err = fmt(capsys, "flows", status=2)
    assert out == ""
    assert "changed flows/a.yaml" in err
    assert "YAML forbids tabs" in err
    assert err.splitlines()[-1] == "1 file changed, 1 as it should be, 1 cannot be laid out"
    assert bad.read_text() == "name: W\nnodes:\n\ta: 1\n"
    assert Path("flows/none.yaml").read_text() == "some: [ data]\n"


def test_stdin_goes_to_stdout(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(WILD.encode())))
    monkeypatch.setattr("sys.stdout", out := io.TextIOWrapper(io.BytesIO(), encoding="utf-8"))
    assert main(["fmt", "-"]) == 0
    out.flush()
    assert out.buffer.getvalue() == WILD_LAID_OUT.encode()  # type: ignore[attr-defined]  # it is a BytesIO


def test_a_link_stays_one_and_its_file_is_changed(capsys: pytest.CaptureFixture[str]) -> None:
    path = write("real.yaml", WILD)
    Path("link.yaml").symlink_to("real.yaml")
    fmt(capsys, "link.yaml")
    assert Path("link.yaml").is_symlink()
    assert path.read_text() == WILD_LAID_OUT


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("none.yaml", None, "workflow-not-found"),
        ("empty.yaml", "", "the file is empty"),
        ("list.yaml", "- a\n", "a workflow is a map"),
        ("alias.yaml", "name: &n W\ntags: [*n]\n", "alias"),
        ("twice.yaml", "name: a\nname: b\n", "duplicate-name"),
        ("c.toml", 'name = "W" # mine\n', "comments of a TOML document would be lost"),
    ],
)
def test_what_cannot_be_laid_out_stays_as_it_is(
    capsys: pytest.CaptureFixture[str], name: str, text: str | None, said: str
) -> None:
    if text is not None:
        write(name, text)
    out, err = fmt(capsys, name, status=2)
    assert out == ""
    assert said in err
    assert text is None or Path(name).read_text() == text


def test_nothing_is_run_and_operators_need_not_be_known(capsys: pytest.CaptureFixture[str]) -> None:
    write("ops.py", "raise SystemExit('run')")
    write("w.yaml", "nodes: {a: {operator: not.known}}\nname: W\noperators: [ops.py]\n")
    fmt(capsys, "w.yaml")
    assert Path("w.yaml").read_text().startswith("name: W\noperators: [ops.py]\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_that_cannot_be_written_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    write("locked/w.yaml", WILD)
    Path("locked").chmod(0o500)
    try:
        assert "cannot" in fmt(capsys, "locked/w.yaml", status=1)[1]
    finally:
        Path("locked").chmod(0o700)


def test_what_init_writes_is_as_it_should_be(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYMPHONY_HOME", str(tmp_path / "home"))
    assert main(["init", "."]) == 0
    capsys.readouterr()
    assert fmt(capsys, "--check", "workflow.yaml") == ("", "")
