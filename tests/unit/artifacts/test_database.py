"""Connections of stores: none outlives the store that opened it."""

import gc
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from symphony.pit.artifacts import FileArtifacts, ResultCache


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
