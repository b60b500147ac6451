"""The name `symphony` on the public package index is another project's: nobody is told to install it."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
INSTALLS = re.compile(
    r"(?:pip3?|pipx|uv|uvx|poetry|pdm|conda)\s+[^\n`]*?\b(?:install|add|inject|run|tool)\b[^\n`]*?"
    r"(?<![\w./\\-])['\"]?symphony(?:\[|[<>=!~]=|['\"]?\s*(?:$|`|\n))"
    r"|symphony\[(?:llama|nats|otel)"
)
THIS = "tests/repository/test_distribution.py"


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\0") if name and name != THIS]


def test_no_file_of_the_project_tells_to_install_that_name() -> None:
    found = []
    for path in tracked():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        found += [f"{path.relative_to(ROOT)}: {match[0].strip()}" for match in INSTALLS.finditer(text)]
    assert found == []


def test_what_it_looks_for_is_found() -> None:
    for wrong in (
        "pip install 'symphony[llama]'", 'pip install "symphony[nats]"', "pip install symphony",
        "uv add symphony",
        "pip install --upgrade 'symphony>=2'", "pipx install symphony", "python -m pip install -U symphony\n",
        "uv tool install symphony`",
    ):  # fmt: skip
        assert INSTALLS.search(wrong), wrong
    for right in (
        "pip install ./symphony_workflows-0.1.0-py3-none-any.whl", "pip uninstall symphony",
        "pipx inject symphony-workflows 'nats-py>=2.10'",
        "make install\nsymphony run", "pip install x; symphony run", "uv tool install /opt/symphony",
    ):  # fmt: skip
        assert not INSTALLS.search(right), right
