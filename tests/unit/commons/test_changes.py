"""What files looked like is remembered, and what changed is found."""

import os
from pathlib import Path

import pytest

from symphony.commons.changes import ROUNDS_MAX, SeenFiles, look_at, settled


def test_a_file_that_is_written_replaced_removed_or_made_has_changed(tmp_path: Path) -> None:
    same, written, replaced, gone, made = (tmp_path / name for name in "abcde")
    for path in (same, written, replaced, gone):
        path.write_text("x")
    seen = SeenFiles()
    seen.update([same, written, replaced], [gone, made])
    assert seen.changed() == []
    written.write_text("longer")
    (tmp_path / "new").write_text("y")
    (tmp_path / "new").replace(replaced)
    gone.unlink()
    made.write_text("")
    assert seen.changed() == [written, replaced, gone, made]


def test_a_file_is_seen_as_it_was_when_it_was_first_added(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("x")
    seen = SeenFiles()
    seen.add(path)
    path.write_text("longer")
    seen.add(path)
    assert seen.changed() == [path]


def test_a_file_with_its_old_time_and_size_has_changed_all_the_same(tmp_path: Path) -> None:
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_text("x")
    found = path.stat()
    seen = SeenFiles()
    seen.add(path)
    other.write_text("y")
    os.utime(other, ns=(found.st_atime_ns, found.st_mtime_ns))
    other.replace(path)
    assert seen.changed() == [path]


@pytest.mark.parametrize("name", ["none", "a/b", "x" * 5000, "nul\0"])
def test_of_what_cannot_be_looked_at_nothing_is_said(tmp_path: Path, name: str) -> None:
    assert look_at(tmp_path / name) is None


def test_what_changes_is_waited_for_until_it_rests_but_not_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("")
    steps = settled([path])
    next(steps)
    path.write_text("half")
    next(steps)
    assert list(steps) == []
    rounds = 0
    for _ in settled([path]):
        rounds += 1
        path.write_text("x" * (rounds + 10))
    assert rounds == ROUNDS_MAX
