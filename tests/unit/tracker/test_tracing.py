"""Runs as OpenTelemetry traces, into the SDK's exporter in memory."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from tests.support.fakes import event

from symphony import Symphony, WorkflowBuilder, operator
from symphony.app.tracing import tracing_for
from symphony.commons.settings import TracingConfig
from symphony.pit.tracker.insight.adapters.otel import OtelTracing
from symphony.ports.runs import RunEvent, RunResult
from symphony.ports.tracing import Model, RunAbout
from symphony.ports.values import Value
from symphony.workflow.model import Workflow

RUN = "01a219d1-fe3b-7c4b-9e9b-7766952558ba"


class Shape:
    """Everything is an operator, except what is called ask."""

    def kind(self, step: str) -> tuple[str, str]:
        return ("instrument", "gpt") if step == "ask" else ("operator", "text.join")

    def before(self, step: str) -> Sequence[str]:
        return {"b": ["a"], "loop#1.b": ["loop#1.a"]}.get(step, [])

    def model(self, step: str) -> Model | None:
        return Model(id="gpt", provider="openai", operation="chat") if step == "ask" else None


def traced(*events: RunEvent, known: int = 0) -> dict[str, ReadableSpan]:
    exporter = InMemorySpanExporter()
    tracing = OtelTracing("1.0", exporter=exporter, wait=True)
    run = tracing.run(RunAbout(run_id=RUN, workflow="w", version="1.0.0", known=known), Shape())
    for one in events:
        run.add(one)
    run.end()
    tracing.close(5)
    return {
        str((span.attributes or {}).get("symphony.node.name", "run")): span
        for span in exporter.get_finished_spans()
    }


def attribute(span: ReadableSpan, name: str) -> object:
    return (span.attributes or {}).get(name)


def parent(spans: dict[str, ReadableSpan], name: str) -> str | None:
    above = spans[name].parent
    assert above is not None
    return next((n for n, span in spans.items() if span.context.span_id == above.span_id), None)


FAILED: Value = {"code": "odd", "message": "it was odd"}


def test_a_run_is_a_trace_with_its_own_id_and_nodes_are_linked_to_what_they_waited_for() -> None:
    spans = traced(
        event(10, "run.started"),
        event(11, "node.finished", "a", duration_ms=500.0),
        event(12, "node.started", "b", attempt=1),
        event(15, "node.finished", "b", duration_ms=3000.0),
        event(16, "run.finished", status="succeeded"),
    )
    run = spans["run"]
    assert (run.name, run.start_time, run.end_time) == ("run w", 10 * 10**9, 16 * 10**9)
    assert f"{run.context.trace_id:032x}" == RUN.replace("-", "")
    assert attribute(run, "symphony.run.status") == "succeeded"
    assert (spans["a"].start_time, spans["a"].end_time) == (10.5 * 10**9, 11 * 10**9)
    assert parent(spans, "a") == parent(spans, "b") == "run"
    assert [link.context.span_id for link in spans["b"].links] == [spans["a"].context.span_id]
    assert spans["b"].status.status_code is StatusCode.OK


def test_attempts_are_events_of_one_span_and_the_last_failure_is_its_status() -> None:
    spans = traced(
        event(1, "run.started"),
        event(2, "node.started", "a", attempt=1),
        event(3, "node.failed", "a", duration_ms=1000.0, error=FAILED, final=False),
        event(4, "node.retrying", "a"),
        event(5, "node.started", "a", attempt=2),
        event(6, "node.failed", "a", duration_ms=1000.0, error=FAILED, final=True),
        event(7, "run.finished", status="failed"),
    )
    told = [one.name for one in spans["a"].events]
    assert told == ["attempt", "attempt.failed", "node.retrying", "attempt", "attempt.failed"]
    assert attribute(spans["a"], "symphony.node.attempts") == 2
    assert attribute(spans["a"], "error.type") == "odd"
    assert (spans["a"].status.status_code, spans["a"].status.description) == (StatusCode.ERROR, "it was odd")
    assert spans["run"].status.status_code is StatusCode.ERROR


def test_elements_stand_below_their_fan_out_and_rounds_below_their_loop() -> None:
    spans = traced(
        event(1, "run.started"),
        event(2, "node.expanded", "each", count=1),
        event(3, "node.started", "each[0]", attempt=1),
        event(4, "node.finished", "each[0]", duration_ms=1000.0),
        event(4, "node.finished", "each", duration_ms=2000.0),
        event(5, "node.opened", "loop", round=0),
        event(6, "node.finished", "loop#0.a", duration_ms=1.0),
        event(7, "node.opened", "loop", round=1),
        event(8, "node.finished", "loop#1.a", duration_ms=1.0),
        event(8, "node.finished", "loop#1.b", duration_ms=1.0),
        event(9, "node.finished", "loop", duration_ms=4000.0),
        event(9, "run.finished", status="succeeded"),
    )
    assert parent(spans, "each[0]") == "each"
    assert parent(spans, "loop#0.a") == "loop#0"
    assert parent(spans, "loop#1.b") == "loop#1"
    assert parent(spans, "loop#1") == "loop"
    assert len(spans["loop#1.b"].links) == 1
    assert spans["loop#0"].end_time == 7 * 10**9
    assert spans["each"].name == spans["each[0]"].name == "each"


def test_the_span_of_an_element_has_its_label() -> None:
    spans = traced(
        event(1, "run.started"),
        event(2, "node.expanded", "a", count=1),
        event(3, "node.started", "a[0]", attempt=1, label="pkgs/p07/"),
        event(4, "node.finished", "a[0]", duration_ms=1000.0, label="pkgs/p07/"),
        event(5, "run.finished", status="succeeded"),
    )
    assert attribute(spans["a[0]"], "symphony.node.label") == "pkgs/p07/"
    assert attribute(spans["a"], "symphony.node.label") is None


def test_models_follow_the_conventions_for_generative_ai() -> None:
    usage: Value = {"tokens_in": 12, "tokens_out": 3, "calls": 1}
    spans = traced(
        event(1, "run.started"),
        event(2, "node.started", "ask", attempt=1),
        event(3, "node.finished", "ask", duration_ms=1000.0, usage=usage),
    )
    ask = spans["ask"]
    assert (ask.name, ask.kind.name) == ("chat gpt", "CLIENT")
    assert attribute(ask, "gen_ai.operation.name") == "chat"
    assert attribute(ask, "gen_ai.provider.name") == "openai"
    assert attribute(ask, "gen_ai.request.model") == "gpt"
    assert attribute(ask, "gen_ai.usage.input_tokens") == 12
    assert attribute(ask, "gen_ai.usage.output_tokens") == 3


def test_what_is_open_when_the_process_stops_is_exported_too() -> None:
    spans = traced(event(1, "run.started"), event(2, "node.started", "a", attempt=1))
    assert attribute(spans["a"], "symphony.node.status") == "running"
    assert set(spans) == {"run", "a"}


def test_a_stopped_run_is_exported_as_interrupted_with_its_signal() -> None:
    spans = traced(
        event(1, "run.started"),
        event(2, "node.started", "a", attempt=1),
        event(3, "run.interrupted", signal="SIGTERM"),
    )
    assert attribute(spans["run"], "symphony.run.status") == "interrupted"
    (told,) = spans["run"].events
    assert (told.name, dict(told.attributes or {})) == ("run.interrupted", {"signal": "SIGTERM"})
    assert attribute(spans["a"], "symphony.node.status") == "running"


def test_a_resumed_run_draws_on_in_the_same_trace_and_repeats_nothing() -> None:
    spans = traced(
        event(1, "run.started"),
        event(2, "node.finished", "a", duration_ms=1.0),
        event(100, "run.resumed"),
        event(101, "node.finished", "b", duration_ms=1.0),
        event(102, "run.finished", status="succeeded"),
        known=2,
    )
    assert set(spans) == {"run", "b"}
    assert attribute(spans["run"], "symphony.run.resumed") is True
    assert f"{spans['b'].context.trace_id:032x}" == RUN.replace("-", "")


def test_a_caller_that_is_traced_itself_gets_the_run_into_its_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACEPARENT", f"00-{'ab' * 16}-{'cd' * 8}-01")
    spans = traced(event(1, "run.started"), event(2, "run.finished", status="succeeded"))
    assert f"{spans['run'].context.trace_id:032x}" == "ab" * 16


class Broken(SpanExporter):
    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        raise RuntimeError("no")

    def shutdown(self) -> None:
        raise RuntimeError("no")


@operator("tracing.flaky", version="1.0.0", inline=False)
async def flaky(value: int) -> int:
    """Fails for 3."""
    if value == 3:
        raise ValueError("three")
    return value


def workflow(value: int) -> Workflow:
    return (
        WorkflowBuilder("traced")
        .add_operator("tracing.flaky", name="a", inputs={"value": 1})
        .add_operator("tracing.flaky", name="b", inputs={"value": value}, after=["a"])
        .build()
    )


async def ran(tracing: OtelTracing | None, value: int, home: Path | None = None) -> RunResult:
    symphony = Symphony.open(home, memory=home is None, operators=[flaky])
    symphony.parts.trace_to(tracing)
    async with symphony:
        return await (await symphony.start(workflow(value))).result()


@pytest.mark.parametrize(("value", "status"), [(1, "succeeded"), (3, "failed")])
async def test_a_real_run_is_traced_whether_it_succeeds_or_fails(value: int, status: str) -> None:
    exporter = InMemorySpanExporter()
    result = await ran(OtelTracing("1.0", exporter=exporter, wait=True), value)
    spans = {span.name: span for span in exporter.get_finished_spans()}
    assert set(spans) == {"run traced", "a", "b"}
    assert attribute(spans["run traced"], "symphony.run.status") == status == result.status
    assert spans["b"].links[0].context.span_id == spans["a"].context.span_id


async def test_an_exporter_that_breaks_leaves_the_run_alone(caplog: pytest.LogCaptureFixture) -> None:
    result = await ran(OtelTracing("1.0", exporter=Broken()), 1)
    assert result.status == "succeeded"


@pytest.mark.parametrize(
    ("config", "variables", "wanted"),
    [
        (TracingConfig(), {}, False),
        (TracingConfig(), {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, True),
        (TracingConfig(endpoint="http://127.0.0.1:9"), {}, True),
        (TracingConfig(enabled=True), {"OTEL_SDK_DISABLED": "true"}, False),
        (TracingConfig(enabled=False), {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, False),
        (TracingConfig(endpoint="http://127.0.0.1:9"), {"OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_traces_are_drawn_only_where_somebody_asked(
    config: TracingConfig, variables: dict[str, str], wanted: bool
) -> None:
    tracing = tracing_for(config, variables)
    assert (tracing is not None) == wanted
    if tracing is not None:
        tracing.close(5)
