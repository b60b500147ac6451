"""csv.profile: figures that are right, and bounded memory."""

import statistics
from pathlib import Path
from random import Random
from typing import Any

import pytest

from symphony.kit import profiling
from symphony.kit.errors import InputRefused
from symphony.kit.profiling import DISTINCT_KEPT, Distinct, Sample


def profile(run: Any, folder: Path, text: str, **inputs: Any) -> Any:
    (folder / "t.csv").write_text(text, encoding="utf-8")
    return run("csv.profile", path=folder / "t.csv", **inputs)


def test_each_column_is_described_by_its_type(run: Any, tmp_path: Path) -> None:
    rows = "".join(
        f"{i},{i / 2},2024-01-{i + 1:02},{'ab'[i % 2]},{'' if i % 5 else 'NA'}\n" for i in range(20)
    )
    found = profile(run, tmp_path, "id,share,day,name,void\n" + rows + "1000,1,2024-02-01,b,-\n")
    columns = {column["name"]: column for column in found["columns"]}
    assert found["rows"] == 21
    assert {name: column["type"] for name, column in columns.items()} == {
        "id": "integer", "share": "number", "day": "date", "name": "string", "void": "null"
    }  # fmt: skip
    numbers = [*range(20), 1000]
    assert columns["id"]["mean"] == pytest.approx(statistics.mean(numbers))
    assert columns["id"]["deviation"] == pytest.approx(statistics.stdev(numbers))
    assert columns["id"]["quantiles"] == [0, *statistics.quantiles(numbers, n=4, method="inclusive"), 1000]
    assert (columns["id"]["outliers"], columns["id"]["farthest"]) == (1, [{"line": 22, "value": 1000.0}])
    assert (columns["day"]["minimum"], columns["day"]["maximum"]) == ("2024-01-01", "2024-02-01")
    assert columns["name"]["top"] == [{"value": "b", "count": 11}, {"value": "a", "count": 10}]
    assert (columns["void"]["missing"], columns["void"]["distinct"]) == (21, 0)


@pytest.mark.parametrize(
    ("text", "rows", "columns"),
    [
        ("", 0, 0),
        ("\n\n", 0, 0),
        ("a,b\n", 0, 2),
        ("a\n1\n", 1, 1),
        ("a,b\n1\n1,2,3\n", 2, 2),
        ("päivä\n,\n", 1, 1),
    ],
)
def test_small_and_broken_tables_are_described_too(
    run: Any, tmp_path: Path, text: str, rows: int, columns: int
) -> None:
    found = profile(run, tmp_path, text)
    assert (found["rows"], len(found["columns"])) == (rows, columns)


def test_missing_fields_are_counted_once_though_the_file_is_read_twice(run: Any, tmp_path: Path) -> None:
    found = profile(run, tmp_path, "a,b\n1,\nNA,x\n")
    assert [column["missing"] for column in found["columns"]] == [1, 1]


def test_what_is_no_table_is_refused(run: Any, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"PNG\r\n\0\0")
    with pytest.raises(InputRefused, match="not text"):
        run("csv.profile", path=tmp_path / "x")
    with pytest.raises(InputRefused, match=r"t\.csv:2: 2 fields"):
        profile(run, tmp_path, "a\n1,2\n", ragged="fail", delimiter=",")


def test_many_different_values_are_estimated_within_five_percent() -> None:
    distinct = Distinct(DISTINCT_KEPT)
    for start in range(0, 60_000, 1_000):
        distinct.add(f"value {number}" for number in range(start, start + 1_000))
        distinct.add(f"value {number // 2}" for number in range(start, start + 1_000))
    assert not distinct.exact
    assert distinct.count() == pytest.approx(60_000, rel=0.05)


def test_quantiles_of_a_sample_are_near_those_of_all() -> None:
    sample, chance = Sample(2_000), Random(5)
    numbers = [chance.gauss(0, 1) for _ in range(20_000)]
    for start in range(0, 20_000, 1_500):
        some = numbers[start : start + 1_500]
        sample.add(some, [1] * len(some))
    assert not sample.whole
    exact = statistics.quantiles(numbers, n=4)
    assert sample.quantiles()[1:4] == pytest.approx(exact, abs=0.1)
    assert sample.mean == pytest.approx(statistics.fmean(numbers))


@pytest.mark.parametrize("rows", [1, 3])
def test_it_does_not_matter_how_many_records_are_looked_at_together(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    chance = Random(7)
    cells = ["", "NA", "1", "-2.5", "007", "true", "2024-02-30", "2024-02-03", "x\ny", "1\n2", "9" * 30]
    text = "a,b,c,d\n" + "".join(
        f'"{chance.choice(cells)}",{chance.randrange(9)},{chance.random():.3f},2024-01-{day:02}\n'
        for day in [*range(1, 31), *range(1, 31)]
    )
    whole = profile(run, tmp_path, text)
    monkeypatch.setattr(profiling, "BLOCK_FIELDS", 0)
    monkeypatch.setattr(profiling, "BLOCK_CHARS", rows * 8)
    pieces = profile(run, tmp_path, text)
    for one, other in zip(whole["columns"], pieces["columns"], strict=True):
        for name in one:
            assert other[name] == (pytest.approx(one[name]) if name in ("mean", "deviation") else one[name])


@pytest.mark.parametrize("text", ["nan", "inf", "1_000", "007", "1\n2", "0x1", "1e", "\u0661", "1,5"])
def test_what_only_looks_like_a_number_is_text(text: str) -> None:
    assert profiling.kinds_of(["1", text, "2.5"]) == ["integer", "string", "number"]


def test_numbers_of_any_size_are_told_apart() -> None:
    texts = ["1", str(2**63 - 1), str(2**63), "1e300", "1e999", "-0"]
    assert profiling.kinds_of(texts) == ["integer", "integer", "number", "number", "string", "integer"]
