"""Tracing of runs: whether it is on, and how it follows one run's events."""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from symphony.commons.settings import TracingConfig
from symphony.ports.tracing import Model, RunAbout, Tracing
from symphony.workflow.catalog import Catalog

if TYPE_CHECKING:
    from symphony.pit.tracker.engine.feed import Feed
    from symphony.pit.tracker.insight.outline import Outline

logger = logging.getLogger(__name__)

TRACE_PATIENCE_S: Final = 5.0
"""The longest time that the end of a run waits for traces."""
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


def tracing_for(config: TracingConfig, variables: Mapping[str, str]) -> Tracing | None:
    """Tracing as the settings and the standard variables want it; None where nobody asked.

    Without the extra `otel` a warning is logged, and runs go on without traces.
    """
    off = variables.get("OTEL_SDK_DISABLED", "").lower() == "true"
    off = off or variables.get("OTEL_TRACES_EXPORTER") == "none" or config.enabled is False
    asked = config.enabled or config.endpoint is not None or any(variables.get(name) for name in _ENDPOINTS)
    if off or not asked:
        return None
    try:
        from symphony.commons.version import __version__
        from symphony.pit.tracker.insight.adapters.otel import OtelTracing

        return OtelTracing(__version__, endpoint=config.endpoint)
    except ImportError:
        from symphony.commons import installation

        logger.warning("traces are asked for and not installed: %s", installation.adding("otel"))
    except Exception as error:  # noqa: BLE001  (a wrong OTEL_ variable must not stop a run)
        logger.warning("runs are not traced: %s: %s", type(error).__name__, error)
    return None


async def follow(
    tracing: Tracing, run_id: str, outline: "Outline", feed: "Feed", catalog: Catalog, *, known: int
) -> None:
    """Tell `tracing` every event of the run until it ends here; `known` ones were told before."""
    workflow = outline.workflow
    about = RunAbout(run_id=run_id, workflow=workflow.name, version=workflow.version, known=known)
    trace = tracing.run(about, _Shape(outline, catalog))
    try:
        with feed.reader() as reader:
            while (found := await reader.next()) is not None:
                for event in found:
                    trace.add(event)
    finally:
        trace.end()


class _Shape:
    """An outline with what the catalogue knows of models."""

    def __init__(self, outline: "Outline", catalog: Catalog) -> None:
        self._outline, self._catalog = outline, catalog

    def kind(self, step: str) -> tuple[str, str]:
        """Its kind, and what it runs; `round` for one of a loop's."""
        from symphony.pit.tracker.insight.outline import kind_of

        if "#" in step.rpartition(".")[2]:
            return "round", ""
        return kind_of(self._outline.node(step))

    def before(self, step: str) -> Sequence[str]:
        """Return the steps of the same graph that it waited for."""
        return self._outline.before(step)

    def model(self, step: str) -> Model | None:
        """Return the model, with the operation that its ports speak of."""
        kind, runs = self.kind(step)
        if kind != "instrument":
            return None
        info = self._catalog.models.get(runs)
        embeds = info is not None and "vectors" in info.outputs
        provider = "symphony" if info is None else info.provider
        return Model(id=runs, provider=provider, operation="embeddings" if embeds else "chat")
