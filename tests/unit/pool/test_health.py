"""Which processes count as hung."""

from dataclasses import dataclass, field

import pytest

from symphony.pit.pool.core.health import BEATS, HealthWatch, PingAnswer, Vitals

ASLEEP = Vitals(cpu_s=1.0, stopped=False, active=False)
ACTIVE = Vitals(cpu_s=1.0, stopped=False, active=True)
STOPPED = Vitals(cpu_s=1.0, stopped=True, active=False)


@dataclass
class Beats:
    """A process that was asked, and how it was judged."""

    step_cpu_s: float | None = None
    pulse: HealthWatch = field(init=False)

    def __post_init__(self) -> None:
        self.pulse = HealthWatch(self.step_cpu_s)
        assert self.pulse.answered(PingAnswer(1.0, 0, None)) is None

    def miss(self, *seen: Vitals, used: bool = True) -> str | None:
        return [self.pulse.missed(one, used=used) for one in seen][-1]

    def answer(self, cpu_s: float, steps: int = 0, calls: int | None = 1) -> str | None:
        return self.pulse.answered(PingAnswer(cpu_s, steps, calls))


@pytest.mark.parametrize(("seen", "why"), [(STOPPED, "stopped by a signal"), (ASLEEP, "threads sleep")])
@pytest.mark.parametrize("used", [True, False])
def test_one_that_is_silent_and_does_nothing_hangs(seen: Vitals, why: str, used: bool) -> None:
    beats = Beats()
    assert beats.miss(*[seen] * (BEATS - 1), used=used) is None
    found = beats.miss(seen, used=used)
    assert found is not None
    assert why in found


def test_one_that_is_silent_while_it_computes_works() -> None:
    beats = Beats()
    assert beats.miss(*[Vitals(cpu_s=1.0 + 0.3 * n, stopped=False, active=True) for n in range(1000)]) is None


def test_one_that_computes_between_two_looks_works_even_if_it_sleeps_at_both() -> None:
    beats = Beats()
    looks = [Vitals(cpu_s=1.0 + 0.05 * n, stopped=False, active=False) for n in range(10)]
    assert beats.miss(*looks) is None


def test_one_that_waits_for_a_disk_or_for_the_processor_works() -> None:
    assert Beats().miss(*[ACTIVE] * 1000, used=False) is None


def test_one_that_nobody_uses_has_nothing_to_compute() -> None:
    beats = Beats()
    busy = [Vitals(cpu_s=1.0 + 0.3 * n, stopped=False, active=True) for n in range(1, 3)]
    assert "without having been asked" in (beats.miss(*busy, used=False) or "")


def test_a_word_from_it_forgives_what_was_missed() -> None:
    beats = Beats()
    for _ in range(10):
        assert beats.miss(*[ASLEEP] * (BEATS - 1)) is None
        beats.pulse.heard()


def test_one_that_does_not_listen_yet_is_not_judged() -> None:
    pulse = HealthWatch(None)
    assert [pulse.missed(ASLEEP, used=True) for _ in range(10)] == [None] * 10
    pulse.ready()
    assert pulse.missed(ASLEEP, used=True) is not None


def test_one_that_is_stopped_before_it_listens_hangs() -> None:
    pulse = HealthWatch(None)
    assert pulse.missed(ASLEEP, used=True) is None
    assert pulse.missed(STOPPED, used=True) is None
    assert pulse.missed(STOPPED, used=True) == "it was stopped by a signal"


def test_a_call_that_answers_and_uses_no_processor_time_is_a_deadlock_if_it_should_compute() -> None:
    beats = Beats(step_cpu_s=10.0)
    for n in range(BEATS + 1):
        assert not beats.pulse.suspicious
        assert beats.answer(1.0 + 0.001 * n) is None
    assert beats.pulse.suspicious
    assert "deadlock" in (beats.pulse.asleep(ASLEEP) or "")


def test_a_call_that_the_machine_has_no_time_for_is_no_deadlock() -> None:
    beats = Beats(step_cpu_s=10.0)
    for n in range(BEATS + 1):
        beats.answer(1.0 + 0.001 * n)
    assert beats.pulse.asleep(ACTIVE) is None
    assert not beats.pulse.suspicious


def test_a_call_that_waits_for_others_is_no_deadlock_unless_it_should_compute() -> None:
    beats = Beats()
    for _ in range(100):
        assert beats.answer(1.0) is None
    assert not beats.pulse.suspicious


def test_a_long_call_that_gets_on_works() -> None:
    beats = Beats(step_cpu_s=10.0)
    for n in range(10_000):
        assert beats.answer(1.0 + 0.5 * n, steps=n // 15) is None


def test_a_long_call_that_does_not_get_on_is_a_loop() -> None:
    beats = Beats(step_cpu_s=10.0)
    found = [beats.answer(1.0 + 0.5 * n) for n in range(22)]
    assert found[:-1] == [None] * 21
    assert "endless loop" in (found[-1] or "")


def test_other_calls_are_other_work() -> None:
    beats = Beats(step_cpu_s=10.0)
    assert not any(beats.answer(1.0 + 0.5 * n, calls=n) for n in range(1000))


def test_a_silent_call_that_has_computed_for_too_long_is_a_loop() -> None:
    beats = Beats(step_cpu_s=10.0)
    looks = [Vitals(cpu_s=1.0 + 0.3 * n, stopped=False, active=True) for n in range(40)]
    assert "endless loop" in (beats.miss(*looks) or "")
