"""vector.*."""

from random import Random
from typing import Any

import pytest

from symphony.kit import vectors
from symphony.kit.errors import InputRefused, Stopped


def cloud(count: int, width: int = 6, seed: int = 1) -> list[list[float]]:
    rng = Random(seed)
    return [[rng.gauss(0, 1) for _ in range(width)] for _ in range(count)]


def by_hand(points: list[list[float]], threshold: float) -> list[tuple[float, int, int]]:
    def unit(point: list[float]) -> list[float]:
        length = sum(x * x for x in point) ** 0.5
        return [x / length for x in point]

    units = [unit(point) for point in points]
    pairs = [
        (-round(sum(x * y for x, y in zip(units[a], units[b], strict=True)), 6), a, b)
        for a in range(len(points))
        for b in range(a + 1, len(points))
    ]
    return sorted(pair for pair in pairs if -pair[0] >= threshold)


@pytest.mark.parametrize("block", [5, 2048])
@pytest.mark.parametrize(("threshold", "limit"), [(0.8, 10), (0.3, 300), (-1.0, 25), (0.99, 5), (0.5, 0)])
def test_the_closest_pairs_are_found_whatever_the_blocks(
    run: Any, monkeypatch: pytest.MonkeyPatch, block: int, threshold: float, limit: int
) -> None:
    monkeypatch.setattr(vectors, "BLOCK", block)
    points = cloud(60)
    found = run("vector.near_duplicates", vectors=points, threshold=threshold, limit=limit)
    expected = by_hand(points, threshold)
    assert found["total"] == len(expected)
    assert [(one["a"], one["b"]) for one in found["items"]] == [(a, b) for _, a, b in expected[:limit]]
    for one, (score, _, _) in zip(found["items"], expected, strict=False):
        assert one["score"] == pytest.approx(-score, abs=2e-6)


@pytest.mark.parametrize("block", [3, 7, 2048])
def test_equal_scores_are_taken_in_order_of_position(
    run: Any, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(vectors, "BLOCK", block)
    found = run("vector.near_duplicates", vectors=[[1.0, 2.0]] * 20, limit=4)
    assert [(one["a"], one["b"]) for one in found["items"]] == [(0, 1), (0, 2), (0, 3), (0, 4)]
    assert found["total"] == 190
    assert found["groups"] == [[0, 1, 2, 3, 4]]


def test_pairs_carry_their_items_and_form_groups(run: Any) -> None:
    points = [[1.0, 0.0], [0.0, 1.0], [2.0, 0.01], [0.0, 3.0], [1.0, 0.0], [-1.0, 0.0]]
    found = run("vector.near_duplicates", vectors=points, items=list("abcdef"))
    assert [(one["first"], one["second"]) for one in found["items"]] == [
        ("a", "e"), ("b", "d"), ("a", "c"), ("c", "e"),
    ]  # fmt: skip
    assert found["groups"] == [[0, 2, 4], [1, 3]]


@pytest.mark.parametrize("block", [3, 7, 2048])
@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.7, 0.9])
@pytest.mark.parametrize("seed", range(4))
def test_what_pairs_connect_is_one_group_whether_they_are_listed_or_not(
    run: Any, monkeypatch: pytest.MonkeyPatch, block: int, threshold: float, seed: int
) -> None:
    monkeypatch.setattr(vectors, "BLOCK", block)
    points = cloud(40, seed=seed)
    groups = [{at} for at in range(len(points))]
    for _, a, b in by_hand(points, threshold):
        first, second = (next(group for group in groups if at in group) for at in (a, b))
        if first is not second:
            first |= second
            groups.remove(second)
    expected = sorted(sorted(group) for group in groups if len(group) > 1)
    found = run("vector.near_duplicates", vectors=points, threshold=threshold, limit=1_000)
    assert sorted(one["positions"] for one in found["alike"]) == expected
    assert found["alike_total"] == len(expected)
    scores = [one["score"] for one in found["alike"]]
    assert scores == sorted(scores, reverse=True)
    if expected:
        assert found["alike"][0]["score"] == found["items"][0]["score"]
    one = run("vector.near_duplicates", vectors=points, threshold=threshold, limit=1, items=list(range(40)))
    assert one["alike"] == [{**group, "items": group["positions"]} for group in found["alike"][:1]]
    assert one["alike_total"] == len(expected)


def test_few_zero_and_extreme_vectors_are_no_trouble(run: Any) -> None:
    nothing = {"items": [], "groups": [], "total": 0, "alike": [], "alike_total": 0}
    for points in ([], [[1.0]], [[], []], [[0.0, 0.0], [0.0, 0.0]]):
        assert run("vector.near_duplicates", vectors=points) == nothing
    assert run("vector.near_duplicates", vectors=[[1e300, 1e300], [1e-300, 1e-300]])["total"] == 1


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"vectors": [[1.0, 2.0], [1.0]]}, "vector 1 has 1 numbers"),
        ({"vectors": [[1.0]], "items": []}, "0 elements for 1"),
        ({"vectors": [[1.0]], "threshold": 2.0}, "threshold"),
        ({"vectors": [[1.0]], "limit": -1}, "limit"),
        ({"vectors": [[1.0, float("nan")], [1.0, 1.0]]}, "vector 0"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_by_name(run: Any, inputs: dict[str, Any], said: str) -> None:
    with pytest.raises(InputRefused, match=said):
        run("vector.near_duplicates", **inputs)


def test_search_gives_the_nearest_first(run: Any) -> None:
    points = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [5.0, 0.0]]
    found = run("vector.search", vectors=points, query=[1.0, 0.0], k=3, items=list("abcd"))
    assert found["items"] == [
        {"index": 0, "score": 1.0, "item": "a"},
        {"index": 3, "score": 1.0, "item": "d"},
        {"index": 2, "score": 0.707107, "item": "c"},
    ]
    several = run("vector.search", vectors=points, queries=[[0.0, 1.0], [1.0, 0.0]], k=1)
    assert [[one["index"] for one in each] for each in several["each"]] == [[1], [0]]
    assert len(run("vector.search", vectors=points, query=[1.0, 0.0], threshold=0.9)["items"]) == 2


def test_search_among_nothing_finds_nothing(run: Any) -> None:
    assert run("vector.search", vectors=[], queries=[[1.0]] * 300)["each"] == [[]] * 300
    assert run("vector.search", vectors=[[1.0]], queries=[]) == {"items": [], "each": []}
    for inputs in ({}, {"query": [1.0], "queries": []}):
        with pytest.raises(InputRefused, match="either"):
            run("vector.search", vectors=[[1.0]], **inputs)
    with pytest.raises(InputRefused, match="2 numbers"):
        run("vector.search", vectors=[[1.0]], query=[1.0, 2.0])


def test_a_cancelled_node_stops_between_blocks(run: Any) -> None:
    run.cancelled = lambda: True
    for name, inputs in (("vector.near_duplicates", {}), ("vector.search", {"query": [1.0]})):
        with pytest.raises(Stopped):
            run(name, vectors=[[1.0], [2.0]], **inputs)
