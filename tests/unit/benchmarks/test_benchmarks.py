"""The benchmarks work, at tiny size."""

import asyncio
import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

from symphony.workflow import builtin_catalog, loads, validate

FOLDER = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.syspath_prepend(str(FOLDER))

    def get(name: str) -> ModuleType:
        return importlib.import_module(name)

    return get


@pytest.mark.parametrize(
    ("shape", "arguments", "references"),
    [
        ("spread", (10, 30), 30),
        ("dense", (10, 30), 30),
        ("chain", (5,), 4),
        ("wide", (5,), 0),
        ("layered", (9, 3), 6),
    ],
)
def test_a_made_graph_is_valid_and_has_the_references_asked_for(module, shape, arguments, references):
    document = getattr(module("graphs"), shape)(*arguments)
    assert validate(loads(document, "json"), builtin_catalog()).ok
    assert document.count(".result }}") == references
    assert len(json.loads(document)["nodes"]) == arguments[0]


@pytest.mark.parametrize("shape", ["spread", "dense"])
def test_more_edges_than_fit_are_refused(module, shape):
    with pytest.raises(ValueError, match="cannot carry"):
        getattr(module("graphs"), shape)(3, 4)


def test_validation_gives_a_figure_for_each_shape_and_format(module):
    validation = module("validation")
    figures = validation.figures(5, 6, 5, 1)
    assert len(figures) == 5 + 3 * len(validation.BUDGETS)
    assert all(one.measured > 0 for one in figures)


def test_a_run_is_measured_on_disk(module, tmp_path):
    engine, graphs = module("engine"), module("graphs")
    run = asyncio.run(engine.run_once(graphs.layered(4, 2), tmp_path / "home"))
    assert min(run.preparation_s, run.run_s, run.journal_bytes) > 0


def test_the_peer_writes_every_row(module, tmp_path):
    assert module("engine").peer_us(tmp_path, 4, 2) > 0


@pytest.mark.slow
def test_effects_are_measured_beside_the_disk(module):
    figures = module("effects").figures(4, 1)
    assert [one.peer is not None and one.peer > 0 for one in figures] == [True] * 4


@pytest.mark.slow
def test_the_memory_of_a_run_is_measured(module):
    large, command, small, _ = module("memory").figures(200)
    assert large.measured > 10
    assert command.measured >= small.measured > 10


def test_the_report_names_misses_and_broken_benchmarks(module):
    measuring, run = module("measuring"), module("run")
    figures = [measuring.Figure("slow", 20.0, "ms", 10), measuring.Figure("fast", 1.0, "ms", 10, peer=2.0)]
    results = {"some": json.loads(measuring.line("some", "tiny", figures))}
    text = run.report(results, ["other"], ["- Cores: 2"])
    assert "- some: slow: 20 ms, budget 10 ms (2.00 times)" in text
    assert "| fast | 10 ms | – | 1 ms | 0.10 | 2 ms | 0.50 | holds |" in text
    assert "- other" in text


def test_each_command_rewrites_its_own_part_of_the_results(module, tmp_path):
    results, file = module("results"), tmp_path / "RESULTS.md"
    results.write(results.PEERS, "## chain\n\nslow", file)
    results.write(results.OURS, "## engine\n\nfast", file)
    results.write(results.PEERS, "## chain\n\nquick", file)
    assert results.read(file) == {results.OURS: "## engine\n\nfast", results.PEERS: "## chain\n\nquick"}
    assert file.read_text().index(results.OURS) < file.read_text().index(results.PEERS)


def test_a_plain_budget_by_key_becomes_figures(module):
    found = module("run").figures_of({"benchmark": "x", "answer_ms": 5, "budget": {"answer_ms": 4}})
    assert found == [{"what": "answer", "measured": 5, "unit": "ms", "budget": 4}]


def test_a_miss_among_nested_medians_is_named(module):
    found = {"median_ms": {"put": 9.0, "other": 1.0}, "budget_ms": {"put": 5.0}}
    assert module("run").misses({"x": found}) == ["- x: put: 9 ms, budget 5 ms (1.80 times)"]


def test_a_budget_is_missed_only_above_it(module):
    figure = module("measuring").Figure
    assert not figure("x", 10, "ms", 10).missed
    assert figure("x", 10.1, "ms", 10).missed
    assert not figure("x", 10, "ms").missed


@pytest.mark.slow
def test_every_way_between_processes_is_measured(module, tmp_path, monkeypatch):
    ipc = module("ipc")
    monkeypatch.setattr(ipc, "TRIPS", 3)
    monkeypatch.setattr(ipc, "ENVELOPES", 20)
    found = ipc.figures(str(tmp_path), rounds=1, repeats=3)
    assert len(found) == 25
    waited = [one for one in found if "trip" in one.what or "one way" in one.what]
    assert all(one.measured > 0 for one in waited)


def written_works(written):
    return {
        "layers": written.layers(3, 6, 5),
        "fan-out": written.fan_out(20),
        "commands": written.commands(2),
        "texts": written.layers(2, 3, 1, "text", 1_000),
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", ["layers", "fan-out", "commands", "texts"])
def test_work_as_people_write_it_gives_what_every_engine_must_give(module, name, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER / "peers"))
    written, symphony = module("written"), module("whole_symphony")
    work = written_works(written)[name]
    work.save(tmp_path / "graph.json")
    took = symphony.way()(written.load(tmp_path / "graph.json"), tmp_path)
    assert str(took.gave) == str(work.expected())
    assert min(took.prepare_s, took.run_s) > 0


@pytest.mark.slow
def test_work_as_people_write_it_is_measured_in_every_way(module, monkeypatch):
    engine, written = module("engine"), module("written")
    ways = {name: way for name, way in engine.ELEMENTS.items() if way.key != "on"}
    figures = engine.as_written("20 elements", written.fan_out(20), 1, ways)
    assert [one.what for one in figures] == ["20 elements: def", "20 elements: def, cache: off"]
    assert all(one.measured > 0 and one.peer for one in figures)


@pytest.mark.slow
def test_a_whole_process_is_measured_from_the_command_to_its_end(module, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER / "peers"))
    everyday, written = module("everyday"), module("written")
    ways = [
        everyday.Way(name, "all", first=name == "again", budget_s=100.0) for name in ("Symphony", "again")
    ]
    task = everyday.Task("a fan-out", lambda _: written.fan_out(10), ways)
    text = everyday.report([task], everyday.rounds([task], 1, 1, ""), ["- Cores: 2"])
    assert "| Symphony | all | 10 |" in text
    assert text.count("holds") + text.count("missed") == 2


def test_a_whole_process_with_a_wrong_answer_is_no_figure(module, monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER / "peers"))
    everyday, written = module("everyday"), module("written")
    said = everyday.Process('{"gave": 3, "prepare_s": 1, "run_s": 1}', 1.0, 1.0, 1.0)
    monkeypatch.setattr(everyday, "_process", lambda *_: said)
    task = everyday.Task("a fan-out", lambda _: written.fan_out(10), (everyday.others(1, 1, 1)))
    with pytest.raises(RuntimeError, match="Hamilton gave"):
        everyday.measured(task, task.ways[0], "python")
