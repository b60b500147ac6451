"""Seeing what a run does and did: charts, metrics, logs, pruning."""

import json
import socket
import sys
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families
from pytest_httpserver import HTTPServer
from tests.support.commands import CommandLine
from tests.support.screens import Terminal
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


FAN = """\
name: Fan
nodes:
  words: {operator: text.split, inputs: {text: "a b c d", separator: " "}}
  each:
    command: echo "$WORD"; echo "odd $WORD" >&2
    for_each: words.result
    inputs: {word: "${{ item }}"}
"""


@pytest.fixture
def desk(tmp_path: Path) -> CommandLine:
    made = CommandLine(tmp_path, PYTHONWARNINGS="error")
    made.write("fan.yaml", FAN)
    return made


def test_after_a_run_its_chart_is_on_stderr_and_show_and_stats_tell_the_same(desk: CommandLine) -> None:
    out, err = desk.type("run", "fan.yaml")
    assert out == ""
    assert "each ×4" in err
    shown, _ = desk.type("runs", "show", "last")
    assert "each ×4" in shown
    document = desk.json("runs", "show", "last")
    assert document["summary"]["steps"] == 5
    assert {step["node"]: step["kind"] for step in document["steps"]}["each[3]"] == "command"
    stats = desk.json("runs", "stats", "last")
    assert {one["runs"]: one["steps"] for one in stats["kinds"]} == {"command": 4, "text.split": 1}
    text, _ = desk.type("runs", "stats", "--prometheus")
    names = {family.name for family in text_string_to_metric_families(text)}
    assert "symphony_node_queue_seconds" in names


def test_quiet_and_json_runs_draw_nothing(desk: CommandLine) -> None:
    assert "each ×4" not in desk.type("run", "fan.yaml", "--quiet")[1]
    out, err = desk.type("run", "fan.yaml", "--json")
    assert json.loads(out)["status"] == "succeeded"
    assert "each ×4" not in err


def test_the_chart_keeps_to_ascii_and_to_the_page(desk: CommandLine) -> None:
    _, err = desk.type("run", "fan.yaml", COLUMNS="40", PYTHONIOENCODING="ascii")
    chart = [line for line in err.splitlines() if line.startswith(("+ each", "+ words"))]
    assert len(chart) == 2
    assert all(line.isascii() and len(line) <= 40 for line in chart)


def test_logs_can_be_followed_while_the_run_goes_on(desk: CommandLine) -> None:
    (desk.folder / "slow.yaml").write_text(
        "name: Slow\nnodes:\n  talk: {command: 'echo one; until test -e go; do sleep 0.05; done; echo two'}\n"
    )
    run = desk.start("run", "slow.yaml", "--json")
    wait_until(lambda: list((desk.folder / "home" / "logs" / "runs").glob("*.jsonl")), run)
    with desk.start("runs", "logs", "last", "talk", "--follow") as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "one\n"
        assert desk.json("runs", "prune", "--older", "0s")["runs"] == []  # it is alive
        (desk.folder / "go").touch()
        assert following.stdout.read() == "two\n"
    assert run.communicate(timeout=60)[0].count("succeeded") == 2


def test_a_person_is_told_where_to_see_what_a_run_printed_if_it_printed_something(desk: CommandLine) -> None:
    desk.write("says.yaml", "name: Says\nnodes: {a: {command: echo important}}\n")
    desk.write("silent.yaml", "name: Silent\nnodes: {a: {command: 'true'}}\n")
    desk.write("fails.yaml", "name: Fails\nnodes: {a: {command: 'false'}}\n")
    told = "what it printed: symphony runs logs"
    place = {"SYMPHONY_HOME": str(desk.home)}
    for flow, expected in (("says", True), ("silent", False), ("fails", False)):
        words = (sys.executable, "-m", "symphony", "run", f"{flow}.yaml")
        terminal = Terminal(words, cwd=desk.folder, width=80, height=24, **place)
        try:
            terminal.read_to_end()
            assert (told in "\n".join(terminal.screen.all)) is expected
        finally:
            terminal.close()
    assert told not in "".join(desk.type("run", "says.yaml"))  # whoever reads a pipe was not asking


def test_logs_of_a_run_that_printed_nothing_say_so(desk: CommandLine) -> None:
    desk.write("silent.yaml", "name: Silent\nnodes: {a: {command: 'true'}}\n")
    desk.type("run", "silent.yaml")
    assert desk.type("runs", "logs", "last") == ("", "silent-1 has printed nothing\n")
    assert desk.type("runs", "logs", "last", "a", "--stream", "stderr")[1] == (
        "a of silent-1 has printed nothing to stderr\n"
    )


def test_logs_by_node_and_stream(desk: CommandLine) -> None:
    desk.type("run", "fan.yaml", "--quiet")
    assert desk.type("runs", "logs", "last", "each[1]", "--stream", "stderr")[0] == "odd b\n"
    out, _ = desk.type("runs", "logs", "last", "--stream", "stdout")
    assert sorted(out.splitlines()) == [f"each[{i}] {word} | {word}" for i, word in enumerate("abcd")]
    assert desk.type("runs", "logs", "last", "--stream", "tokens")[0] == ""


def test_pruning_says_what_it_would_do_and_does_it(desk: CommandLine) -> None:
    desk.type("run", "fan.yaml", "--quiet")
    assert "would delete 1 run" in desk.type("runs", "prune", "--older", "0s", "--dry-run")[0]
    assert desk.type("runs", "prune")[0].startswith("deleted 0 runs")
    assert desk.type("runs", "prune", "--older", "0s")[0].startswith("deleted 1 run,")
    assert list((desk.folder / "home" / "logs" / "runs").iterdir()) == []
    assert "not a duration" in desk.type("runs", "prune", "--older", "soon", status=2)[1]


def test_traces_go_to_the_receiver_that_the_standard_variable_names(
    desk: CommandLine, httpserver: HTTPServer
) -> None:
    httpserver.expect_request("/v1/traces", method="POST").respond_with_data(b"")
    failing = "name: Odd\nnodes:\n  good: {command: 'true'}\n  bad: {command: 'exit 3', after: [good]}\n"
    (desk.folder / "odd.yaml").write_text(failing)
    desk.type("run", "odd.yaml", status=1, OTEL_EXPORTER_OTLP_ENDPOINT=httpserver.url_for(""))
    spans = {}
    for request, _ in httpserver.log:
        sent = ExportTraceServiceRequest.FromString(request.data)
        for resource in sent.resource_spans:
            service = {a.key: a.value.string_value for a in resource.resource.attributes}["service.name"]
            assert service == "symphony"
            spans |= {span.name: span for scope in resource.scope_spans for span in scope.spans}
    assert set(spans) == {"run Odd", "good", "bad"}
    run_id = desk.json("runs", "show", "last")["run_id"]
    assert spans["run Odd"].trace_id.hex() == str(run_id).replace("-", "")
    assert spans["bad"].parent_span_id == spans["run Odd"].span_id
    assert spans["bad"].links[0].span_id == spans["good"].span_id


def test_a_receiver_that_is_not_there_costs_a_line_and_no_run(desk: CommandLine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    _, err = desk.type("run", "fan.yaml", OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}")
    assert err.count("traces were not exported") == 1
    assert "Traceback" not in err
    assert desk.json("runs", "show", "last")["status"] == "succeeded"
