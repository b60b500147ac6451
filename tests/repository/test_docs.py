"""Every example of the documentation runs, and prints what the page shows.

A comment before a fenced block says what to do with it:

- `<!-- file: NAME -->`: the block becomes the file NAME in the reader's folder;
- `<!-- run -->` before `python`: it runs there; before `console`: each line after `$ ` runs
  there, and what follows is what it prints (see `tests/support/pages.py`). `<!-- run: 1 -->`
  expects that exit status of the last command.

Other blocks are pictures of something; workflows and programs must not be.
`make docs-output` writes what the commands print into the pages.
"""

import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.pages import (
    ROOT,
    Reader,
    blocks,
    dead_links,
    differences,
    hand_shortened,
    rewritten,
    unnamed_files,
    without_code,
)

GENERATED = ROOT / "docs" / "reference" / "generated"
PAGES = [
    page
    for page in sorted(
        [*ROOT.glob("*.md"), *(page for name in ("docs", "examples") for page in (ROOT / name).rglob("*.md"))]
    )
    if GENERATED not in page.parents and page.name != "CHANGELOG.md"
]
TEXTS = {page: page.read_text(encoding="utf-8") for page in PAGES}
UNCOMMON = re.compile(
    r"\banew\b|\bfor ever\b|\bstands? twice\b|\bthat (?:is|are) none\b|[.:;] (?:Who|Whoever|The same,) ",
    re.IGNORECASE,
)
WRITE = os.environ.get("SYMPHONY_DOCS_OUTPUT") == "write"


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_workflows_and_programs_in_the_documentation_are_tried(page: Path) -> None:
    untried = [
        block.text.splitlines()[0]
        for block in blocks(TEXTS[page])
        if block.action is None and block.language in ("yaml", "python", "console")
    ]
    assert untried == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_between_pages_lead_to_a_page_and_to_a_heading_of_it(page: Path) -> None:
    assert [link for link in dead_links(page, page.parent, TEXTS) if "generated/" not in link] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_page_with_links_to_generated_pages_says_how_they_are_made(page: Path) -> None:
    assert "generated/" not in TEXTS[page] or "`make docs`" in TEXTS[page]


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_the_text_before_a_file_names_it(page: Path) -> None:
    assert unnamed_files(TEXTS[page]) == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_shortened_output_has_its_marks_where_a_reader_expects_them(page: Path) -> None:
    assert hand_shortened(TEXTS[page]) == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CONTRIBUTING.md"], ids=named)
def test_pages_say_it_with_the_common_word(page: Path) -> None:
    """`CONTRIBUTING.md` has the rules, and these words in its table of what not to say."""
    found = [match[0] for match in UNCOMMON.finditer(without_code(TEXTS[page]))]
    assert found == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(one.action == "run" for one in blocks(TEXTS[page]))], ids=named
)
def test_a_page_shows_what_its_commands_print(page: Path, tmp_path: Path) -> None:
    text, reader = TEXTS[page], Reader(tmp_path)
    if WRITE:
        page.write_text(rewritten(text, reader), encoding="utf-8")
    else:
        told = "\n\n".join(differences(text, reader))
        assert not told, f"look whether this is right, then say: make docs-output\n\n{told}"


@pytest.mark.slow
def test_the_pages_made_from_code_can_be_made_and_leave_nothing_out(tmp_path: Path) -> None:
    from symphony.kit.template_library import all_templates, folders
    from symphony.workflow import builtin_catalog
    from symphony.workflow.expressions.library import CALLABLE

    program = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(ROOT / "tools")!r})
import generate_reference as generate
generate.FOLDER = Path({str(tmp_path)!r})
sys.exit(generate.main())
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
    assert {page.name for page in tmp_path.iterdir()} == {
        "command-line.md", "operators.md", "settings.md", "errors.md", "templates.md", "python.md",
        "testing.md", "cel.md",
    }  # fmt: skip
    operators = (tmp_path / "operators.md").read_text(encoding="utf-8")
    for name in builtin_catalog().operators:
        assert f"## `{name}`" in operators
    templates = (tmp_path / "templates.md").read_text(encoding="utf-8")
    for entry in all_templates(folders(None, ROOT)):
        assert f"## `{entry.name}`" in templates
        assert entry.template is not None
        assert all(f"| `{name}` |" in templates for name in entry.template.parameters)
    cel = (tmp_path / "cel.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in cel for name in CALLABLE)
    assert "SYMPHONY__LOGGING__LEVEL" in (tmp_path / "settings.md").read_text(encoding="utf-8")
    for package, page in (("symphony", "python.md"), ("symphony.testing", "testing.md")):
        text = (tmp_path / page).read_text(encoding="utf-8")
        for name in importlib.import_module(package).__all__:
            told = rf"^## `{name}` .*\n\n(?:```py\n(?:.*\n)+?```\n\n)?\w"  # with words below its heading
            assert name == "__version__" or re.search(told, text, re.MULTILINE), name
    assert "workflow-invalid" in (tmp_path / "errors.md").read_text(encoding="utf-8")
    made = {GENERATED / page.name: page.read_text(encoding="utf-8") for page in tmp_path.iterdir()}
    texts = TEXTS | made
    dead = {named(page): dead_links(page, page.parent, texts) for page in texts}
    assert {page: links for page, links in dead.items() if links} == {}
    linked = TEXTS[ROOT / "docs" / "index.md"]
    assert [page.name for page in made if f"(reference/generated/{page.name})" not in linked] == []


def test_every_page_is_linked_from_the_first_one() -> None:
    first = ROOT / "docs" / "index.md"
    pages = [page for page in PAGES if first.parent in page.parents and page != first]
    assert [named(page) for page in pages if f"({page.relative_to(first.parent)})" not in TEXTS[first]] == []


def test_every_page_is_in_the_table_of_contents() -> None:
    import tomllib

    listed = set(
        re.findall(
            r'"([\w/-]+\.md)"', str(tomllib.loads((ROOT / "zensical.toml").read_text())).replace("'", '"')
        )
    )
    pages = {str(page.relative_to(ROOT / "docs")) for page in PAGES if ROOT / "docs" in page.parents}
    assert pages == {page for page in listed if "generated" not in page}
