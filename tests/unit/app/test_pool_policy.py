"""The settings of the pool that say what is loaded ahead, and what stays."""

from symphony.app.local_models import policy_of
from symphony.commons.settings import Config, PoolConfig
from symphony.pit.pool import PoolPolicy


def test_without_settings_every_forecast_is_on() -> None:
    assert policy_of(Config()) == PoolPolicy()


def test_a_model_may_take_as_long_to_load_as_the_settings_say() -> None:
    assert policy_of(Config(pool=PoolConfig(load_s=7.0))).load_s == 7.0


def test_each_forecast_can_be_switched_off() -> None:
    for name in ("lookahead", "markov", "histogram"):
        policy = policy_of(Config(pool=PoolConfig(**{name: False})))  # type: ignore[arg-type]
        assert [one for one in ("lookahead", "markov", "histogram") if not getattr(policy, one)] == [name]


def test_a_time_to_keep_models_is_kept_to_also_beyond_the_usual_bounds() -> None:
    for keep_s in (1.0, 60.0, 7200.0):
        policy = policy_of(Config(pool=PoolConfig(keep_s=keep_s)))
        assert policy.keep_min_s <= policy.keep_s == keep_s <= policy.keep_max_s
