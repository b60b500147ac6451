"""Every example of the documentation runs.

A comment before a fenced block says what to do with it:

- `<!-- file: NAME -->`: the block becomes the file NAME of the page's own folder;
- `<!-- run -->` before `python`: it runs there; before `console`: each line after `$ ` runs
  there, and what follows is what it prints on stdout and stderr, `…` standing for anything.
  `<!-- run: 1 -->` expects that exit status of the last command.

Other blocks are pictures of something; workflows and programs must not be.
"""

import importlib
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
PAGES = [page for page in PAGES if "generated" not in page.parts]
BLOCK = re.compile(
    r"(?:<!-- (file|run)(?:: (\S+))? -->\n)?^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL
)
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


@dataclass(frozen=True)
class Block:
    action: str | None
    argument: str | None
    language: str
    text: str


def blocks(page: Path) -> list[Block]:
    return [Block(m[1], m[2], m[3], m[4]) for m in BLOCK.finditer(page.read_text(encoding="utf-8"))]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_workflows_and_programs_in_the_documentation_are_tried(page: Path) -> None:
    untried = [
        block.text.splitlines()[0]
        for block in blocks(page)
        if block.action is None and block.language in ("yaml", "python", "console")
    ]
    assert untried == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    dead = [
        link
        for link in LINK.findall(page.read_text(encoding="utf-8"))
        if "://" not in link and "generated/" not in link and not (page.parent / link).exists()
    ]
    assert dead == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(b.action == "run" for b in blocks(page))], ids=named
)
def test_every_example_of_a_page_runs(page: Path, tmp_path: Path) -> None:
    keep = {key: os.environ[key] for key in ("TMPDIR", "LANG") if key in os.environ}
    environment = {
        **keep,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "SYMPHONY_HOME": str(tmp_path / ".symphony"),
        "NO_COLOR": "1",
        "COLUMNS": "200",
    }
    for block in blocks(page):
        if block.action == "file":
            assert block.argument is not None
            target = tmp_path / block.argument
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block.text, encoding="utf-8")
        elif block.action == "run":
            commands = [([sys.executable, "-P", "-c", block.text], "…")]
            if block.language == "console":
                commands = [(["sh", "-c", line], said) for line, said in console(block.text)]
            for number, (command, said) in enumerate(commands, start=1):
                status = int(block.argument or 0) if number == len(commands) else 0
                check(command, said, status, tmp_path, environment)


def check(command: list[str], said: str, status: int, folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == status, f"$ {command[-1]}\n{done.stdout}{done.stderr}"
    said = said.strip().replace("\n…", "…")  # a last line of dots stands for no line, too
    expected = ".*".join(re.escape(part) for part in said.split("…"))
    # A page shows what a command gives, or, where it fails, what it says on stderr.
    printed = (done.stdout.strip(), (done.stdout + done.stderr).strip())
    assert any(re.fullmatch(expected, text, re.DOTALL) for text in printed), (
        f"$ {command[-1]}\nprinted:\n{printed[1]}\nexpected:\n{said}"
    )


def console(text: str) -> list[tuple[str, str]]:
    """Commands, each with what it should print."""
    found: list[tuple[str, str]] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], ""))
        elif found:
            found[-1] = (found[-1][0], found[-1][1] + line + "\n")
    return found


@pytest.mark.slow
def test_the_pages_made_from_code_can_be_made_and_leave_nothing_out(tmp_path: Path) -> None:
    from symphony.kit.template_library import all_templates, folders
    from symphony.workflow import builtin_catalog

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
        "testing.md",
    }  # fmt: skip
    operators = (tmp_path / "operators.md").read_text(encoding="utf-8")
    for name in builtin_catalog().operators:
        assert f"## `{name}`" in operators
    templates = (tmp_path / "templates.md").read_text(encoding="utf-8")
    for entry in all_templates(folders(None, ROOT)):
        assert f"## `{entry.name}`" in templates
        assert entry.template is not None
        assert all(f"| `{name}` |" in templates for name in entry.template.parameters)
    assert "SYMPHONY__LOGGING__LEVEL" in (tmp_path / "settings.md").read_text(encoding="utf-8")
    for package, page in (("symphony", "python.md"), ("symphony.testing", "testing.md")):
        text = (tmp_path / page).read_text(encoding="utf-8")
        for name in importlib.import_module(package).__all__:
            told = rf"^## `{name}` .*\n\n(?:```py\n(?:.*\n)+?```\n\n)?\w"  # with words below its heading
            assert name == "__version__" or re.search(told, text, re.MULTILINE), name
    assert "workflow-invalid" in (tmp_path / "errors.md").read_text(encoding="utf-8")


def test_every_page_stands_in_the_table_of_contents() -> None:
    import tomllib

    listed = set(
        re.findall(
            r'"([\w/-]+\.md)"', str(tomllib.loads((ROOT / "zensical.toml").read_text())).replace("'", '"')
        )
    )
    pages = {str(page.relative_to(ROOT / "docs")) for page in PAGES if page.name != "README.md"}
    assert pages == {page for page in listed if "generated" not in page}
