import re
from pathlib import Path

import symphony

ROOT = Path(__file__).parents[2]
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def headings(level: int) -> list[str]:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    return re.findall(rf"^{'#' * level} (.+)$", text, re.MULTILINE)


def test_the_changelog_has_a_section_for_this_version() -> None:
    versions = [re.sub(r"[\[\]]", "", heading).split(" ")[0] for heading in headings(2)]
    assert symphony.__version__ in versions or versions[0] == "Unreleased"
    assert len(versions) == len(set(versions))


def test_the_changelog_sorts_changes_by_their_kind() -> None:
    assert set(headings(3)) <= KINDS
