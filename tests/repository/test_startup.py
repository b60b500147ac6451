"""Start-up is quick because heavy libraries are imported late: by name, as times differ by machine."""

import json
import os
import subprocess
import sys

import pytest

HEAVY = {
    "cel_expr_python", "jinja2", "jmespath", "multiprocessing", "networkx", "numpy", "onnxruntime",
    "psutil", "pydantic", "pytest", "rich", "sqlite3", "structlog", "tomli_w", "typer", "uvloop", "yaml",
}  # fmt: skip


def imported(program: str) -> set[str]:
    """Top-level names of all that a fresh interpreter has imported after `program`."""
    ending = """
import json, sys
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})), file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program + ending],
        capture_output=True,
        text=True,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.mark.parametrize(
    ("program", "also"),
    [
        ("import symphony", {"asyncio", "msgspec", "click", "logging"}),
        ("import symphony.commons.errors", {"asyncio", "msgspec"}),
        ("import symphony.commons.logging", {"asyncio"}),
        ("import symphony.commons.config", {"asyncio"}),
        ("from symphony.sdk import operator", {"asyncio", "click"}),
        ("from symphony.workflow import WorkflowBuilder, load", {"click"}),
    ],
)
def test_importing_brings_in_nothing_heavy(program: str, also: set[str]) -> None:
    assert imported(program) & (HEAVY | also) == set()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"]])
def test_help_and_version_bring_in_nothing_heavy(arguments: list[str]) -> None:
    program = f"""
import sys
sys.argv = ["symphony", *{arguments!r}]
from symphony.cli.main import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""
    assert imported(program) & (HEAVY | {"asyncio"}) == set()
