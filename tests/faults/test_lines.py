"""Lines are counted as editors count them, wherever they are counted."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from symphony.cli.arguments.envfile import EnvFileRefused, parse_env
from symphony.cli.console.blocks import SourceText
from symphony.commons.filesystem import read_text_bounded
from symphony.kit import census, code, documents, fs, pages
from symphony.pit.artifacts.values.spellings import spellings
from symphony.workflow.documents import format_named
from symphony.workflow.documents.tree import SyntaxProblem

WORD = "TO" + "DO"
NO_ENDS = ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]


def test_what_was_met_is_counted_right(fault: Any) -> None:
    case = fault("form-feed-lines")
    context: Any = SimpleNamespace(cwd=case.folder, base=case.folder, cancelled=lambda: False)
    source = f"import os\n\x0c\ndef f():\n    pass  # {WORD}: here, line 4\n"
    page = (
        "# One\n\nfirst\n\x0c\nsecond paragraph, line 5\n\n## Two\n\n"
        "third, line 9 \u2028 x\n\nfourth, line 11\n"
    )
    (case.folder / "a.py").write_text(source)
    (case.folder / "a.md").write_text(page)
    found = census.census(Path("a.py"), context)
    assert [(note["line"], note["text"]) for note in found["notes"]] == [(4, "here, line 4")]
    assert found["lines"] == 4
    passages = pages.passages(Path("a.md"), context, chars=100)["passages"]
    assert [one["line"] for one in passages] == [3, 9]
    assert "second paragraph, line 5" in passages[0]["text"]
    assert passages[1]["text"].startswith("third, line 9 \u2028 x")
    (case.folder / "b.md").write_text("a\n\x0c\n[x](y)\n")
    assert [link["line"] for link in pages.links(Path("b.md"), context)["links"]] == [3]


@pytest.mark.parametrize("char", NO_ENDS)
def test_no_other_character_ends_a_line(char: str, tmp_path: Path) -> None:
    context: Any = SimpleNamespace(cwd=tmp_path, base=tmp_path, cancelled=lambda: False)

    def put(name: str, text: str | bytes) -> Path:
        body = text.encode() if isinstance(text, str) else text
        (tmp_path / name).write_bytes(body)
        return Path(name)

    note = census.census(put("a.c", f"x{char}y\r\n// {WORD}: z{char}w\r"), context)
    assert note["lines"] == 2
    assert [(one["line"], one["text"]) for one in note["notes"]] == [(2, f"z{char}w")]
    found = code.symbols(put("a.py", f"'''a{char}b'''\rdef f():\r\n    pass\n"), context)
    assert [one["line"] for one in found["symbols"]] == [2]
    assert [one["line"] for one in pages.passages(put("p.md", f"a{char}b\n\nc"), context)["passages"]] == [1]
    page = pages.links(put("p.html", f"<p>{char}\r<a href=x>y</a>"), context)
    assert [one["line"] for one in page["links"]] == [2]
    page = pages.links(put("q.md", f"a{char}b\r\r[x](y)\r\n"), context)
    assert [one["line"] for one in page["links"]] == [3]
    shown = SourceText.of(tmp_path / put("w.yaml", f"a: 1 # {char}\nb: 2\n")).lines
    assert list(shown) == [f"a: 1 # {char}", "b: 2"]
    assert parse_env(f"A=x{char}y\rB=2", "f") == {"A": f"x{char}y", "B": "2"}
    with pytest.raises(EnvFileRefused, match="line 2"):
        parse_env(f"A=x{char}y\nB", "f")
    assert "line-1" not in spellings(f"one secret{char}two secret")
    with pytest.raises(Exception, match="line 3"):
        read_text_bounded(tmp_path / put("bad", f"{char}\r\n\r".encode() + b"\xff"), 1000)
    with pytest.raises(Exception, match="bad:3 is not"):
        fs.read(Path("bad"), context)
    with pytest.raises(Exception, match="line 2, column 1"):
        documents.parse(f'{{"a":"{char}",\r!}}' if char > " " else "{\r!}x")


@pytest.mark.parametrize("char", ["\x85", "\u2028", "\u2029"])
def test_problems_of_yaml_have_the_line_that_editors_show(char: str) -> None:
    """libyaml counts these as line ends."""
    yaml = format_named("yaml")
    document = yaml.parse(f"# a{char}\na: '{char}'\nb: 1\nb: 2\n".encode())
    assert [(one.line, one.column) for one in document.problems] == [(4, 1)]
    assert document.positions is not None
    assert document.positions.of("b") == (3, 1)
    with pytest.raises(SyntaxProblem) as caught:
        yaml.parse(f"# a\na: '{char}'\nb: [\r}}".encode())
    assert (caught.value.problem.line, caught.value.problem.column) == (4, 1)
