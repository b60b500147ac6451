"""Digests of files: of what they hold now, read once for each of their states."""

import hashlib
import os
from pathlib import Path

from symphony.pit.artifacts.cache.content import FileState, content_digest

LATER_S = 10_000_000_000.0


class MemoryMemo:
    """A memo for as long as the test lasts."""

    def __init__(self) -> None:
        self._digests: dict[FileState, str] = {}

    def recall(self, state: FileState) -> str | None:
        return self._digests.get(state)

    def remember(self, state: FileState, digest: str) -> None:
        self._digests[state] = digest


class CountingMemo(MemoryMemo):
    """Counts how often it knew the answer."""

    hits = 0

    def recall(self, state: FileState) -> str | None:
        known = super().recall(state)
        self.hits += known is not None
        return known


def digest(path: Path | str, memo: MemoryMemo, now_s: float = LATER_S) -> str | None:
    return content_digest(path, memo, now_s=lambda: now_s)


def test_it_is_the_sha256_of_the_file(tmp_path: Path) -> None:
    for body in (b"", b"x", bytes(range(256)) * 10_000):
        (tmp_path / "f").write_bytes(body)
        assert digest(tmp_path / "f", MemoryMemo()) == hashlib.sha256(body).hexdigest()


def test_a_settled_file_is_read_once(tmp_path: Path) -> None:
    path, memo = tmp_path / "f", CountingMemo()
    path.write_text("one")
    assert digest(path, memo) == digest(path, memo) == digest(str(path), memo)
    assert memo.hits == 2
    path.write_text("two")
    assert digest(path, memo) == hashlib.sha256(b"two").hexdigest()


def test_a_file_that_has_just_changed_is_read_every_time(tmp_path: Path) -> None:
    path, memo = tmp_path / "f", CountingMemo()
    path.write_text("one")
    now_s = path.stat().st_mtime + 1.5
    for _ in range(2):
        assert digest(path, memo, now_s) == hashlib.sha256(b"one").hexdigest()
    assert memo.hits == 0


def test_times_set_back_deceive_nobody(tmp_path: Path) -> None:
    path, memo = tmp_path / "f", CountingMemo()
    path.write_text("one")
    os.utime(path, ns=(1, 1))
    digest(path, memo)
    path.write_text("two")
    os.utime(path, ns=(1, 1))
    assert digest(path, memo) == hashlib.sha256(b"two").hexdigest()
    now_s = path.stat().st_ctime + 1
    path.write_text("red")
    os.utime(path, ns=(1, 1))
    assert digest(path, memo, now_s) == hashlib.sha256(b"red").hexdigest()
    assert memo.hits == 0


def test_a_link_counts_by_what_it_points_to(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("one")
    (tmp_path / "link").symlink_to("f")
    assert digest(tmp_path / "link", MemoryMemo()) == hashlib.sha256(b"one").hexdigest()


def test_what_has_no_content_has_no_digest(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    for path in (
        tmp_path,
        tmp_path / "pipe",
        tmp_path / "dangling",
        tmp_path / "circle",
        tmp_path / "none",
        "/dev/zero",
        "a\0b",
    ):
        assert digest(path, MemoryMemo()) is None
