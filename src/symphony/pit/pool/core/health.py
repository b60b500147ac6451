"""Tells a process that hangs from one that works, by its answers to pings. Pure.

A process is asked once a beat, and a thread of its own answers. A call may compute for hours: then the
answers keep coming. Two kinds of silence mean that it hangs:

- It does not answer, and it was stopped, or all of its threads sleep and use no processor time. A process
  that does not answer while it computes is left alone: native code may hold the interpreter's lock, or
  the machine may have too much to do. Unless nobody uses it: then it has nothing to compute.
- It answers, but its call does not get on, if the model is one that only computes (`step_cpu_s`): either
  all threads sleep and use no processor time, which is a deadlock; or it has used `step_cpu_s` seconds of
  it without a step, which is an endless loop. Processor time is not used up by a slow machine.
"""

from typing import Final

import msgspec

BEAT_S: Final = 0.3
"""With `BEATS` of them, a process is given up at most 0.9 s after it stopped."""
BEATS: Final = 2
"""So many beats in a row must look bad."""
STILL_CPU_S: Final = 0.005
"""The processor time of a beat in which nothing but a ping is answered is below this."""
IDLE_CPU_S: Final = 0.2
"""A process that nobody uses, that does not answer and uses so much processor time, is caught in a loop."""


class Vitals(msgspec.Struct, frozen=True):
    """A process as the system sees it. `active`: a thread runs, could run, or waits for a disk.

    `cpu_s`: the processor time of all its threads, seconds.
    """

    cpu_s: float
    stopped: bool
    active: bool


class PingAnswer(msgspec.Struct, frozen=True):
    """The answer to a ping. `calls` is different whenever other calls are being worked on; None for none."""

    cpu_s: float
    steps: int
    calls: int | None


class HealthWatch:
    """Judges one process. Its methods return why it is given up, or None.

    `step_cpu_s`: the most processor time between two steps of a call, for a model that does nothing but
    compute in its own process. None: nothing is known of its calls.
    """

    __slots__ = ("_answer", "_listens", "_missed", "_seen", "_step_cpu_s", "_steps_since_s", "_still")

    def __init__(self, step_cpu_s: float | None) -> None:
        self._step_cpu_s = step_cpu_s
        self._answer: PingAnswer | None = None
        self._listens = False
        self._steps_since_s = 0.0
        self._missed = self._still = 0
        self._seen: Vitals | None = None

    def heard(self) -> None:
        """It has said something, or could not be heard. What was missed before does not count."""
        self._missed = 0
        self._seen = None

    def ready(self) -> None:
        """It listens from now on: its silence counts even before its first answer."""
        self._listens = True

    def missed(self, vitals: Vitals, *, used: bool) -> str | None:
        """It has not answered within the last beat. `used`: somebody may have given it work."""
        before, self._seen = self._seen, vitals
        self._missed += 1
        if before is None or self._missed < BEATS:
            return None
        if vitals.stopped and (self._listens or before.stopped):
            return "it was stopped by a signal"
        if not self._listens:
            return None  # it may not be listening yet: loading has a time of its own
        computed_s = vitals.cpu_s - (before.cpu_s if self._answer is None else self._answer.cpu_s)
        if not used and computed_s > IDLE_CPU_S:
            return f"it computes without having been asked to ({computed_s:.1f} s of processor time)"
        if used and self._step_cpu_s is not None and computed_s > self._step_cpu_s:
            return self._looping(computed_s)
        if _asleep(before) and _asleep(vitals) and vitals.cpu_s - before.cpu_s < STILL_CPU_S:
            return "it does not answer, and all of its threads sleep"
        return None

    def answered(self, answer: PingAnswer) -> str | None:
        """It has answered a ping. See also `suspicious`."""
        self.heard()
        last, self._answer = self._answer, answer
        self._listens = True
        if last is None or answer.calls is None or answer.calls != last.calls or answer.steps != last.steps:
            self._still, self._steps_since_s = 0, answer.cpu_s
            return None
        self._still = self._still + 1 if answer.cpu_s - last.cpu_s < STILL_CPU_S else 0
        computed_s = answer.cpu_s - self._steps_since_s
        if self._step_cpu_s is not None and computed_s > self._step_cpu_s:
            return self._looping(computed_s)
        return None

    @property
    def suspicious(self) -> bool:
        """Return whether its call looks like a deadlock: `asleep` decides."""
        return self._step_cpu_s is not None and self._still >= BEATS

    def asleep(self, vitals: Vitals) -> str | None:
        """It is suspicious, and the system sees it like this."""
        if _asleep(vitals):
            return "its call uses no processor time, and all of its threads sleep: a deadlock"
        self._still = 0
        return None

    @staticmethod
    def _looping(computed_s: float) -> str:
        return f"its call has used {computed_s:.0f} s of processor time without getting on: an endless loop"


def _asleep(vitals: Vitals) -> bool:
    return not (vitals.active or vitals.stopped)
