"""Names of files are UTF-8 whatever the locale of the process says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.commands import CommandLine

pytestmark = pytest.mark.slow

PLAIN = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
LISTING = """\
name: Listing
nodes:
  files: {operator: fs.glob, inputs: {root: notes}}
  length: {operator: fs.read, inputs: {path: "${{ files.paths[0] }}"}}
outputs:
  names: ${{ files.items.map(i, i.name) }}
  problems: ${{ files.problems }}
  text: ${{ length.text }}
"""


def test_a_name_in_utf_8_is_found_and_read_in_a_locale_that_is_not(tmp_path: Path) -> None:
    desk = CommandLine(tmp_path)
    desk.write("listing.yaml", LISTING)
    (desk.folder / "notes").mkdir()
    (desk.folder / "notes" / "ä ω.txt").write_text("inside")
    for variables in (PLAIN, {"LC_ALL": "C"}, {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"}):
        found = desk.json("run", "listing.yaml", **variables)["outputs"]
        assert found == {"names": ["ä ω.txt"], "problems": [], "text": "inside"}


def test_the_streams_keep_the_encoding_of_the_locale(tmp_path: Path) -> None:
    desk = CommandLine(tmp_path)
    _, err = desk.type("run", "ä.yaml", status=2, **PLAIN)
    assert "\\xe4.yaml" in err


def test_a_process_of_somebody_else_that_cannot_name_a_file_is_told_why(tmp_path: Path) -> None:
    (tmp_path / "ä.txt").touch()
    program = (
        "from symphony.kit.fs import _Walk\n"
        "walk = _Walk(base='.', real='.', everything=False)\n"
        "print(list(walk.files()), [ascii(one['message']) for one in walk.problems])\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, **PLAIN}, text=True, check=True,
        capture_output=True,
    ).stdout  # fmt: skip
    assert said.startswith("[] ")
    assert "its name is UTF-8, and this process takes names of files as ascii: set PYTHONUTF8=1" in said
