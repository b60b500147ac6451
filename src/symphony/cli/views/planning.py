"""The output of a dry run: what would run after what, what exists already, time, cost and effects."""

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from symphony.app import spelling
from symphony.app.spelling import detail_of
from symphony.cli.console import output
from symphony.cli.views.usage import cost_text, tokens_text
from symphony.ports.runs import short_id

if TYPE_CHECKING:
    from symphony.ports.forecast import Forecast, Guess, PlannedNode
    from symphony.ports.values import Value
from symphony.workflow.model import Workflow

_STAGES_MAX, _NODES_MAX, _EFFECTS_MAX, _PATH_MAX, _VALUE_COLUMNS = 100, 50, 100, 20, 200
_REUSE = {
    "reused": "reused from",
    "partly": "reused in part:",
    "runs": "",
    "skipped": "skipped:",
    "unknown": "",
}


def say_plan(
    workflow: "Workflow",
    inputs: "Mapping[str, Value]",
    plan: "Forecast",
    *,
    currency: str,
    as_json: bool,
    rerun_of: str | None = None,
) -> None:
    """Print the plan for people, or for programs. `rerun_of` is what the run is called that a rerun is of."""
    if as_json:
        from symphony.app import documents

        output.say_json(documents.of_plan(workflow, inputs, plan))
    else:
        output.say(plan_text(workflow, inputs, plan, currency=currency, rerun_of=rerun_of))


def plan_text(
    workflow: "Workflow", inputs: "Mapping[str, Value]", plan: "Forecast", *, currency: str,
    rerun_of: str | None = None,
) -> str:  # fmt: skip
    """Return the plan for people. `rerun_of` is what the run is called that a rerun is of."""
    size = f"{output.count(len(workflow.nodes), 'node')} in {output.count(len(plan.stages), 'stage')}"
    of = "" if plan.rerun_of is None else f"rerun of {output.shown(rerun_of or short_id(plan.rerun_of))}, "
    lines = [f"{output.shown(workflow.name)}: {of}{size}; nothing was run"]
    for name, value in inputs.items():
        text = value if isinstance(value, str) else json.dumps(spelling.spelled(value), ensure_ascii=False)
        lines.append(f"  input {output.shown(name)} = {output.brief(text, _VALUE_COLUMNS)}")
    for number, stage in enumerate(plan.stages[:_STAGES_MAX], start=1):
        lines.append(f"stage {number}")
        lines += [
            _line(plan.nodes[name], workflow, again=plan.rerun_of is not None) for name in stage[:_NODES_MAX]
        ]
        if len(stage) > _NODES_MAX:
            lines.append(f"  … and {len(stage) - _NODES_MAX:,} more")
    if len(plan.stages) > _STAGES_MAX:
        lines.append(f"… and {len(plan.stages) - _STAGES_MAX:,} more stages")
    lines += _effects(plan)
    lines += _time(plan)
    lines += _cost(plan, currency)
    return "\n".join(lines) + "\n"


def _line(node: "PlannedNode", workflow: "Workflow", *, again: bool) -> str:
    """One node; of a rerun also why it runs `again`."""
    does = output.brief(detail_of(workflow.nodes[node.name]), 60)
    about = [] if node.guess is None or node.reuse in ("reused", "skipped") else [_about(node.guess)]
    if node.reuse == "unknown":
        about.insert(0, f"not known whether it would be reused: {node.why}")
    elif _REUSE[node.reuse]:
        about.insert(0, f"{_REUSE[node.reuse]} {node.why}")
    elif again and node.why:
        about.insert(0, f"again: {node.why}")
    text = "; ".join(output.shown(part) for part in about)
    return f"  {node.name}: {does}" + (f"  ({text})" if text else "")


def _about(guess: "Guess") -> str:
    text = f"about {output.duration(guess.median_s)}"
    return text if guess.same else f"{text}, going by other nodes of its kind"


def _effects(plan: "Forecast") -> Iterator[str]:
    told = [(name, effect) for name, node in plan.nodes.items() for effect in node.effects]
    if not told:
        yield "effects: none"
        return
    yield "effects, where the nodes run:"
    for name, effect in told[:_EFFECTS_MAX]:
        yield f"  {output.shown(name)} {output.brief(effect, 120)}"
    if len(told) > _EFFECTS_MAX:
        yield f"  … and {len(told) - _EFFECTS_MAX:,} more"


def _time(plan: "Forecast") -> Iterator[str]:
    if plan.took is None:
        yield "time: unknown; no earlier run tells" if plan.unknown else "time: none to speak of"
        return
    took = plan.took
    spread = f"{output.duration(took.low_s)} to {output.duration(took.high_s)}"
    runs = output.count(took.samples, "earlier sample")
    yield f"time: about {output.duration(took.median_s)} ({spread}, from {runs})"
    shown = [output.shown(name) for name in plan.path[:_PATH_MAX]]
    more = f" > … {len(plan.path) - _PATH_MAX:,} more" if len(plan.path) > _PATH_MAX else ""
    yield f"critical path: {' > '.join(shown)}{more}"
    if plan.unknown:
        names = ", ".join(map(output.shown, plan.unknown[:_PATH_MAX]))
        more = f" and {len(plan.unknown) - _PATH_MAX:,} more" if len(plan.unknown) > _PATH_MAX else ""
        yield f"not counted, their time is unknown: {names}{more}"


def _cost(plan: "Forecast", currency: str) -> Iterator[str]:
    if plan.usage is None:
        return
    if plan.usage.cost is None:
        cost = "no price is known"
    else:
        cost = cost_text(plan.usage.cost, currency)
        cost += "" if plan.priced else ", without the models that have no price"
    yield f"models, each node once and at most: {tokens_text(plan.usage)}, {cost}"
