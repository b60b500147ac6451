"""Metrics by kind of node, and their text against the parser of Prometheus' own client."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from symphony.pit.tracker.insight.history import History
from symphony.pit.tracker.insight.metrics import exposition, measure
from symphony.pit.tracker.insight.outline import Outline
from symphony.ports.metrics import BOUNDS_S, Distribution, Stats
from symphony.ports.runs import RunEvent
from symphony.ports.values import Value
from symphony.workflow import loads

WORKFLOW = b"""
name: Counted
nodes:
  files: {operator: text.split, inputs: {text: a b}}
  each: {command: "true", for_each: files.result}
"""


def events() -> list[RunEvent]:
    found: list[tuple[float, str, str | None, dict[str, Value]]] = [
        (0, "run.started", None, {}),
        (1, "node.cached", "files", {"duration_ms": 1.0, "from_run": "r"}),
        (1, "node.expanded", "each", {"count": 2}),
        (2, "node.started", "each[0]", {"attempt": 1}),
        (3, "node.failed", "each[0]", {"duration_ms": 1000.0, "error": {"code": "x", "message": "y"}}),
        (4, "node.retrying", "each[0]", {}),
        (5, "node.started", "each[1]", {"attempt": 1}),
        (6, "node.started", "each[0]", {"attempt": 2}),
        (8, "node.finished", "each[0]", {"duration_ms": 2000.0}),
        (8, "node.skipped", "each[1]", {}),
        (9, "node.finished", "each", {"duration_ms": 7000.0}),
        (10, "run.finished", None, {"status": "succeeded"}),
    ]
    return [RunEvent(seq=i, type=t, at=at, node=n, data=d) for i, (at, t, n, d) in enumerate(found, 1)]


def measured() -> Stats:
    return measure(History(events()), Outline(loads(WORKFLOW, "yaml")), "succeeded")


def test_elements_count_and_their_fan_out_does_not() -> None:
    stats = measured()
    each = stats.kinds["command", "command"]
    assert (each.steps, each.attempts, each.retries) == (2, 3, 1)
    assert each.durations.count == 3
    assert each.durations.total_s == 1 + 2 + 3
    assert each.queue.total_s == (2 - 1) + (6 - 4) + (5 - 1)
    files = stats.kinds["operator", "text.split"]
    assert (files.cached, files.attempts, files.durations.count) == (1, 0, 0)
    assert stats.runs == {("Counted", "succeeded"): 1}
    assert stats.run_durations["Counted"].total_s == 10


def test_two_runs_together_are_the_sum_of_each() -> None:
    total = Stats()
    total.merge(measured())
    total.merge(measured())
    assert total.kinds["command", "command"].steps == 4
    assert total.run_durations["Counted"].count == 2
    assert measured().kinds["command", "command"].steps == 2


def test_prometheus_own_parser_reads_the_same_figures() -> None:
    families = {family.name: family for family in text_string_to_metric_families(exposition(measured()))}
    assert families["symphony_node_duration_seconds"].type == "histogram"
    assert families["symphony_node_retries"].type == "counter"
    assert all(family.documentation for family in families.values())
    samples = {
        (s.name, tuple(sorted(s.labels.items()))): s.value for f in families.values() for s in f.samples
    }
    command = (("kind", "command"), ("runs", "command"))
    assert samples["symphony_node_attempts_total", command] == 3
    assert samples["symphony_node_duration_seconds_sum", command] == 6
    bucket = "symphony_node_duration_seconds_bucket"
    assert samples[bucket, (("kind", "command"), ("le", "+Inf"), ("runs", "command"))] == 3


@given(st.text(max_size=20), st.lists(st.floats(min_value=-1, max_value=1e5), max_size=20))
def test_any_name_and_any_duration_survive_the_text(name: str, durations: list[float]) -> None:
    stats = Stats(runs={(name, "failed"): 1}, run_durations={name: Distribution()})
    for seconds in durations:
        stats.run_durations[name].add(seconds)
    families = {family.name: family for family in text_string_to_metric_families(exposition(stats))}
    assert families["symphony_runs"].samples[0].labels["workflow"] == name.encode("utf-8", "replace").decode()
    histogram = families["symphony_run_duration_seconds"].samples
    buckets = [s.value for s in histogram if s.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    assert len(buckets) == len(BOUNDS_S) + 1
    assert buckets[-1] == len(durations) == histogram[-1].value


def test_no_runs_are_an_empty_text() -> None:
    assert exposition(Stats()) == ""


@pytest.mark.parametrize(("share", "bound"), [(0.5, 0.01), (0.95, 5.0), (1.0, math.inf)])
def test_a_quantile_is_the_bound_of_its_bucket(share: float, bound: float) -> None:
    found = Distribution()
    for seconds in [*[0.01] * 10, *[2.0] * 9, 1e9]:
        found.add(seconds)
    assert found.quantile_s(share) == bound
    assert Distribution().quantile_s(share) is None
