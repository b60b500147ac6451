"""The pool of models: as a table for people, and as JSON."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from symphony.app.pit import OpenCircuit
from symphony.app.spelling import JSON
from symphony.cli.console import output
from symphony.cli.console.tables import Heading, room, table
from symphony.ports.pool import LeaseStatus, ModelPhase, ModelStatus, SharedPool

_MODELS: Final = (
    Heading("MODEL", least=12), "PHASE", Heading("FOR", rank=4), Heading("MEMORY", rank=2),
    Heading("PROCESS", rank=5), Heading("USED BY", rank=1, least=10), Heading("WAITING", least=10),
    Heading("", rank=3, least=16),
)  # fmt: skip
_SHOWN_MAX: Final = 3


def text(found: SharedPool | None, home: Path, run_of: Callable[[str], str]) -> str:
    """Return the pool and its models for people; `run_of` gives what a run is called, of its id."""
    if found is None:
        return f"no model is loaded: no process of {output.shown(str(home))} has a pool of models\n"
    pool = found.pool
    loaded = f"{output.count(pool.models_loaded, 'model')} of {output.size(pool.bytes_loaded)} loaded"
    owner = f"process {found.owner} owns the pool, {_others(found.processes)} it"
    head = f"{owner}: {loaded}, at most {output.size(pool.bytes_max)}\n"
    shown = [one for one in pool.models if _worth(one)]
    if not shown:
        return head
    rows = [_row(one, pool.at_s, run_of) for one in shown]
    return head + table(rows, _MODELS, width=room())


def _others(processes: int) -> str:
    if processes == 0:
        return "no other uses"
    return "1 other uses" if processes == 1 else f"{processes:,} others use"


def told(found: SharedPool, model: str) -> str:
    """Return one line about a model."""
    one = _model(found, model)
    if one is None:
        return f"{output.shown(model)} is not loaded"
    memory = f", {output.size(one.bytes)}" if one.phase is ModelPhase.HOT else ""
    return f"{output.shown(model)} is {one.phase}{memory}: {output.shown(one.reason)}"


def document(found: SharedPool | None) -> dict[str, JSON]:
    """Return the pool for programs; `owner` is null if no process has one."""
    if found is None:
        return {"owner": None, "processes": 0, "models": []}
    whole: dict[str, JSON] = msgspec.to_builtins(found)
    pool = whole.pop("pool")
    assert isinstance(pool, dict)
    return {**whole, **pool}


def model_document(found: SharedPool, model: str) -> dict[str, JSON]:
    """Return one model for programs."""
    one = _model(found, model)
    told: dict[str, JSON] = {"model": model, "phase": "cold"} if one is None else msgspec.to_builtins(one)
    return told


def circuits_text(circuits: Sequence[OpenCircuit]) -> str:
    """Return a line for each hosted model that is left alone; nothing if none is."""
    lines = [
        f"hosted model {output.shown(one.model)}: process {one.pid} does not ask it at present, its circuit"
        f" is {one.after}: {output.brief(one.reason, 120)}\n"
        for one in circuits
    ]
    return "".join(lines)


def circuits_document(circuits: Sequence[OpenCircuit]) -> JSON:
    """Return the hosted models that are left alone, for programs."""
    told: JSON = msgspec.to_builtins(circuits)
    return told


def gist(found: SharedPool | None) -> object:
    """Return what differs if the pool has changed, but for the time that has passed."""
    if found is None:
        return None
    models = [
        (
            one.model, one.phase, one.reason, one.pid, one.bytes, one.draining, one.failures,
            tuple(lease.lease for lease in one.users),
            tuple((lease.run, lease.count) for lease in one.waiting),
            tuple(one.needed_by.items()),
        )
        for one in found.pool.models
    ]  # fmt: skip
    return found.owner, found.processes, tuple(models)


def _model(found: SharedPool, model: str) -> ModelStatus | None:
    return next((one for one in found.pool.models if one.model == model), None)


def _worth(one: ModelStatus) -> bool:
    """Return whether the model is loaded, wanted or in trouble, or was used."""
    return one.phase is not ModelPhase.COLD or bool(one.waiting or one.needed_by or one.failures)


def _row(one: ModelStatus, now_s: float, run_of: Callable[[str], str]) -> tuple[str, ...]:
    memory = output.size(one.bytes) if one.measured else f"about {output.size(one.bytes)}"
    phase = f"{one.phase}, draining" if one.draining else str(one.phase)
    return (
        one.model,
        phase,
        output.duration(max(0.0, now_s - one.since_s)),
        memory,
        "" if one.pid is None else str(one.pid),
        _leases(one.users, run_of),
        _leases(one.waiting, run_of),
        output.brief(one.reason, 120),
    )


def _leases(leases: Sequence[LeaseStatus], run_of: Callable[[str], str]) -> str:
    """Return who has leases, or waits for them: runs, and how many calls of each."""
    calls: dict[str, int] = {}
    for one in leases:
        who = "a command" if one.run is None else run_of(one.run)
        calls[who] = calls.get(who, 0) + one.count
    shown = [who if count == 1 else f"{who} ({count:,} calls)" for who, count in calls.items()]
    more = len(shown) - _SHOWN_MAX
    return ", ".join(shown[:_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
