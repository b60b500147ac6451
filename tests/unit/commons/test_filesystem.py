import errno
import os
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from symphony.commons.errors import IoFailed
from symphony.commons.filesystem import (
    FileTooLarge,
    PathEscapes,
    private_directory,
    read_bounded,
    read_text_bounded,
    replacing,
    within,
    write_atomic,
)


def test_a_written_file_holds_the_body_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_atomic(tmp_path / "a", "grün")
    assert (tmp_path / "a").read_bytes() == "grün".encode()
    assert os.listdir(tmp_path) == ["a"]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.write_text("old")
    with pytest.raises(ZeroDivisionError), replacing(target) as stream:
        stream.write(b"new")
        _ = 1 / 0
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_full_disk_is_an_io_error_that_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(IoFailed, match=r"cannot write .*/a: No space left"), replacing(tmp_path / "a"):
        raise OSError(28, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 255)
    write_atomic(target, b"x")
    assert target.read_bytes() == b"x"


def test_a_rewritten_file_keeps_its_mode_and_a_given_mode_wins(tmp_path: Path) -> None:
    target = tmp_path / "a"
    target.touch()
    target.chmod(0o640)
    write_atomic(target, b"x")
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    write_atomic(target, b"x", mode=0o600)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_a_link_is_replaced_and_what_it_led_to_is_untouched(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_atomic(tmp_path / "link", "new")
    assert (tmp_path / "real").read_text() == "old"
    assert not (tmp_path / "link").is_symlink()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes among files")
@pytest.mark.parametrize("how", [{}, {"mode": 0o600}, {"new": True}], ids=["usual", "mode", "new"])
def test_what_is_no_regular_file_is_never_replaced(tmp_path: Path, how: dict[str, Any]) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(IoFailed, match="pipe: it is not a regular file"):
        write_atomic(tmp_path / "pipe", "text", **how)
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)
    assert os.listdir(tmp_path) == ["pipe"]


@pytest.mark.parametrize("target", ["missing/a", "folder", "file/a"])
def test_where_nothing_can_be_written_the_error_names_the_path(tmp_path: Path, target: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(IoFailed, match="cannot write"):
        write_atomic(tmp_path / target, b"x")


def test_a_private_directory_is_the_owners_alone(tmp_path: Path) -> None:
    made = private_directory(tmp_path / "a" / "b")
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert private_directory(made) == made


@pytest.mark.parametrize("path", ["a", "a/../b", ".", "", "deep/er", "link_in/x"])
def test_a_path_that_stays_inside_is_returned_resolved(tmp_path: Path, path: str) -> None:
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "root" / "link_in").symlink_to("a")
    found = within(tmp_path / "root", path)
    assert found.is_relative_to((tmp_path / "root").resolve())
    assert "link_in" not in found.parts


@pytest.mark.parametrize("path", ["..", "../root2", "/etc", "a/../../x", "link_out", "link_out/x", "a\0b"])
def test_a_path_that_leads_out_is_refused_also_through_a_link(tmp_path: Path, path: str) -> None:
    (tmp_path / "root" / "a").mkdir(parents=True)
    (tmp_path / "root2").mkdir()
    (tmp_path / "root" / "link_out").symlink_to(tmp_path / "root2")
    with pytest.raises(PathEscapes):
        within(tmp_path / "root", path)


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="newer Pythons leave a circle as it is")
def test_a_circle_of_links_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(IoFailed, match="circles"):
        within(tmp_path, "a/x")


def test_a_read_up_to_the_limit_is_whole_and_one_byte_more_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"12345")
    assert read_bounded(file, 5) == b"12345"
    with pytest.raises(FileTooLarge, match="more than 4 bytes"):
        read_bounded(file, 4)


def test_an_empty_file_is_read_as_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert read_bounded(tmp_path / "a", 0) == b""


def test_a_huge_sparse_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    with (tmp_path / "a").open("wb") as stream:
        stream.truncate(10 * 2**30)
    with pytest.raises(FileTooLarge):
        read_bounded(tmp_path / "a", 1000)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc")
def test_a_file_that_claims_to_be_empty_is_read_to_its_end() -> None:
    assert Path("/proc/self/status").stat().st_size == 0
    assert b"Pid:" in read_bounded(Path("/proc/self/status"), 1 << 20)


@pytest.mark.parametrize("kind", ["folder", "pipe", "/dev/zero", "missing"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(IoFailed, match="cannot read"):
        read_bounded(tmp_path / kind, 100)


def test_text_drops_the_byte_order_mark_and_names_the_line_that_is_not_utf8(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfyes")
    assert read_text_bounded(tmp_path / "a", 100) == "yes"
    (tmp_path / "a").write_bytes(b"ok\nok\n\xff\xfe")
    with pytest.raises(IoFailed, match="line 3 is not UTF-8"):
        read_text_bounded(tmp_path / "a", 100)


def test_a_new_file_never_takes_the_place_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomic(tmp_path / "a", "first", new=True)
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("a", "link"):
        with pytest.raises(IoFailed, match="File exists"):
            write_atomic(tmp_path / name, "second", new=True)

    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "not here")

    monkeypatch.setattr("os.link", no_links)
    with pytest.raises(IoFailed, match="File exists"):
        write_atomic(tmp_path / "a", "second", new=True)
    write_atomic(tmp_path / "b", "second", new=True)
    assert (tmp_path / "a").read_text() == "first"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "link"]
