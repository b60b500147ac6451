"""What tells the processes of a run: handed on to every child, and different for a copy of a home."""

import os
import shutil
from pathlib import Path

from symphony.commons.environment import inherited
from symphony.commons.marks import (
    HOME_VARIABLE,
    NODE_VARIABLE,
    RUN_VARIABLE,
    home_marks,
    marking,
    marks_of,
    unmarked,
)
from symphony.kit.guarded_git import _plain


def test_children_of_a_node_and_git_get_its_marks(tmp_path: Path) -> None:
    marks = {**marks_of("run-1", tmp_path), NODE_VARIABLE: "n"}
    with marking(marks):
        for environment in (inherited(), _plain()):
            assert {name: environment.get(name) for name in marks} == marks
        assert RUN_VARIABLE not in unmarked(inherited())
    assert RUN_VARIABLE not in inherited() or RUN_VARIABLE in os.environ


def test_a_home_keeps_its_mark_when_it_is_renamed_and_a_copy_has_another(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    mark = home_marks(home)
    shutil.copytree(home, tmp_path / "copy")
    home.rename(tmp_path / "renamed")
    assert home_marks(tmp_path / "renamed") == mark
    assert home_marks(tmp_path / "copy") != mark
    assert mark[0][0] == HOME_VARIABLE
    assert home_marks(home) == home_marks(None) == ()
