"""Folders and files whose names are not text, or text of any script."""

import os
from pathlib import Path

import pytest
from tests.support.commands import CommandLine

pytestmark = pytest.mark.slow

FLOW = "name: Here\nnodes:\n  here: {command: pwd}\noutputs: {at: '${{ here.stdout }}'}\n"


def test_a_folder_of_any_script_is_as_good_as_another(tmp_path: Path) -> None:
    folder = tmp_path / "gut ü 日本 ' \" $x"
    folder.mkdir()
    typed = CommandLine(folder, folder / "heim ü")
    typed.write("flow ñ.yaml", FLOW)
    assert typed.json("run", "flow ñ.yaml", "--json")["outputs"]["at"].strip() == str(folder)
    assert "here" in typed.type("runs", "show", "here-1")[0]


@pytest.mark.parametrize("what", ["folder", "home", "workflow file"])
def test_a_name_that_is_not_utf8_is_refused_with_what_to_do(tmp_path: Path, what: str) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd\xff"))
    odd.mkdir()
    typed = CommandLine(odd if what == "folder" else tmp_path, (odd if what == "home" else tmp_path) / "home")
    file = os.fsdecode(b"flow\xff.yaml") if what == "workflow file" else "flow.yaml"
    typed.write(file, FLOW)
    refused = typed.call("run", file)
    assert refused.status == 1
    assert f"the {what} " in refused.err
    assert "not UTF-8" in refused.err
    assert "rename it" in refused.err
    assert not list((typed.home / "journal").glob("*"))
