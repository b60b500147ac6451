"""What the pit says of the health of its parts."""

from pathlib import Path

import pytest

from symphony.app import Symphony
from symphony.app.allocating import SymphonyPit
from symphony.app.pit_health import artifacts_health, pit_health
from symphony.commons.components import Health, started

PARTS = ["pool", "arbiter", "budgets", "artifacts", "retention"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def configured(home: Path, settings: str) -> Symphony:
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "config.toml").write_text(settings)
    return Symphony.open(home)


async def test_an_empty_home_is_well_in_every_part(home: Path) -> None:
    pit = SymphonyPit(Symphony.open(home))
    async with started(pit):
        found = await pit.health_check()
    assert (found.health, list(found.parts)) == (Health.HEALTHY, PARTS)
    assert found.parts["artifacts"].detail == "nothing is stored"
    assert list(home.parent.iterdir()) == []


async def test_a_place_that_does_not_answer_degrades_and_a_key_that_does_not_open_is_worse(
    home: Path,
) -> None:
    key = home.parent / "artifacts.key"
    key.write_bytes(bytes(range(32)))
    encrypted = f'[encryption]\nenabled = true\nkey_file = "{key}"\n'
    async with configured(home, encrypted) as symphony:
        symphony.artifacts.put(b"body", content_type="text/plain", name="a")
        assert artifacts_health(symphony.parts).health is Health.HEALTHY
    away = f'{encrypted}[artifacts]\nstore = "{home.parent / "absent"}"\n'
    found = await pit_health(configured(home, away))
    assert found.health is Health.DEGRADED
    assert "is not there" in found.detail
    key.write_bytes(bytes(range(1, 33)))
    found = await pit_health(configured(home, away))
    assert found.health is Health.UNHEALTHY
    assert "does not open the key" in found.parts["artifacts"].detail
    assert found.parts["pool"].health is Health.HEALTHY
