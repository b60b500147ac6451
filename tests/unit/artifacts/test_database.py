"""Connections of stores: none outlives the store that opened it, and many may open a new file at once."""

import gc
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from tests.support.waiting import PATIENCE_S

from symphony.pit.artifacts import FileArtifacts, ResultCache
from symphony.pit.artifacts.base.database import connect


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[sqlite3.Connection]:
    """Every connection that is opened from now on."""
    made: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def keep(*given: object, **options: object) -> sqlite3.Connection:
        made.append(connect(*given, **options))  # type: ignore[arg-type]
        return made[-1]

    monkeypatch.setattr(sqlite3, "connect", keep)
    return made


def use_artifacts(folder: Path) -> None:
    store = FileArtifacts(folder / "artifacts")
    store.put(b"body", content_type="text/plain")
    assert len(list(store.records())) == 1


def use_cache(folder: Path) -> None:
    writer = ResultCache(folder / "cache.db")
    writer.put("key", operator="o", outputs={"result": 1}, run_id="r", node="n", at=0.0)
    writer.close()
    assert ResultCache(folder / "cache.db").size().entries == 1


@pytest.mark.parametrize("use", [use_artifacts, use_cache])
def test_a_store_that_is_forgotten_has_closed_its_files(
    use: Callable[[Path], None], opened: list[sqlite3.Connection], tmp_path: Path
) -> None:
    use(tmp_path)
    gc.collect()
    assert opened
    for connection in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            connection.execute("SELECT 1")


def test_a_new_file_can_be_opened_by_many_at_once(tmp_path: Path) -> None:
    def opened(path: Path, start: threading.Barrier) -> int:
        start.wait(PATIENCE_S)
        with closing(connect(path, application=7, schema="CREATE TABLE t (a);")) as db:
            return int(db.execute("SELECT count(*) FROM t").fetchone()[0])

    with ThreadPoolExecutor(6) as pool:
        for number in range(50):
            start = threading.Barrier(6)
            each = [pool.submit(opened, tmp_path / f"{number}.db", start) for _ in range(6)]
            assert [one.result(PATIENCE_S) for one in each] == [0] * 6
