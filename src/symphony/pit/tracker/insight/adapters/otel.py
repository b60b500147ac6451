"""Runs as OpenTelemetry traces: a span for each run, node, element and round, made of durable events.

A trace has the run's own id, so that the processes which carry one run on draw one trace. Attributes
follow the semantic conventions for generative AI, https://opentelemetry.io/docs/specs/semconv/gen-ai/,
and begin with `symphony.` where there are none. Nothing here runs in the engine's way: spans are made
after their nodes have ended, and exported by a thread of the SDK.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Mapping
from typing import TypeAlias

from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from symphony.commons.moments import nanoseconds
from symphony.pit.tracker.core.names import folded, parent_of
from symphony.ports.runs import RunEvent
from symphony.ports.tracing import RunAbout, Shape
from symphony.ports.values import Value

logger = logging.getLogger(__name__)

_Attributes: TypeAlias = dict[str, str | int | float | bool]
_LINKS_MAX = 64
_ENDS = ("node.finished", "node.cached", "node.failed", "node.skipped", "node.cancelled")
_EXPORTER = "opentelemetry"


class OtelTracing:
    """`symphony.ports.tracing.Tracing`. `version` is that of Symphony; `exporter` is
    the OTLP one unless given; with `wait` each span is exported before anything goes on, for tests.

    Endpoint, headers, sampler and the rest come from the standard `OTEL_*` variables; `endpoint`
    stands in for OTEL_EXPORTER_OTLP_ENDPOINT where that is not set.
    """

    def __init__(
        self,
        version: str,
        *,
        endpoint: str | None = None,
        exporter: SpanExporter | None = None,
        wait: bool = False,
    ) -> None:
        self._ids = _RunIds()
        told = {SERVICE_VERSION: version}
        if "OTEL_SERVICE_NAME" not in os.environ:
            told[SERVICE_NAME] = "symphony"
        self._provider = TracerProvider(
            id_generator=self._ids, resource=Resource.create(told), shutdown_on_exit=False
        )
        self._first_error = _FirstError()
        logging.getLogger(_EXPORTER).addHandler(self._first_error)
        self._provider.add_span_processor(_processor(exporter or _otlp(endpoint), wait=wait))
        self._tracer = self._provider.get_tracer("symphony", version)

    def run(self, about: RunAbout, shape: Shape) -> "OtelRun":
        """Begin to tell a run."""
        return OtelRun(self._tracer, self._ids, about, shape)

    def close(self, patience_s: float) -> None:
        """Export what is left; an endpoint that does not answer in time is left alone."""
        ending = threading.Thread(target=self._shut, name="symphony-traces", daemon=True)
        ending.start()
        ending.join(patience_s)
        logging.getLogger(_EXPORTER).removeHandler(self._first_error)
        if ending.is_alive() or self._first_error.message:
            why = self._first_error.message or f"no answer within {patience_s:g} s"
            logger.warning("traces were not exported: %s", why)

    def _shut(self) -> None:
        try:
            self._provider.shutdown()
        except Exception as error:  # noqa: BLE001  (an exporter may raise anything)
            self._first_error.message = self._first_error.message or f"{type(error).__name__}: {error}"


class OtelRun:
    """One run's spans."""

    def __init__(self, tracer: Tracer, ids: "_RunIds", about: RunAbout, shape: Shape) -> None:
        self._tracer, self._ids, self._about, self._shape = tracer, ids, about, shape
        self._spans: dict[str, Span] = {}  # those that have not ended
        self._contexts: dict[str, Link] = {}  # those that have, to link to
        self._attempts: dict[str, int] = {}
        self._root: Span | None = None
        self._seen = 0
        self._last_at = 0.0
        self._label: str | None = None  # of the step that the present event is of

    def add(self, event: RunEvent) -> None:
        """Take the next event; what goes wrong costs spans, never the run."""
        self._seen += 1
        self._last_at = event.at
        if self._seen <= self._about.known:
            return
        try:
            self._take(event)
        except Exception as error:  # noqa: BLE001  (a tracer must not stop what it draws)
            logger.warning("a trace is incomplete: %s: %s", type(error).__name__, error)

    def end(self) -> None:
        """Close what is still open: the process stops here, the run may go on elsewhere."""
        for name in sorted(self._spans, key=len, reverse=True):
            self._close(name, {"symphony.node.status": "running"}, self._last_at)
        if self._root is not None:
            self._root.end(_ns(self._last_at))
            self._root = None

    # ---- inside ---------------------------------------------------------------------------

    def _take(self, event: RunEvent) -> None:
        if self._root is None:
            self._root = self._begin_run(event)
        name, label = event.node, event.data.get("label")
        self._label = label if isinstance(label, str) else None
        if event.type == "run.finished":
            self._end_run(event)
        elif name is None:
            if event.type != "run.started":
                self._root.add_event(event.type, _told(event.data), _ns(event.at))
            if event.type == "run.interrupted":
                self._root.set_attribute("symphony.run.status", "interrupted")
        elif event.type in _ENDS:
            self._end_step(name, event)
        elif event.type in ("node.started", "node.expanded", "node.opened", "node.delayed"):
            self._go_on(name, event)
        else:
            self._span(name, event.at).add_event(event.type, _told(event.data), _ns(event.at))

    def _begin_run(self, event: RunEvent) -> Span:
        about = self._about
        self._ids.next_trace(about.run_id)
        return self._tracer.start_span(
            f"run {about.workflow}",
            context=_from_environment(os.environ),
            attributes={
                "symphony.run.id": about.run_id,
                "symphony.workflow.name": about.workflow,
                "symphony.workflow.version": about.version,
                "symphony.run.resumed": event.type == "run.resumed",
            },
            start_time=_ns(event.at),
        )

    def _end_run(self, event: RunEvent) -> None:
        for name in sorted(self._spans, key=len, reverse=True):
            self._close(name, {}, event.at)
        status = str(event.data.get("status", ""))
        assert self._root is not None
        self._root.set_attribute("symphony.run.status", status)
        if status == "failed":
            self._root.set_status(Status(StatusCode.ERROR))
        self._root.end(_ns(event.at))
        self._root = None

    def _go_on(self, name: str, event: RunEvent) -> None:
        """Something of the step began: an attempt, a fan-out, a round."""
        span = self._span(name, event.at)
        number = event.data.get("round")
        if event.type == "node.opened" and isinstance(number, int):
            if number:
                self._close(f"{name}#{number - 1}", {}, event.at)
            self._span(f"{name}#{number}", event.at)
        elif event.type == "node.started":
            self._attempts[name] = self._attempts.get(name, 0) + 1
            span.add_event("attempt", _told(event.data), _ns(event.at))
        else:
            span.add_event(event.type, _told(event.data), _ns(event.at))

    def _end_step(self, name: str, event: RunEvent) -> None:
        took = event.data.get("duration_ms")
        began = event.at - took / 1000 if isinstance(took, int | float) else event.at
        span = self._span(name, began)
        if event.type == "node.failed":
            error = event.data.get("error")
            code = str(error.get("code")) if isinstance(error, dict) else "failed"
            message = str(error.get("message")) if isinstance(error, dict) else ""
            about: _Attributes = {"error.type": code, "exception.message": message}
            span.add_event("attempt.failed", about, _ns(event.at))
            span.set_attribute("error.type", code)
            span.set_status(Status(StatusCode.ERROR, message))
            if not event.data.get("final", True):
                return  # it is tried again
        told: _Attributes = {"symphony.node.status": event.type.removeprefix("node.")}
        if event.type == "node.cached":
            told["symphony.node.cached_from"] = str(event.data.get("from_run", ""))
        if event.type == "node.finished" and name in self._attempts:
            span.set_status(Status(StatusCode.OK))
        self._close(name, told | _usage(event.data.get("usage")), event.at)

    def _close(self, name: str, told: _Attributes, at: float) -> None:
        span = self._spans.pop(name, None)
        if span is not None:
            attempts = self._attempts.pop(name, 0)
            span.set_attributes({**({"symphony.node.attempts": attempts} if attempts else {}), **told})
            self._contexts[name] = Link(span.get_span_context())
            span.end(_ns(at))

    def _span(self, name: str, at: float) -> Span:
        """The span of a step, begun now if it has none: below its element, round or node."""
        found = self._spans.get(name)
        if found is not None:
            return found
        above = parent_of(name)
        while above is not None and above not in self._spans:
            above = parent_of(above)
        parent = self._root if above is None else self._spans[above]
        assert parent is not None
        before = [self._contexts[b] for b in self._shape.before(name) if b in self._contexts]
        title, kind, told = self._about_step(name)
        if self._label is not None:
            told["symphony.node.label"] = self._label
        span = self._tracer.start_span(
            title,
            context=set_span_in_context(parent, Context()),
            kind=kind,
            attributes=told,
            links=before[:_LINKS_MAX],
            start_time=_ns(at),
        )
        self._spans[name] = span
        return span

    def _about_step(self, name: str) -> tuple[str, SpanKind, _Attributes]:
        kind, runs = self._shape.kind(name)
        told: _Attributes = {
            "symphony.node.name": name,
            "symphony.node.kind": kind,
            "symphony.node.runs": runs,
        }
        model = self._shape.model(name)
        if model is None:
            return folded(name), SpanKind.INTERNAL, told
        told |= {
            "gen_ai.operation.name": model.operation,
            "gen_ai.provider.name": model.provider,
            "gen_ai.request.model": model.id,
        }
        return f"{model.operation} {model.id}", SpanKind.CLIENT, told


class _RunIds(RandomIdGenerator):
    """The next trace gets the run's id, which is a UUID and therefore as long as a trace's id."""

    def __init__(self) -> None:
        self._next: int | None = None

    def next_trace(self, run_id: str) -> None:
        """The next trace to begin is that of this run."""
        with contextlib.suppress(ValueError):
            self._next = int(run_id.replace("-", ""), 16)

    def generate_trace_id(self) -> int:
        """The run's id, once."""
        found, self._next = self._next, None
        return found or super().generate_trace_id()


class _FirstError(logging.Handler):
    """Keeps the first complaint of the exporter: one line for people in place of one for each batch."""

    message = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Remember it if it is the first."""
        if record.levelno >= logging.WARNING and not self.message:
            self.message = record.getMessage()


def _processor(exporter: SpanExporter, *, wait: bool) -> SpanProcessor:
    if wait:
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor

        return SimpleSpanProcessor(exporter)
    return BatchSpanProcessor(exporter)


def _otlp(endpoint: str | None) -> SpanExporter:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    if endpoint is None or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return OTLPSpanExporter()
    return OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")


def _from_environment(variables: Mapping[str, str]) -> Context:
    """The trace that our caller is part of, if it says so in TRACEPARENT."""
    carrier = {
        name: variables[name.upper()] for name in ("traceparent", "tracestate") if name.upper() in variables
    }
    return TraceContextTextMapPropagator().extract(carrier, Context())


def _told(data: Mapping[str, Value]) -> _Attributes:
    return {name: value for name, value in data.items() if isinstance(value, str | int | float | bool)}


def _usage(usage: Value) -> _Attributes:
    """Return what a model's call used, in the names of the conventions."""
    if not isinstance(usage, dict):
        return {}
    names = {
        "tokens_in": "gen_ai.usage.input_tokens",
        "tokens_out": "gen_ai.usage.output_tokens",
        "tokens_cached": "gen_ai.usage.cache_read.input_tokens",
        "cost": "symphony.usage.cost",
        "currency": "symphony.usage.currency",
    }
    return {
        names[key]: value
        for key, value in usage.items()
        if key in names and isinstance(value, str | int | float) and not isinstance(value, bool)
    }


def _ns(at: float) -> int:
    return nanoseconds(at)
