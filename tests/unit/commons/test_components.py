import msgspec
import pytest

from symphony.commons.components import (
    AsyncComponent,
    ComponentConfig,
    Health,
    HealthStatus,
    RetryPolicy,
    started,
)
from symphony.commons.errors import ValidationFailed


class Part:
    """Writes down what is done to it."""

    def __init__(self, name: str, told: list[str], *, broken: bool = False) -> None:
        self.name, self.told, self.broken = name, told, broken

    async def start(self) -> None:
        if self.broken:
            raise OSError("no")
        self.told.append(f"start {self.name}")

    async def stop(self) -> None:
        self.told.append(f"stop {self.name}")

    async def health_check(self) -> HealthStatus:
        return HealthStatus()


async def test_components_stop_in_the_reverse_order_of_their_start() -> None:
    told: list[str] = []
    parts: list[AsyncComponent] = [Part("a", told), Part("b", told)]
    async with started(*parts):
        told.append("work")
    assert told == ["start a", "start b", "work", "stop b", "stop a"]


async def test_those_already_started_are_stopped_when_a_later_one_fails() -> None:
    told: list[str] = []
    with pytest.raises(OSError, match="no"):
        async with started(Part("a", told), Part("b", told, broken=True)):
            told.append("work")
    assert told == ["start a", "stop a"]


def test_a_whole_is_as_healthy_as_its_worst_part_and_says_which() -> None:
    bad = HealthStatus(health=Health.UNHEALTHY, detail="disk full")
    whole = HealthStatus.of_parts({"a": HealthStatus(), "b": bad, "c": HealthStatus(health=Health.DEGRADED)})
    assert (whole.health, whole.detail) == (Health.UNHEALTHY, "b: disk full")
    assert HealthStatus.of_parts({}).health is Health.HEALTHY


@pytest.mark.parametrize(
    ("backoff", "delays"),
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("linear", [1, 2, 3, 4, 5]),
        ("exponential", [1, 2, 4, 8, 10]),
    ],
)
def test_delays_grow_as_the_backoff_says_up_to_the_cap(backoff: str, delays: list[float]) -> None:
    policy = msgspec.convert({"attempts": 9, "backoff": backoff, "max_s": 10, "jitter": False}, RetryPolicy)
    assert [policy.delay_s(attempt) for attempt in range(1, 6)] == delays
    assert policy.delay_s(10**9) == (1 if backoff == "constant" else 10)


def test_jitter_takes_the_drawn_part_of_the_delay_and_attempts_count_from_one() -> None:
    assert RetryPolicy(initial_s=4).delay_s(1, random=0.25) == 1
    with pytest.raises(ValidationFailed, match="count from 1"):
        RetryPolicy().delay_s(0)


@pytest.mark.parametrize("wrong", [{"timeout_s": 0}, {"retry_policy": {"attempts": 0}}, {"timeout": 3}])
def test_component_settings_refuse_what_makes_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, ComponentConfig)
