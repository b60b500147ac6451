"""The report on a repository ships as an example and as a template: both say the same."""

from pathlib import Path

from symphony.workflow import loads

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "repo-report"
TEMPLATE = ROOT / "src" / "symphony" / "kit" / "templates" / "repo-report.yaml"


def test_the_template_renders_what_the_example_renders() -> None:
    node = loads(TEMPLATE.read_bytes(), "yaml").nodes["markdown"]
    assert node.inputs["text"] == (EXAMPLE / "report.md.j2").read_text(encoding="utf-8")
