"""What `symphony doctor` says of the artifact store, its search and its retention."""

import os
from pathlib import Path

import pytest

from symphony.app.pit_parts import STAMP
from symphony.cli.actions.pit_checks import check_artifacts, check_retention, check_search
from symphony.pit.artifacts.store.files import FileArtifacts

NOW_S = 1_800_000_000.0


def test_artifacts_are_counted_without_those_in_the_trash(tmp_path: Path) -> None:
    assert check_artifacts(tmp_path).found == "none so far"
    store = FileArtifacts(tmp_path / "artifacts")
    kept = store.put(b"kept", content_type="text/plain")
    store.put(b"old news", content_type="text/plain")
    going = [(one, "old") for one in store.standings().all if one.digest != kept.digest]
    store.trash(going, min_age_s=-1)
    store.close()
    found = check_artifacts(tmp_path)
    assert (found.verdict, found.found) == ("ok", "1 artifact, 4 B; in the trash 1, 8 B")


def test_a_search_index_that_is_damaged_is_a_warning_with_its_fix(tmp_path: Path) -> None:
    assert check_search(tmp_path).verdict == "ok"
    index = tmp_path / "artifacts" / "search" / "index"
    index.mkdir(parents=True)
    (index / "meta.json").write_text("{")
    found = check_search(tmp_path)
    assert found.verdict == "warning"
    assert "index --rebuild" in found.fix


@pytest.mark.parametrize(("later_s", "verdict"), [(-3600.0, "ok"), (10 * 86_400.0, "warning")])
def test_the_daily_upkeep_is_told_and_one_that_is_to_come_is_a_warning(
    tmp_path: Path, later_s: float, verdict: str
) -> None:
    assert check_retention(tmp_path, NOW_S).found.startswith("by hand")
    (tmp_path / "config.toml").write_text("[retention]\nautomatic = true\n")
    assert "never so far" in check_retention(tmp_path, NOW_S).found
    stamp = tmp_path / STAMP
    stamp.parent.mkdir()
    stamp.touch()
    os.utime(stamp, (NOW_S + later_s, NOW_S + later_s))
    assert check_retention(tmp_path, NOW_S).verdict == verdict
