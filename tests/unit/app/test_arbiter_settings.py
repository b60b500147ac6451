"""The settings of the arbiter as a component."""

from pathlib import Path

from symphony.app.arbitration import arbiter_of
from symphony.bus import Bus
from symphony.commons.config import load_config
from symphony.commons.settings import ArbiterConfig, Config
from symphony.commons.time import SystemClock
from symphony.pit.arbitration.local import PitArbiter
from symphony.pit.arbitration.sharing import SharedArbiter


async def nowhere() -> Bus | None:
    return None


async def test_an_arbiter_is_shared_unless_the_settings_say_otherwise(tmp_path: Path) -> None:
    for enabled, kind in ((True, SharedArbiter), (False, PitArbiter)):
        config = Config(arbiter=ArbiterConfig(cores=1.0, enabled=enabled))
        arbiter = arbiter_of(config, tmp_path, SystemClock(), nowhere)
        assert isinstance(arbiter, kind)
        await arbiter.stop()


def test_how_long_its_owner_is_waited_for_is_a_setting(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        "[arbiter]\ntimeout_s = 1.5\nretry_policy = {max_s = 0.5}\n", encoding="utf-8"
    )
    found = load_config(home=tmp_path, variables={}).arbiter
    assert (found.timeout_s, found.retry_policy.initial_s, found.retry_policy.max_s) == (1.5, 0.02, 0.5)
