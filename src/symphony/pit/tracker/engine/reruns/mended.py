"""Finds the steps in which a mended workflow differs from the one that a run recorded. Pure.

A step has changed if its definition has, or the code, the model or the template behind it. Keys that only
say how it is run, shown or retried (`retry`, `timeout`, `label`, …) do not change its result.
"""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Final

import msgspec

from symphony.pit.tracker.nodes.graphs import WorkGraph
from symphony.pit.tracker.nodes.prints import READS, Prints, print_keys, reads_at_start, same_print
from symphony.pit.tracker.nodes.work import LoopWork, ModelWork, OperatorWork, Work
from symphony.sdk.fingerprints import is_own
from symphony.workflow.model import SubWorkflowNode, Workflow
from symphony.workflow.spelling import write_edge, write_node

_MANNER: Final = frozenset(
    {"retry", "timeout", "concurrency", "fail_fast", "label", "priority", "cache", "idempotent",
     "description", "position", "metadata"}
)  # fmt: skip
_LOOP: Final = frozenset({"body"})
_LISTING: Final = frozenset({"for_each", "when"})
"""The keys that say which elements a fan-out has, and nothing of what they do."""
_ENDING: Final = frozenset({"while", "until", "max_iterations"})
"""The keys that say how many rounds a loop has, and nothing of what they do."""
_TOLD_MAX: Final = 3


class Mended(msgspec.Struct, frozen=True):
    """Why results of steps cannot be reused, by their full names without numbers.

    Steps in `opened` have changed only in what they return: results inside them may be reused.
    """

    changed: Mapping[str, str]
    opened: Mapping[str, str]
    added: Mapping[str, str]
    """Nodes that the old workflow did not have."""
    relisted: Mapping[str, str] = {}
    """Changed fan-outs whose elements do the same as before: only their list may differ."""
    behind: Mapping[str, str] = {}
    """Nodes with the same definition, but with other code, another model or template behind them."""

    def within(self, name: str) -> "Mended":
        """Return what has changed inside a step."""
        parts = (self.changed, self.opened, self.added, self.relisted, self.behind)
        return Mended(*({n: why for n, why in part.items() if n.startswith(f"{name}.")} for part in parts))

    def any_inside(self, name: str) -> bool:
        """True if anything inside a step has changed, or what the step gives."""
        start, parts = f"{name}.", (self.changed, self.opened, self.behind)
        return name in self.opened or any(one.startswith(start) for part in parts for one in part)


class Mending:
    """The changes from the workflow `old` to `new`, and in the code behind it.

    `now` holds the current fingerprints of that code. Results of one run may come from different versions of
    the code, so `since` takes the earlier fingerprints of each.
    """

    def __init__(self, old: WorkGraph, new: WorkGraph, now: Prints, inside: str = "") -> None:
        """`inside` is the step whose inner steps are compared; empty to compare all."""
        self._old, self._new, self._now, self._inside = old, new, now, inside
        self._known: dict[int, tuple[Prints | None, Mended]] = {}  # by the identity of the fingerprints

    def since(self, before: Prints | None) -> Mended:
        """Return what has changed since results were made.

        `before` holds the fingerprints recorded at the start of their run. It is None for a run that
        recorded no fingerprints; only results of operators that ship with Symphony are then reused.
        """
        if id(before) not in self._known:
            found = _Comparison(before, self._now)
            found.graphs(self._old, self._new, "")
            told = Mended(found.changed, found.opened, found.added, found.relisted, found.behind)
            self._known[id(before)] = before, told.within(self._inside) if self._inside else told
        return self._known[id(before)][1]

    def within(self, name: str) -> "Mending":
        """Return what has changed inside a step."""
        return Mending(self._old, self._new, self._now, name)


def _told(key: str, work: OperatorWork | ModelWork) -> str:
    if key.endswith(READS):
        return "a file that it reads"
    return f"the model {work.runs}" if isinstance(work, ModelWork) else f"the code of {work.runs}"


class _Comparison:
    def __init__(self, before: Prints | None, now: Prints) -> None:
        self._before, self._now = before, now
        self.changed: dict[str, str] = {}
        self.opened: dict[str, str] = {}
        self.added: dict[str, str] = {}
        self.relisted: dict[str, str] = {}
        self.behind: dict[str, str] = {}

    def graphs(self, old: WorkGraph, new: WorkGraph, prefix: str) -> None:
        """Compare all nodes of two graphs whose steps' names begin with `prefix`."""
        places = {work.name: number for number, work in enumerate(new.works)}
        variables = set(old.workflow.env) ^ set(new.workflow.env)
        for number, work in enumerate(old.works):
            place, name = places.get(work.name), f"{prefix}{work.name}"
            if place is None:
                self.changed[name] = "it is gone"
                continue
            other = new.works[place]
            before, now = _definition(old.workflow, work), _definition(new.workflow, other)
            why = _differences(before, now)
            manner = _LISTING if "for_each" in before and "for_each" in now else frozenset[str]()
            manner |= _ENDING if isinstance(work, LoopWork) else frozenset()
            other_why = _differences(_without(before, manner), _without(now, manner)) or _variables(
                work, variables
            )
            if other_why:
                self.changed[name] = f"changed: {why or other_why}"
                continue
            if behind := self._behind(work, other, prefix):
                self.behind[name] = f"changed: {behind}"
            if _differences(_without(before, _ENDING), _without(now, _ENDING)):
                self.relisted[name] = f"changed: {why}"
            if isinstance(work, LoopWork) and _differences(
                _without(before, _LISTING), _without(now, _LISTING)
            ):
                self.opened[name] = f"changed: {why}"
            if number in old.below and place in new.below:
                self._inside(work, old.below[number], new.below[place], name)
            if name in self.relisted:
                self._relist(name)
        added = places.keys() - {work.name for work in old.works}
        self.added |= {f"{prefix}{name}": "it is new" for name in places if name in added}
        if added and prefix:
            self.opened[prefix.removesuffix(".")] = f"changed: {min(added)} is new"

    def _relist(self, name: str) -> None:
        """Mark a fan-out to run again, and its elements too if what they return has changed."""
        why = self.relisted[name]
        if name in self.changed or self.opened.pop(name, None) is not None:
            del self.relisted[name]
        self.changed.setdefault(name, why)

    def _inside(self, work: Work, old: WorkGraph, new: WorkGraph, name: str) -> None:
        """Compare what is inside a loop or sub-workflow that has not changed itself."""
        if isinstance(work.node, SubWorkflowNode):
            if old.workflow.inputs != new.workflow.inputs:
                self.changed[name] = f"changed: the inputs of {work.node.workflow}"
                return
            if old.workflow.outputs != new.workflow.outputs:
                self.opened[name] = f"changed: the outputs of {work.node.workflow}"
        elif old.plan.index.keys() != new.plan.index.keys():
            self.changed[name] = "changed: body"
            return
        self.graphs(old, new, f"{name}.")

    def _behind(self, old: Work, new: Work, prefix: str) -> str:
        """Return the changes of code, model or template behind a node."""
        if not isinstance(old, OperatorWork | ModelWork):
            return ""
        assert isinstance(new, OperatorWork | ModelWork)
        unknown = f"it is not known what {old.runs or 'it'} was"
        if self._before is None:
            ships = isinstance(new, OperatorWork) and is_own(new.operator.function)
            return "" if ships and not reads_at_start(new) else unknown
        for key in print_keys(new, prefix):
            before, now = self._before.get(key), self._now.get(key)
            if before is None or now is None:
                return unknown
            if not same_print(before, now):
                return _told(key, new)
        return ""


def _definition(workflow: Workflow, work: Work) -> dict[str, object]:
    """Return the definition of the node, with the edges that lead to it."""
    left_out = _MANNER | (_LOOP if isinstance(work, LoopWork) else frozenset())
    told: dict[str, object] = {k: v for k, v in write_node(work.node).items() if k not in left_out}
    handled = work.node.on_error
    if handled.action != "fallback":
        told.pop("on_error", None)  # makes no difference to a node that succeeded by itself
    edges = [write_edge(edge) for edge in workflow.edges if edge.target == work.name]
    return told | {"edges": edges} if edges else told


def _without(told: Mapping[str, object], keys: frozenset[str]) -> Mapping[str, object]:
    return {key: value for key, value in told.items() if key not in keys} if keys else told


def _differences(old: Mapping[str, object], new: Mapping[str, object]) -> str:
    """Return where two definitions differ, such as `inputs.text, when`; empty if they do not."""
    places = list(islice(_places(old, new, ""), _TOLD_MAX + 1))
    return ", ".join(places[:_TOLD_MAX]) + (", …" if len(places) > _TOLD_MAX else "")


def _places(old: Mapping[str, object], new: Mapping[str, object], prefix: str) -> Iterator[str]:
    for key in dict.fromkeys((*old, *new)):
        one, other = old.get(key), new.get(key)
        if isinstance(one, dict) and isinstance(other, dict) and not prefix:
            yield from _places(one, other, f"{key}.")
        elif _text(one) != _text(other) or (key in old) != (key in new):
            yield f"{prefix}{key}"


def _text(value: object) -> str:
    return json.dumps(value, default=repr, sort_keys=False)


def _variables(work: Work, names: set[str]) -> str:
    """Return the first of the variables `names` that a node reads, such as `env.HOME`; else empty."""
    if not names:
        return ""
    text = _text(write_node(work.node))
    for name in sorted(names):
        if re.search(rf"\benv(\.|\[\\?[\"'])\s*{re.escape(name)}\b", text):
            return f"env.{name}"
    return ""
