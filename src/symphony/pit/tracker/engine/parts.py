"""The parts that the classes running one run share."""

from collections.abc import Callable

import msgspec

from symphony.pit.tracker.core.machine import Machine
from symphony.pit.tracker.core.replay import RunReplay
from symphony.pit.tracker.engine.recording import Recorder
from symphony.pit.tracker.engine.timers import Timers
from symphony.pit.tracker.engine.transitions import Transitions
from symphony.pit.tracker.nodes.aside import Aside
from symphony.pit.tracker.nodes.bindings import Bindings
from symphony.pit.tracker.nodes.execution import Executor
from symphony.pit.tracker.nodes.labelling import Labels
from symphony.ports.clock import Clock


class RunParts(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of one run in this process. They need its loop.

    `alive` returns whether the engine still takes reports. `tell` is called with what models write: node,
    text, epoch seconds. `bug` is called with an error that nothing else can report, and ends the run.
    """

    replay: RunReplay
    bindings: Bindings
    executor: Executor
    aside: Aside
    labels: Labels
    recorder: Recorder
    transitions: Transitions
    timers: Timers
    clock: Clock
    alive: Callable[[], bool]
    tell: Callable[[str, str, float], None]
    bug: Callable[[BaseException], None]

    @property
    def machine(self) -> Machine:
        """Return the machine that the replay feeds."""
        return self.replay.machine
